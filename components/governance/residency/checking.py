"""Judge objects one by one, as a cluster with these policies would at admission."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.foundation.errors import Refused
from components.governance.residency import cel
from components.governance.residency.reading import Given, Laws
from components.governance.residency.rules import policies

_KEEP_NULL = {"OpenTelemetryCollector"}  # its settings are whatever the program reads


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


def hold(given: Sequence[Given], laws: Laws) -> int:
    """Return how many objects say something of places, all of them what the law allows.

    Raises:
        Refused: one does not; the message is the first such, as the API server would say it.
    """
    answers = list(judge_all(given, laws))
    for one in (one for judged in answers for one in judged if one.findings):
        raise Refused(one.message, code="residency-refused")
    return sum(map(bool, answers))


def judge_all(given: Sequence[Given], laws: Laws) -> Iterator[list[Judged]]:
    """Yield what policies say of each object, in order; nothing, where none covers it."""
    return (list(judge(one.thing, laws.holding(one.thing))) for one in given)


def judge(thing: Mapping[str, Any], profile: Mapping[str, Any]) -> Iterator[Judged]:
    """Yield what each policy says that covers the object.

    Args:
        thing: a Kubernetes object.
        profile: the ResidencyProfile that holds where the object lives.
    """
    kept = thing if thing.get("kind") in _KEEP_NULL else _without_null(thing)
    for policy in policies():
        if policy.covers(thing):
            seen = cel.evaluate(policy, kept, profile)
            yield Judged(
                policy.name,
                seen["subject"],
                tuple(seen["findings"]),
                tuple(seen["transfers"]),
                profile["spec"]["law"],
            )


def _without_null(part: Any) -> Any:
    """Leave out fields that are null, as the API server does before it judges."""
    match part:
        case dict():
            return {key: _without_null(one) for key, one in part.items() if one is not None}
        case list():
            return [_without_null(one) for one in part]
    return part
