"""Intervals of metrics by resampling rows, or whole groups of rows that vary together.

One set of resamples serves every model, so differences between models are paired. A
resample is a count for each row; metrics of many resamples are weighted sums.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from components.foundation.errors import UserError
from components.foundation.statistics.metrics import Floats, row_losses

_CELLS = 1_000_000  # counts held at once: 8 MB, about what a cache holds


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and the range that the resamples put it in."""

    estimate: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float | None]:
        return {k: float(v) if np.isfinite(v) else None for k, v in asdict(self).items()}

    def __str__(self) -> str:
        return f"{self.estimate:.4f} [{self.low:.4f}, {self.high:.4f}]"


@dataclass(frozen=True, slots=True)
class Replicates:
    """One model's metrics in each resample; `a - b` are paired differences."""

    auc: Floats
    log_loss: Floats
    brier: Floats

    def __sub__(self, other: "Replicates") -> "Replicates":
        return Replicates(
            self.auc - other.auc, self.log_loss - other.log_loss, self.brier - other.brier
        )


def replicate(
    labels: ArrayLike,
    models: Sequence[ArrayLike],
    *,
    resamples: int,
    seed: int,
    groups: ArrayLike | None = None,
) -> list[Replicates]:
    """Return the replicates of each model's scores over the same resamples.

    Args:
        labels: 0 or 1 a row.
        models: the scores of each model on these rows.
        resamples: how many.
        seed: same seed, same resamples.
        groups: a value a row; rows of one group are drawn together, because they
            share what happened to them (the weather of a day).
    """
    y = np.asarray(labels, dtype=np.float64)
    prepared = [_Prepared.of(y, np.asarray(scores, dtype=np.float64)) for scores in models]
    parts: list[list[tuple[Floats, Floats, Floats]]] = [[] for _ in prepared]
    for counts in _counts(y.size, resamples=resamples, seed=seed, groups=groups):
        for part, model in zip(parts, prepared, strict=True):
            part.append(model.under(counts))
    return [Replicates(*(np.concatenate(p) for p in zip(*part, strict=True))) for part in parts]


def interval(estimate: float, replicates: Floats, *, level: float = 0.95) -> Interval:
    """Return the percentile interval; resamples without a value (one class only) are left out."""
    known = replicates[np.isfinite(replicates)]
    if not known.size:
        return Interval(estimate, float("nan"), float("nan"))
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, float(low), float(high))


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What is the same in every resample: row losses, and rows in order of score."""

    losses: Floats  # (rows, 2): log loss, squared error
    order: NDArray[np.int64]
    ties: NDArray[np.int64]  # where each run of equal scores starts, in that order
    labels: Floats  # in that order

    @classmethod
    def of(cls, labels: Floats, scores: Floats) -> "_Prepared":
        order = np.argsort(scores, kind="stable")
        ranked = scores[order]
        ties = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
        losses = np.column_stack(row_losses(labels, scores))
        return cls(losses, order, ties, labels[order])

    def under(self, counts: Floats) -> tuple[Floats, Floats, Floats]:
        """Return AUC, log loss and Brier score of each resample (a row of counts)."""
        drawn = counts.sum(axis=1)
        # Not a matrix product: its last digits depend on how many cores there are.
        log_loss, brier = ((counts * loss).sum(axis=1) / drawn for loss in self.losses.T)
        return self._auc(counts), log_loss, brier

    def _auc(self, counts: Floats) -> Floats:
        ranked = counts[:, self.order]
        every = np.add.reduceat(ranked, self.ties, axis=1)
        positive = np.add.reduceat(ranked * self.labels, self.ties, axis=1)
        negative = every - positive
        below = np.cumsum(negative, axis=1) - negative / 2
        pairs = positive.sum(axis=1) * negative.sum(axis=1)
        won = (positive * below).sum(axis=1)
        rates: Floats = np.divide(won, pairs, out=np.full(won.shape, np.nan), where=pairs > 0)
        return rates


def _counts(rows: int, *, resamples: int, seed: int, groups: ArrayLike | None) -> Iterator[Floats]:
    """Yield blocks of how often each row is drawn, (resamples, rows) in all."""
    if not rows or resamples < 1:
        raise UserError(f"bootstrap: {rows} rows, {resamples} resamples; expected some of both")
    random = np.random.default_rng(seed)
    place = np.arange(rows) if groups is None else np.unique(groups, return_inverse=True)[1]
    drawn = int(place.max()) + 1
    block = max(1, _CELLS // rows)
    for start in range(0, resamples, block):
        draws = random.integers(0, drawn, size=(min(block, resamples - start), drawn))
        counts = np.stack([np.bincount(draw, minlength=drawn) for draw in draws])
        yield counts[:, place].astype(np.float64)
