"""A rollout's progress and what follows from it: raise, promote, roll back, or wait.

Nothing here knows a cluster or a clock; numbers in, decisions out.
"""

import dataclasses
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from components.foundation.errors import UserError
from components.foundation.statistics import eprocess
from components.foundation.statistics.eprocess import Arm, Comparison

Point = Mapping[str, Any]

_POINTS = 200  # kept of a rollout: an object of Kubernetes has a megabyte, each look writes it
UNREADY_LOOKS = 3  # looks in a row at a candidate that is not ready before it is rolled back


class Action(enum.StrEnum):
    HOLD = "hold"
    RAISE = "raise"
    PROMOTE = "promote"
    ROLL_BACK = "roll back"
    GIVE_UP = "give up"
    FINISH = "finish"


@dataclass(frozen=True, slots=True)
class Rules:
    """How a rollout is judged.

    Attributes:
        steps: percent of traffic for the candidate, one step after the other.
        alpha: bound on blaming a healthy candidate, over all looks together.
        margin: promotion needs confidence 1 - alpha that the candidate's error rate is not
            above the champion's by more than this.
        min_requests: what the candidate must answer in each step.
    """

    steps: tuple[int, ...] = (10, 50)
    alpha: float = 0.05
    margin: float = 0.05
    min_requests: int = 200
    interval_s: float = 1.0
    max_seconds: float = 600.0
    bake_s: float = 10.0

    def __post_init__(self) -> None:
        rising = list(self.steps) == sorted(set(self.steps))
        if not self.steps or not rising or not all(0 < step < 100 for step in self.steps):
            raise UserError(
                f"steps {list(self.steps)}: expected percents that rise, each from 1 to 99",
                code="setting-out-of-range",
            )
        if not 0 < self.alpha < 1 or not 0 < self.margin < 1:
            raise UserError(
                f"alpha {self.alpha}, margin {self.margin}: expected within (0, 1)",
                code="setting-out-of-range",
            )
        times = self.interval_s > 0 and self.max_seconds > 0 and self.bake_s >= 0
        if self.min_requests < 1 or not times:
            raise UserError(
                f"min_requests {self.min_requests}, interval_s {self.interval_s:g}, max_seconds "
                f"{self.max_seconds:g}, bake_s {self.bake_s:g}: expected at least one request, "
                "time between looks and in all, and no negative one to bake",
                code="setting-out-of-range",
            )

    def percent(self, step: int) -> int:
        """Return the candidate's share in a step.

        A rollout that was killed may be taken up with fewer steps than it had; it is at the last.
        """
        return self.steps[min(step, len(self.steps) - 1)]

    def last(self, step: int) -> bool:
        """Say whether all traffic comes after a step."""
        return step + 1 >= len(self.steps)


@dataclass(frozen=True, slots=True)
class Trial:
    """What a rollout has seen; `Trial.from_dict(t.to_dict()) == t`.

    Attributes:
        seconds: time on trial, looks that found no metrics included.
        reached: what both arms have answered in this step.
        baking: what the candidate has answered with all traffic.
        counters: the last known value of each series; empty before the first sample.
        unready: looks in a row that found the candidate not ready.
        known: what others had changed of the versions before they were judged.
        edited: what was changed since; empty while nothing was.
        points: what each look showed, for the report; of many every second one is kept.
    """

    step: int = 0
    seconds: float = 0.0
    comparison: Comparison = field(default_factory=Comparison)
    reached: tuple[Arm, Arm] = (Arm(), Arm())
    baking: Arm = field(default_factory=Arm)
    baked_s: float = 0.0
    counters: dict[str, float] = field(default_factory=dict)
    unready: int = 0
    points: tuple[Point, ...] = ()
    known: tuple[str, ...] = ()
    edited: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "comparison": self.comparison.to_dict()}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "Trial":
        if not value:
            return cls()
        champion, candidate = value["reached"]
        return cls(
            value["step"],
            value["seconds"],
            Comparison.from_dict(value["comparison"]),
            (Arm(**champion), Arm(**candidate)),
            Arm(**value["baking"]),
            value["baked_s"],
            dict(value["counters"]),
            value["unready"],
            tuple(value.get("points", ())),
            tuple(value.get("known", ())),
            value.get("edited", ""),
        )

    def after(self, champion: Arm, candidate: Arm) -> "Trial":
        """Return the trial after one more interval with a split."""
        return dataclasses.replace(
            self,
            comparison=self.comparison.after(champion, candidate),
            reached=(self.reached[0] + champion, self.reached[1] + candidate),
        )

    def noted(self, point: Point) -> "Trial":
        """Return the trial with one more point; the newest always stays."""
        kept = self.points[1::2] if len(self.points) >= _POINTS else self.points
        return dataclasses.replace(self, points=(*kept, point))

    def raised(self) -> "Trial":
        return dataclasses.replace(self, step=self.step + 1, reached=(Arm(), Arm()))


def judge(trial: Trial, rules: Rules) -> tuple[Action, str]:
    """Decide on a candidate that has a share of the traffic; say why in one sentence."""
    seen = trial.comparison
    if trial.edited:
        return Action.ROLL_BACK, trial.edited
    if trial.unready >= UNREADY_LOOKS:
        return Action.ROLL_BACK, "the candidate stopped being ready"
    if seen.harmful(alpha=rules.alpha):
        return Action.ROLL_BACK, (
            f"the candidate errs more often (e-value {seen.e_value:.3g}, bound "
            f"{1 / rules.alpha:g}): {seen.candidate.errors} of {seen.candidate.requests} against "
            f"{seen.champion.errors} of {seen.champion.requests} requests"
        )
    if trial.seconds >= rules.max_seconds:
        return Action.GIVE_UP, f"undecided after {rules.max_seconds:g} s: {_missing(trial, rules)}"
    if _missing(trial, rules):
        return Action.HOLD, _missing(trial, rules)
    if not rules.last(trial.step):
        return Action.RAISE, f"no harm seen at {rules.percent(trial.step)} %"
    return Action.PROMOTE, seen.statement(alpha=rules.alpha)


def judge_bake(trial: Trial, rules: Rules) -> tuple[Action, str]:
    """Decide on a candidate that has all traffic, while the champion still stands by."""
    if trial.edited:
        return Action.ROLL_BACK, trial.edited
    if trial.unready >= UNREADY_LOOKS:
        return Action.ROLL_BACK, "the candidate stopped being ready with all traffic"
    low, _ = eprocess.bounds(trial.baking, alpha=rules.alpha / 2)
    _, high = eprocess.bounds(trial.comparison.champion, alpha=rules.alpha / 2)
    if low > high + rules.margin:
        return Action.ROLL_BACK, (
            f"with all traffic the candidate's error rate is at least {low:.2%}, the champion's "
            f"was at most {high:.2%}"
        )
    if trial.baked_s >= rules.bake_s:
        return Action.FINISH, trial.comparison.statement(alpha=rules.alpha)
    if trial.seconds >= rules.max_seconds + rules.bake_s:
        return Action.GIVE_UP, (
            f"seen for only {trial.baked_s:.1f} of {rules.bake_s:g} s with all traffic: metrics "
            "were missing"
        )
    return Action.HOLD, "baking"


def _missing(trial: Trial, rules: Rules) -> str:
    """Say what is not known yet that a decision for the candidate needs."""
    champion, candidate = trial.reached
    if candidate.requests < rules.min_requests:
        return (
            f"{candidate.requests} of {rules.min_requests} requests answered by the candidate "
            f"at {rules.percent(trial.step)} %"
        )
    if not champion.requests:
        return "the champion answered nothing to compare with"
    _, high = trial.comparison.difference(alpha=rules.alpha)
    if rules.last(trial.step) and high > rules.margin:
        return f"the candidate may still err {high:.2%} more often, above {rules.margin:.2%}"
    return ""
