"""AUC, log loss and Brier score of many resamples at once."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from components.foundation.statistics.metrics import Floats, row_losses


@dataclass(frozen=True, slots=True)
class Resampled:
    """What is the same in every resample: row losses, and rows in order of score."""

    losses: Floats  # (rows, 2): log loss, squared error
    order: NDArray[np.int64]
    ties: NDArray[np.int64]  # where each run of equal scores starts, in that order
    labels: Floats  # in that order

    @classmethod
    def of(cls, labels: Floats, scores: Floats) -> Self:
        order = np.argsort(scores, kind="stable")
        ranked = scores[order]
        ties = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
        losses = np.column_stack(row_losses(labels, scores))
        return cls(losses, order, ties, labels[order])

    def under(self, counts: Floats) -> dict[str, Floats]:
        """Return AUC, log loss and Brier score of each resample (a row of counts)."""
        drawn = counts.sum(axis=1)
        # Not a matrix product: its last digits depend on how many cores there are.
        log_loss, brier = ((counts * loss).sum(axis=1) / drawn for loss in self.losses.T)
        return {"auc": self._auc(counts), "log_loss": log_loss, "brier": brier}

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
