"""Everything we know of how good scores are: metrics with intervals, calibration, slices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from components.evaluation.evaluate import detail
from components.evaluation.evaluate.detail import Chances, Residuals
from components.evaluation.labels import Labelled
from components.foundation.errors import UserError
from components.foundation.statistics import bootstrap
from components.foundation.statistics.bootstrap import Interval
from components.foundation.statistics.metrics import Floats
from components.foundation.statistics.task import Scores, Task

_SMALL = 30  # slices with fewer rows say nothing
_MOST = 50  # slices of one column that are shown, the largest first


@dataclass(frozen=True, slots=True)
class Settings:
    """How to measure; see the face for what each means."""

    threshold: float
    resamples: int
    seed: int
    slices: Sequence[str] = ()
    groups: str = ""
    band: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise UserError(
                f"threshold is {self.threshold}; expected a score between 0 and 1",
                code="setting-out-of-range",
            )


@dataclass(frozen=True, slots=True)
class Slice:
    """The rows where a column has one value."""

    column: str
    value: str
    scores: Scores

    @property
    def name(self) -> str:
        return f"{self.column}={self.value}"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was measured, of which model, on which rows."""

    model: str
    table: str
    unlabelled: int
    scores: Scores
    intervals: Mapping[str, Interval]
    detail: Chances | Residuals
    task: Task = Task.CLASSIFICATION
    slices: tuple[Slice, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def metrics(self) -> dict[str, float]:
        """Return the numbers by name, those that exist."""
        numbers = {
            **self.scores.to_dict(),
            **self.detail.metrics(),
            "rows_without_label": float(self.unlabelled),
        }
        return {name: value for name, value in numbers.items() if value is not None}

    def confusions(self) -> list[tuple[list[str], list[list[int]]]]:
        """Return the names and counts of the confusion matrix; of numbers there is none."""
        if isinstance(self.detail, Residuals):
            return []
        return [(["negative", "positive"], self.detail.confusion.matrix)]

    def to_dict(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "table": self.table,
            "metrics": self.metrics(),
            "intervals": {name: value.to_dict() for name, value in self.intervals.items()},
            **self.detail.to_dict(),
            "slices": [{"slice": s.name, **s.scores.to_dict()} for s in self.slices],
            **self.facts,
        }


def evaluate(rows: Labelled, scores: Floats, settings: Settings, *, model: str) -> Evaluation:
    """Measure scores against the labels of their rows.

    Args:
        rows: with labels.
        scores: one a row.
        settings: threshold, resamples, slices.
        model: digest of what gave the scores.
    """
    stick = rows.yardstick
    whole = stick.measure(rows.labels, scores)
    (replicates,) = bootstrap.replicate(
        [stick.prepare(rows.labels, scores)],
        rows.labels.size,
        resamples=settings.resamples,
        seed=settings.seed,
        groups=rows.groups(settings.groups),
    )
    return Evaluation(
        model=model,
        table=rows.source,
        unlabelled=rows.unlabelled,
        scores=whole,
        intervals={
            name: bootstrap.interval(getattr(whole, name), replicates[name])
            for name in stick.metrics
        },
        detail=detail.of(rows, scores, threshold=settings.threshold, band=settings.band),
        task=rows.task,
        slices=sliced(rows, scores, settings.slices),
        facts={"resamples": settings.resamples, "groups": settings.groups, "seed": settings.seed}
        | ({} if rows.task is Task.CLASSIFICATION else {"task": str(rows.task)}),
    )


def sliced(rows: Labelled, scores: Floats, columns: Sequence[str]) -> tuple[Slice, ...]:
    """Score each value of each column by itself, the largest first, the tiny left out."""
    return tuple(part for column in columns for part in _by(rows, scores, column))


def _by(rows: Labelled, scores: Floats, column: str) -> list[Slice]:
    names, place = rows.coded(column)
    counts = np.bincount(place, minlength=len(names))
    largest = [i for i in np.argsort(-counts, kind="stable") if counts[i] >= _SMALL][:_MOST]
    return [
        Slice(column, names[i], rows.yardstick.measure(rows.labels[place == i], scores[place == i]))
        for i in largest
    ]
