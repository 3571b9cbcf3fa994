"""Intervals of metrics by resampling rows, or whole groups of rows that vary together.

One set of resamples serves every model, so differences between models are paired. A
resample is a count for each row; metrics of many resamples are weighted sums.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from components.foundation.errors import UserError
from components.foundation.statistics.metrics import Floats

Replicates: TypeAlias = Mapping[str, Floats]  # a metric in each resample

_CELLS = 1_000_000  # counts held at once: 8 MB, about what a cache holds


class Prepared(Protocol):
    """A model's scores of some rows, ready to be measured in many resamples."""

    def under(self, counts: Floats) -> Mapping[str, Floats]:
        """Return each metric of each resample; a row of counts is a resample."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and the range that the resamples put it in."""

    estimate: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float | None]:
        return {k: float(v) if np.isfinite(v) else None for k, v in asdict(self).items()}

    def __str__(self) -> str:
        return f"{figure(self.estimate)} [{figure(self.low)}, {figure(self.high)}]"


def replicate(
    models: Sequence[Prepared],
    rows: int,
    *,
    resamples: int,
    seed: int,
    groups: ArrayLike | None = None,
) -> list[Replicates]:
    """Return each model's metrics in each resample; all models meet the same resamples.

    Args:
        models: what a task's yardstick prepares of labels and scores.
        rows: how many each has.
        resamples: how many.
        seed: same seed, same resamples.
        groups: a value a row; rows of one group are drawn together, because they
            share what happened to them (the weather of a day).
    """
    parts: list[list[Mapping[str, Floats]]] = [[] for _ in models]
    for counts in _counts(rows, resamples=resamples, seed=seed, groups=groups):
        for part, model in zip(parts, models, strict=True):
            part.append(model.under(counts))
    return [{name: np.concatenate([p[name] for p in part]) for name in part[0]} for part in parts]


def figure(value: float, *, sign: str = "") -> str:
    """Write a number for a sentence: 0.7421, 12.34, 1,234.6."""
    digits = 4 if not abs(value) >= 10 else 2 if abs(value) < 1000 else 1
    return f"{value:{sign},.{digits}f}"


def interval(estimate: float, replicates: Floats, *, level: float = 0.95) -> Interval:
    """Return the percentile interval; resamples without a value (one class only) are left out."""
    known = replicates[np.isfinite(replicates)]
    if not known.size:
        return Interval(estimate, float("nan"), float("nan"))
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, float(low), float(high))


def _counts(rows: int, *, resamples: int, seed: int, groups: ArrayLike | None) -> Iterator[Floats]:
    """Yield blocks of how often each row is drawn, (resamples, rows) in all."""
    if not rows or resamples < 1:
        raise UserError(
            f"bootstrap: {rows} rows, {resamples} resamples; expected some of both", code="no-rows"
        )
    random = np.random.default_rng(seed)
    place = np.arange(rows) if groups is None else np.unique(groups, return_inverse=True)[1]
    drawn = int(place.max()) + 1
    block = max(1, _CELLS // rows)
    for start in range(0, resamples, block):
        draws = random.integers(0, drawn, size=(min(block, resamples - start), drawn))
        counts = np.stack([np.bincount(draw, minlength=drawn) for draw in draws])
        yield counts[:, place].astype(np.float64)
