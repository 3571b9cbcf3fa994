"""Judge objects one by one, as a cluster with these policies would at admission."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components.governance.residency import cel
from components.governance.residency.rules import policies


@dataclass(frozen=True, slots=True)
class Judged:
    """What one policy said of one object; no findings means that it is allowed."""

    policy: str
    subject: str
    findings: tuple[str, ...]
    transfers: tuple[str, ...]
    law: str

    @property
    def message(self) -> str:
        """Return the sentence that the API server denies the object with."""
        return f"{self.subject}: {'. '.join(self.findings)}. {self.law}"


def judge(thing: Mapping[str, Any], profile: Mapping[str, Any]) -> Iterator[Judged]:
    """Yield what each policy says that covers the object.

    Args:
        thing: a Kubernetes object.
        profile: the ResidencyProfile that holds where the object lives.
    """
    for policy in policies():
        if policy.covers(thing):
            seen = cel.evaluate(policy, thing, profile)
            yield Judged(
                policy.name,
                seen["subject"],
                tuple(seen["findings"]),
                tuple(seen["transfers"]),
                profile["spec"]["law"],
            )
