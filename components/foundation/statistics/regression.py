"""How far predictions of a number are from what happened, in the label's own unit.

An error is prediction minus label: of a positive bias the model promises too much. What can be
added up (`Errors`) is, so hours merge into days.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from components.foundation.errors import UserError
from components.foundation.statistics.metrics import Floats, finite

BINS = 10


@dataclass(frozen=True, slots=True)
class Errors:
    """Sums from which mean errors follow; `a + b` is of the rows of both.

    Squares of labels are taken around `centre`, so that large labels of small spread (say,
    years) do not lose their digits; both sides need the same one.
    """

    rows: int
    centre: float
    label_sum: float  # of label - centre
    label_squares: float
    error_sum: float
    absolute_sum: float
    squared_sum: float
    size_sum: float  # of |label|

    @classmethod
    def of(cls, labels: ArrayLike, predictions: ArrayLike, *, centre: float | None = None) -> Self:
        y, p = pair(labels, predictions)
        middle = (float(y.mean()) if y.size else 0.0) if centre is None else centre
        away, error = y - middle, p - y
        return cls(
            y.size,
            middle,
            float(away.sum()),
            float((away**2).sum()),
            float(error.sum()),
            float(np.abs(error).sum()),
            float((error**2).sum()),
            float(np.abs(y).sum()),
        )

    def __add__(self, other: "Errors") -> "Errors":
        if other.centre != self.centre:
            raise UserError(
                f"errors around {other.centre} cannot be added to ones around {self.centre}; "
                "give both the same centre",
                code="metrics-do-not-add",
            )
        mine, theirs = asdict(self), asdict(other)
        return Errors(**{n: v + theirs[n] if n != "centre" else v for n, v in mine.items()})

    @property
    def mae(self) -> float:
        return _ratio(self.absolute_sum, self.rows)

    @property
    def rmse(self) -> float:
        return math.sqrt(_ratio(self.squared_sum, self.rows)) if self.rows else math.nan

    @property
    def bias(self) -> float:
        return _ratio(self.error_sum, self.rows)

    @property
    def r2(self) -> float:
        """Share of the labels' variance that the predictions explain; NaN of equal labels."""
        if not self.rows:
            return math.nan
        spread = self.label_squares - self.label_sum**2 / self.rows
        return 1 - self.squared_sum / spread if spread > 0 else math.nan

    @property
    def wape(self) -> float:
        """Sum of absolute errors against the sum of absolute labels: no row divides by 0."""
        return _ratio(self.absolute_sum, self.size_sum)

    @property
    def mean_label(self) -> float:
        return self.centre + _ratio(self.label_sum, self.rows)

    @property
    def mean_score(self) -> float:
        return self.mean_label + self.bias


@dataclass(frozen=True, slots=True)
class Scores:
    """The numbers by which a model of numbers is known; NaN where there is none."""

    rows: int
    mean_label: float
    mean_score: float
    mae: float
    rmse: float
    r2: float
    median_absolute_error: float
    bias: float
    wape: float

    @classmethod
    def of(cls, labels: ArrayLike, predictions: ArrayLike) -> Self:
        y, p = pair(labels, predictions)
        errors = Errors.of(y, p)
        return cls(
            errors.rows,
            errors.mean_label,
            errors.mean_score,
            errors.mae,
            errors.rmse,
            errors.r2,
            float(np.median(np.abs(p - y))) if y.size else math.nan,
            errors.bias,
            errors.wape,
        )

    def to_dict(self) -> dict[str, float | None]:
        return {name: finite(value) for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Resampled:
    """What is the same in every resample: sums a row, and absolute errors in order."""

    sums: Floats  # (6, rows): error, its size, its square; label around the mean, square; |label|
    order: NDArray[np.int64]
    sizes: Floats  # |error| in that order

    @classmethod
    def of(cls, labels: Floats, predictions: Floats) -> Self:
        y, p = pair(labels, predictions)
        error, away = p - y, y - y.mean()
        size = np.abs(error)
        order = np.argsort(size, kind="stable")
        sums = np.stack([error, size, error**2, away, away**2, np.abs(y)])
        return cls(sums, order, size[order])

    def under(self, counts: Floats) -> dict[str, Floats]:
        """Return each metric of each resample (a row of counts)."""
        drawn = counts.sum(axis=1)
        # Not a matrix product: its last digits depend on how many cores there are.
        error, size, square, away, away2, labels = (
            (counts * row).sum(axis=1) / drawn for row in self.sums
        )
        spread = away2 - away**2
        explained = np.divide(square, spread, out=np.full(drawn.shape, np.nan), where=spread > 0)
        return {
            "mae": size,
            "rmse": np.sqrt(square),
            "r2": 1 - explained,
            "median_absolute_error": self._median(counts, drawn),
            "bias": error,
            "wape": np.divide(size, labels, out=np.full(drawn.shape, np.nan), where=labels > 0),
        }

    def _median(self, counts: Floats, drawn: Floats) -> Floats:
        """Return the mean of the two middle ones, which are the same of an odd number."""
        reached = np.cumsum(counts[:, self.order], axis=1)
        low, high = (
            np.argmax(reached > place[:, None], axis=1) for place in ((drawn - 1) // 2, drawn // 2)
        )
        middle: Floats = (self.sizes[low] + self.sizes[high]) / 2
        return middle


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows whose predictions are neighbours: what was promised, what happened, how far off."""

    rows: int
    predicted: float
    observed: float
    low: float  # the tenth part of errors lies below
    high: float  # and above

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def deciles(labels: ArrayLike, predictions: ArrayLike, *, bins: int = BINS) -> tuple[Bin, ...]:
    """Cut the rows, in order of prediction, into parts of equal size; equal ones stay together."""
    y, p = pair(labels, predictions)
    if not y.size:
        return ()
    edges = np.unique(np.quantile(p, np.linspace(0, 1, bins + 1)[1:-1]))
    place = np.searchsorted(edges, p, side="left")
    return tuple(_bin(y[place == i], p[place == i]) for i in np.unique(place))


def _bin(y: Floats, p: Floats) -> Bin:
    low, high = np.quantile(p - y, [0.1, 0.9])
    return Bin(y.size, float(p.mean()), float(y.mean()), float(low), float(high))


def covered(labels: ArrayLike, predictions: ArrayLike, band: Sequence[float]) -> float:
    """Return the share of labels that lie within prediction + band; NaN of no rows."""
    y, p = pair(labels, predictions)
    low, high = band
    return float(((y >= p + low) & (y <= p + high)).mean()) if y.size else math.nan


def pair(labels: ArrayLike, predictions: ArrayLike) -> tuple[Floats, Floats]:
    """Return both as floats of one shape; raises UserError when a number is missing."""
    y = np.asarray(labels, dtype=np.float64)
    p = np.asarray(predictions, dtype=np.float64)
    if y.shape != p.shape or y.ndim != 1:
        raise UserError(
            f"metrics: labels have shape {y.shape}, predictions {p.shape}; expected one of each "
            "a row",
            code="metrics-shapes",
        )
    for name, values in (("label", y), ("prediction", p)):
        if not np.isfinite(values).all():
            raise UserError(
                f"metrics: a {name} is missing or infinite; expected finite numbers: drop "
                "unknown labels first, and fill missing inputs inside the model",
                code="metrics-not-finite",
            )
    return y, p


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
