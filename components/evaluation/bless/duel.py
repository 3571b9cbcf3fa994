"""Two models on the same rows, and what the difference is worth."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from components.evaluation.bless.expectations import Expectations
from components.evaluation.labels import Labelled
from components.foundation.statistics import bootstrap
from components.foundation.statistics.bootstrap import Interval
from components.foundation.statistics.metrics import Floats
from components.foundation.statistics.task import Scores, Task

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Contender:
    """A model's name, digest and scores."""

    name: str
    digest: str
    scores: Floats
    band: tuple[float, float] | None = None  # that it promised its errors to lie in


def constant(rows: Labelled) -> Contender:
    """Return the model that always says the mean: the best constant, in hindsight."""
    mean = float(rows.labels.mean())
    name = "the base rate" if rows.task is Task.CLASSIFICATION else "the mean"
    return Contender(name, "", np.full(rows.labels.size, mean))


@dataclass(frozen=True, slots=True)
class Duel:
    """Both models' metrics, and challenger minus champion with intervals.

    Attributes:
        decides: the metric that decides; lower is better.
    """

    challenger: Contender
    champion: Contender
    challenger_scores: Scores
    champion_scores: Scores
    differences: Mapping[str, Interval]
    decides: str
    task: Task

    @property
    def same(self) -> bool:
        return self.challenger.digest == self.champion.digest

    def to_dict(self) -> dict[str, Any]:
        compared = {name: interval.to_dict() for name, interval in self.differences.items()}
        return {
            "challenger": {"name": self.challenger.name, **self.challenger_scores.to_dict()},
            "champion": {"name": self.champion.name, **self.champion_scores.to_dict()},
            "difference": compared,
            "level": LEVEL,
            **({} if self.task is Task.CLASSIFICATION else {"decides": self.decides}),
        }


def fight(
    rows: Labelled, challenger: Contender, champion: Contender, *, asked: Expectations, seed: int
) -> Duel:
    """Resample the same rows for both, and take the differences."""
    stick, both = rows.yardstick, (challenger, champion)
    own, other = (stick.measure(rows.labels, one.scores) for one in both)
    ours, theirs = bootstrap.replicate(
        [stick.prepare(rows.labels, one.scores) for one in both],
        rows.labels.size,
        resamples=asked.resamples,
        seed=seed,
        groups=rows.groups(asked.groups),
    )
    differences = {
        name: bootstrap.interval(
            getattr(own, name) - getattr(other, name), ours[name] - theirs[name], level=LEVEL
        )
        for name in dict.fromkeys((stick.decides[0], *stick.metrics))
    }
    decides = asked.decides or stick.decides[0]
    return Duel(challenger, champion, own, other, differences, decides, rows.task)
