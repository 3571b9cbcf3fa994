"""Two models on the same rows, and what the difference is worth."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from components.evaluation.bless.expectations import Expectations
from components.evaluation.labels import Labelled
from components.foundation.statistics import bootstrap
from components.foundation.statistics.bootstrap import Interval
from components.foundation.statistics.metrics import Floats, Scores

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Contender:
    """A model's name, digest and scores."""

    name: str
    digest: str
    scores: Floats


def base_rate(rows: Labelled) -> Contender:
    """Return the model that always says the mean: the best constant, in hindsight."""
    rate = float(rows.labels.mean())
    return Contender("the base rate", "", np.full(rows.labels.size, rate))


@dataclass(frozen=True, slots=True)
class Duel:
    """Both models' metrics, and challenger minus champion with intervals."""

    challenger: Contender
    champion: Contender
    challenger_scores: Scores
    champion_scores: Scores
    log_loss: Interval
    auc: Interval
    brier: Interval

    @property
    def same(self) -> bool:
        return self.challenger.digest == self.champion.digest

    def to_dict(self) -> dict[str, Any]:
        return {
            "challenger": {"name": self.challenger.name, **self.challenger_scores.to_dict()},
            "champion": {"name": self.champion.name, **self.champion_scores.to_dict()},
            "difference": {
                "log_loss": self.log_loss.to_dict(),
                "auc": self.auc.to_dict(),
                "brier": self.brier.to_dict(),
            },
            "level": LEVEL,
        }


def fight(
    rows: Labelled, challenger: Contender, champion: Contender, *, asked: Expectations, seed: int
) -> Duel:
    """Resample the same rows for both, and take the differences."""
    own, other = (Scores.of(rows.labels, c.scores) for c in (challenger, champion))
    replicates = bootstrap.replicate(
        rows.labels,
        [challenger.scores, champion.scores],
        resamples=asked.resamples,
        seed=seed,
        groups=rows.groups(asked.groups),
    )
    difference = replicates[0] - replicates[1]
    intervals = {
        name: bootstrap.interval(
            getattr(own, name) - getattr(other, name), getattr(difference, name), level=LEVEL
        )
        for name in ("log_loss", "auc", "brier")
    }
    return Duel(challenger, champion, own, other, **intervals)
