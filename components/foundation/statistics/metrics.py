"""How good scores are against labels: ranking, loss, calibration, confusion.

Labels are 0 or 1, scores are probabilities. What can be added up (`Confusion`,
`Calibration`, `Losses`) is, so hours merge into days.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from components.foundation.errors import UserError

Floats: TypeAlias = NDArray[np.float64]

CLIP = 1e-7  # log loss of a certain and wrong score stays finite: -log(1e-7) is 16
BINS = 10


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the probability that a positive outranks a negative; ties count half.

    NaN when there is only one class: nothing can be ranked.
    """
    y, p = _pair(labels, scores)
    positives = float(y.sum())
    negatives = y.size - positives
    if not positives or not negatives:
        return math.nan
    rank_sum = float(_mean_ranks(p)[y == 1].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def log_loss(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the mean of -log(probability given to what happened); NaN of no rows."""
    return Losses.of(labels, scores).log_loss


def brier(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the mean squared distance of score and label; NaN of no rows."""
    return Losses.of(labels, scores).brier


def row_losses(labels: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats]:
    """Return each row's log loss and squared error."""
    y, p = _pair(labels, scores)
    clipped = np.clip(p, CLIP, 1 - CLIP)
    return -np.where(y == 1, np.log(clipped), np.log1p(-clipped)), (p - y) ** 2


@dataclass(frozen=True, slots=True)
class Losses:
    """Sums from which mean losses and rates follow; `a + b` is of the rows of both."""

    rows: int
    positives: int
    score_sum: float
    log_loss_sum: float
    squared_sum: float

    @classmethod
    def of(cls, labels: ArrayLike, scores: ArrayLike) -> Self:
        y, p = _pair(labels, scores)
        logs, squares = row_losses(y, p)
        return cls(y.size, int(y.sum()), float(p.sum()), float(logs.sum()), float(squares.sum()))

    def __add__(self, other: "Losses") -> "Losses":
        return Losses(
            self.rows + other.rows,
            self.positives + other.positives,
            self.score_sum + other.score_sum,
            self.log_loss_sum + other.log_loss_sum,
            self.squared_sum + other.squared_sum,
        )

    @property
    def log_loss(self) -> float:
        return _ratio(self.log_loss_sum, self.rows)

    @property
    def brier(self) -> float:
        return _ratio(self.squared_sum, self.rows)

    @property
    def base_rate(self) -> float:
        return _ratio(self.positives, self.rows)

    @property
    def mean_score(self) -> float:
        return _ratio(self.score_sum, self.rows)


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts at a threshold (score >= threshold is called positive); `a + b` adds them."""

    threshold: float
    true_positive: int
    false_positive: int
    true_negative: int
    false_negative: int

    @classmethod
    def at(cls, threshold: float, labels: ArrayLike, scores: ArrayLike) -> Self:
        y, p = _pair(labels, scores)
        called, happened = p >= threshold, y == 1
        return cls(
            threshold,
            int((called & happened).sum()),
            int((called & ~happened).sum()),
            int((~called & ~happened).sum()),
            int((~called & happened).sum()),
        )

    def __add__(self, other: "Confusion") -> "Confusion":
        if other.threshold != self.threshold:
            raise UserError(
                f"confusion at {other.threshold} cannot be added to one at {self.threshold}; "
                "count both at the same threshold",
                code="not-additive",
            )
        return Confusion(
            self.threshold,
            self.true_positive + other.true_positive,
            self.false_positive + other.false_positive,
            self.true_negative + other.true_negative,
            self.false_negative + other.false_negative,
        )

    @property
    def matrix(self) -> list[list[int]]:
        """Rows are what happened, columns what was called: negative first."""
        return [
            [self.true_negative, self.false_positive],
            [self.false_negative, self.true_positive],
        ]

    @property
    def precision(self) -> float:
        return _ratio(self.true_positive, self.true_positive + self.false_positive)

    @property
    def recall(self) -> float:
        return _ratio(self.true_positive, self.true_positive + self.false_negative)

    @property
    def accuracy(self) -> float:
        right = self.true_positive + self.true_negative
        return _ratio(right, right + self.false_positive + self.false_negative)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Promised against happened in equal-width bins of the score; `a + b` adds bins."""

    rows: tuple[int, ...]
    positives: tuple[int, ...]
    score_sums: tuple[float, ...]

    @classmethod
    def of(cls, labels: ArrayLike, scores: ArrayLike, *, bins: int = BINS) -> Self:
        y, p = _pair(labels, scores)
        place = np.minimum((p * bins).astype(np.int64), bins - 1)
        return cls(
            tuple(int(n) for n in np.bincount(place, minlength=bins)),
            tuple(int(n) for n in np.bincount(place, weights=y, minlength=bins)),
            tuple(float(s) for s in np.bincount(place, weights=p, minlength=bins)),
        )

    def __add__(self, other: "Calibration") -> "Calibration":
        if len(other.rows) != len(self.rows):
            raise UserError(
                f"calibration of {len(other.rows)} bins cannot be added to one of "
                f"{len(self.rows)}; use the same bins for both",
                code="not-additive",
            )
        return Calibration(
            _added(self.rows, other.rows),
            _added(self.positives, other.positives),
            tuple(a + b for a, b in zip(self.score_sums, other.score_sums, strict=True)),
        )

    @property
    def expected_error(self) -> float:
        """Mean distance of promised and happened over the bins, weighted by rows."""
        gaps = (abs(s - p) for s, p in zip(self.score_sums, self.positives, strict=True))
        return _ratio(sum(gaps), sum(self.rows))

    def points(self) -> list[tuple[int, float, float]]:
        """Return (rows, mean score, rate that happened) of every bin that has rows."""
        filled = zip(self.rows, self.score_sums, self.positives, strict=True)
        return [(n, s / n, p / n) for n, s, p in filled if n]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Self:
        return cls(*(tuple(value[name]) for name in ("rows", "positives", "score_sums")))


@dataclass(frozen=True, slots=True)
class Scores:
    """The numbers by which a model is known; NaN where there is none."""

    rows: int
    base_rate: float
    mean_score: float
    auc: float
    log_loss: float
    brier: float

    @classmethod
    def of(cls, labels: ArrayLike, scores: ArrayLike) -> Self:
        losses = Losses.of(labels, scores)
        return cls(
            losses.rows,
            losses.base_rate,
            losses.mean_score,
            auc(labels, scores),
            losses.log_loss,
            losses.brier,
        )

    def to_dict(self) -> dict[str, float | None]:
        return {name: finite(value) for name, value in asdict(self).items()}


def finite(value: float) -> float | None:
    """Return a number as JSON can hold it: None for NaN and the infinities."""
    return value if math.isfinite(value) else None


def _pair(labels: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats]:
    y = np.asarray(labels, dtype=np.float64)
    p = np.asarray(scores, dtype=np.float64)
    if y.shape != p.shape or y.ndim != 1:
        raise UserError(
            f"metrics: labels have shape {y.shape}, scores {p.shape}; expected one of each a row",
            code="scores-malformed",
        )
    if not np.isin(y, (0.0, 1.0)).all():
        raise UserError(
            "metrics: a label is neither 0 nor 1; drop or fill unknown labels first",
            code="label-not-binary",
        )
    if not ((p >= 0) & (p <= 1)).all():
        raise UserError(
            f"metrics: scores run from {p.min()} to {p.max()}; expected probabilities, "
            "without NaN; does the model end in a sigmoid?",
            code="scores-malformed",
        )
    return y, p


def _mean_ranks(values: Floats) -> Floats:
    """Return ranks from 1; equal values share the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[place]


def _added(left: Sequence[int], right: Sequence[int]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(left, right, strict=True))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
