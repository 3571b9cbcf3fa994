"""A verdict is an output, not a crash.

Contracts, evaluation, residency, rollouts, drift and experiments all speak it.
"""

import datetime
import enum
import json
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from components.foundation import digests
from components.foundation.errors import UserError, nearest


class Decision(enum.StrEnum):
    """What was decided; `passes` says whether a gate lets it through."""

    ACCEPT = "accept"
    REFUSE = "refuse"
    PROMOTE = "promote"
    ROLL_BACK = "roll back"
    CONTINUE = "continue"
    STABLE = "stable"
    DRIFT = "drift"
    INCONCLUSIVE = "inconclusive"

    @property
    def passes(self) -> bool:
        return self in {Decision.ACCEPT, Decision.PROMOTE, Decision.STABLE}


@dataclass(frozen=True, slots=True)
class Verdict:
    """One judgement; `Verdict.from_dict(v.to_dict()) == v`.

    Attributes:
        subject: what was judged, e.g. "contract flights" or "rollout delays 3 -> 4".
        decision: what was decided.
        reason: one sentence for a person.
        evidence: numbers, thresholds, alpha; JSON values only, no NaN.
        judged: digest of what was judged, as text ("sha256:...").
        time: when, RFC 3339 in UTC.
        measured: what the same judgement finds otherwise each time, such as milliseconds.
    """

    subject: str
    decision: Decision
    reason: str
    evidence: dict[str, Any] = field(default_factory=dict)
    judged: str = ""
    time: str = field(default_factory=lambda: now())
    measured: dict[str, Any] = field(default_factory=dict)

    @property
    def passes(self) -> bool:
        return self.decision.passes

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "decision": str(self.decision)}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Self:
        """Read a verdict; raises UserError naming the field that is missing or unknown."""
        known = list(cls.__dataclass_fields__)
        for name in value:
            if name not in known:
                raise UserError(
                    f"verdict: unknown field {name!r}; {nearest(name, known)}",
                    code="verdict-malformed",
                )
        try:
            return cls(**{**value, "decision": Decision(value["decision"])})
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"verdict {json.dumps(value)[:200]}: {error}", code="verdict-malformed"
            ) from error

    def digest(self) -> digests.Digest:
        """Digest everything but time and `measured`: the same judgement has the same digest."""
        content = self.to_dict()
        del content["time"], content["measured"]
        return digests.of_json(content)

    def __str__(self) -> str:
        return f"{self.subject}: {self.decision} - {self.reason}"


def now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
