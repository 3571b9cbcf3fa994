"""Drift that matters and is no noise: effect floor, noise floor, and all columns together.

For each column three questions are asked of two profiles of one shape: has the distribution
moved (PSI), the share of nulls, the share of levels that the reference does not name? An
answer is drift when all three hold: the effect is above its floor (relevance); PSI is above
what chance alone makes of so many rows and bins; the p-value stays below alpha after
correction for all questions asked. The verdict is then the same at 20 thousand rows and at
a million, and in any unit.

What it cannot see: a changed relation of features and label (that needs labels:
`measure_performance`), and rows that depend on each other, which make chance larger than
assumed here.
"""

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from components.foundation.errors import UserError
from components.foundation.statistics import multiplicity
from components.foundation.verdict import Decision, Verdict
from components.preparation.profile.columns import Categorical, Column, Numeric
from components.preparation.profile.profile import Profile

_SMOOTHING = 0.5  # rows added to every bin, so an empty one has a finite logarithm


class Question(enum.StrEnum):
    """What may have moved in a column."""

    DISTRIBUTION = "distribution"
    NULLS = "nulls"
    UNSEEN = "unseen levels"


@dataclass(frozen=True, slots=True)
class Floors:
    """What counts as drift.

    Attributes:
        alpha: chance of a false alarm over all columns together.
        effect: least PSI that matters; 0.03 is about 0.17 standard deviations.
        share: least change that matters in the share of nulls or of unseen levels.
        rows: a window or reference with fewer is not judged.
        correction: what alpha bounds.
    """

    alpha: float = 0.01
    effect: float = 0.03
    share: float = 0.02
    rows: int = 500
    correction: multiplicity.Correction = multiplicity.Correction.BENJAMINI_HOCHBERG

    @classmethod
    def parse(
        cls, alpha: float, effect: float, share: float, rows: int, correction: str
    ) -> "Floors":
        """Read what a component is given."""
        return cls(alpha, effect, share, rows, multiplicity.Correction.parse(correction))

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1 or self.effect < 0 or self.share < 0:
            raise UserError(
                f"drift: alpha {self.alpha}, effect floor {self.effect}, share floor "
                f"{self.share}; expected 0 < alpha < 1 and floors of at least 0",
                code="setting-out-of-range",
            )


@dataclass(frozen=True, slots=True)
class Answer:
    """How far one thing moved in one column, and how far chance alone would move it."""

    column: str
    question: Question
    effect: float
    noise: float
    p_value: float


@dataclass(frozen=True, slots=True)
class Finding:
    """An answer, judged beside all others."""

    answer: Answer
    floor: float
    adjusted: float
    drifted: bool

    @property
    def ratio(self) -> float:
        """The effect in floors: what columns are ordered by."""
        return self.answer.effect / self.floor if self.floor else math.inf

    def to_dict(self) -> dict[str, Any]:
        return {
            "column": self.answer.column,
            "question": str(self.answer.question),
            "effect": self.answer.effect,
            "floor": self.floor,
            "noise": self.answer.noise,
            "p": self.answer.p_value,
            "p_adjusted": self.adjusted,
            "drifted": self.drifted,
        }


def judge(
    reference: Profile,
    window: Profile,
    *,
    subject: str,
    score: str = "score",
    floors: Floors | None = None,
) -> Verdict:
    """Compare a window with its reference; the score's drift is listed first.

    Raises:
        UserError: the window has columns or bins that the reference lacks.
    """
    limits = floors or Floors()
    evidence: dict[str, Any] = {
        "rows": window.rows,
        "reference_rows": reference.rows,
        "alpha": limits.alpha,
        "correction": str(limits.correction),
        "effect_floor": limits.effect,
        "share_floor": limits.share,
    }
    if min(window.rows, reference.rows) < limits.rows:
        reason = (
            f"the window has {window.rows} rows, the reference {reference.rows}; "
            f"fewer than {limits.rows} cannot tell drift from noise"
        )
        decision = Decision.INCONCLUSIVE
    else:
        findings = _ordered(compare(reference, window, limits), score)
        drifted = [f for f in findings if f.drifted]
        decision = Decision.DRIFT if drifted else Decision.STABLE
        reason = _reason(drifted, score, len(window.columns))
        evidence["drifted"] = list(dict.fromkeys(f.answer.column for f in drifted))
        evidence["findings"] = [f.to_dict() for f in findings]
    return Verdict(f"drift {subject}", decision, reason, evidence, judged=str(window.digest()))


def compare(reference: Profile, window: Profile, floors: Floors) -> list[Finding]:
    """Ask every question of every column of the window, and judge the answers together."""
    answers = [
        answer
        for name, column in window.columns.items()
        for answer in _answers(name, _partner(reference, name, column), column, floors)
    ]
    corrected = multiplicity.adjusted([a.p_value for a in answers], floors.correction)
    return [_judged(a, float(p), floors) for a, p in zip(answers, corrected, strict=True)]


def _judged(answer: Answer, adjusted: float, floors: Floors) -> Finding:
    floor = floors.effect if answer.question is Question.DISTRIBUTION else floors.share
    drifted = answer.effect > floor and answer.effect > answer.noise and adjusted <= floors.alpha
    return Finding(answer, floor, adjusted, drifted)


def _answers(name: str, before: Column, after: Column, floors: Floors) -> list[Answer]:
    known = _Pair(_bins(before), _bins(after))
    nulls = _Share(before.nulls, before.rows), _Share(after.nulls, after.rows)
    answers = [_moved(name, Question.NULLS, *nulls, floors.alpha)]
    if known.comparable:
        effect, noise, p_value = known.psi(floors.alpha)
        answers.append(Answer(name, Question.DISTRIBUTION, effect, noise, p_value))
    if isinstance(before, Categorical) and isinstance(after, Categorical) and known.comparable:
        unseen = _Share(before.other, int(known.n)), _Share(after.other, int(known.m))
        answers.append(_moved(name, Question.UNSEEN, *unseen, floors.alpha))
    return answers


@dataclass(frozen=True, slots=True)
class _Pair:
    """Counts in the same bins, before and after."""

    before: NDArray[np.float64]
    after: NDArray[np.float64]

    @property
    def n(self) -> float:
        return float(self.before.sum())

    @property
    def m(self) -> float:
        return float(self.after.sum())

    @property
    def comparable(self) -> bool:
        """A column of nulls only has no distribution; its nulls are asked for anyway."""
        return bool(self.n and self.m)

    def psi(self, alpha: float) -> tuple[float, float, float]:
        """Return PSI, what chance makes of it at alpha, and its p-value.

        Of one law, PSI / (1/n + 1/m) follows chi-squared with one degree of freedom less
        than there are bins (Yurdakul 2018). Bins empty on both sides say nothing.
        """
        from scipy import stats

        used = (self.before + self.after) > 0
        p, q = _smoothed(self.before[used]), _smoothed(self.after[used])
        psi = float(((q - p) * np.log(q / p)).sum())
        scale = 1 / self.n + 1 / self.m
        freedom = max(int(used.sum()) - 1, 1)
        noise = scale * float(stats.chi2.isf(alpha, freedom))
        return psi, noise, float(stats.chi2.sf(psi / scale, freedom))


def _smoothed(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    total = float(counts.sum()) + _SMOOTHING * counts.size
    return (counts + _SMOOTHING) / total


@dataclass(frozen=True, slots=True)
class _Share:
    """So many of so many rows."""

    part: int
    of: int

    @property
    def value(self) -> float:
        return self.part / self.of


def _moved(name: str, question: Question, before: _Share, after: _Share, alpha: float) -> Answer:
    """Compare two shares: the effect is their difference, noise as of a pooled share."""
    from scipy import stats

    pooled = (before.part + after.part + 1) / (before.of + after.of + 2)
    deviation = math.sqrt(pooled * (1 - pooled) * (1 / before.of + 1 / after.of))
    effect = abs(after.value - before.value)
    p_value = float(2 * stats.norm.sf(effect / deviation))
    return Answer(name, question, effect, float(stats.norm.isf(alpha / 2)) * deviation, p_value)


def _bins(column: Column) -> NDArray[np.float64]:
    match column:
        case Numeric(counts=counts):
            return np.asarray(counts, dtype=np.float64)
        case Categorical(counts=counts, other=other):
            return np.asarray([*counts, other], dtype=np.float64)
        case _:
            assert_never(column)


def _partner(reference: Profile, name: str, column: Column) -> Column:
    found = reference.columns.get(name)
    if found is None or found.blank() != column.blank():
        raise UserError(
            f"drift: the window's column {name!r} has other bins than the reference; "
            "make the window's profile with the same reference",
            code="not-additive",
        )
    return found


def _ordered(findings: Sequence[Finding], score: str) -> list[Finding]:
    """The score first, because it says what drift does; then by effect."""
    return sorted(findings, key=lambda f: (f.answer.column != score, not f.drifted, -f.ratio))


def _reason(drifted: Sequence[Finding], score: str, columns: int) -> str:
    if not drifted:
        return f"none of {columns} columns moved beyond its floors"
    names = list(dict.fromkeys(f.answer.column for f in drifted))
    first = drifted[0].answer
    also = "" if score in names else "; the score did not"
    return (
        f"{len(names)} of {columns} columns drifted{also}; first: {first.column}, "
        f"{first.question} by {first.effect:.3f} (floor {drifted[0].floor:g})"
    )
