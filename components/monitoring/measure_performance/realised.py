"""What was promised and what happened, window by window, and a verdict over all of them.

Coverage is part of every number: a window without enough labels is not judged, and a
verdict over such a window is never a pass.
"""

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.foundation import digests
from components.foundation.errors import UserError
from components.foundation.statistics import bootstrap, metrics
from components.foundation.statistics.task import Scores, Task, yardstick
from components.foundation.tables import DataFiles
from components.foundation.verdict import Decision, Verdict
from components.monitoring.measure_performance import join

_LEAST_GROUPS = 10  # days of a month, hours of a day; with fewer, single rows are resampled


@dataclass(frozen=True, slots=True)
class Floors:
    """What a window needs to be judged, and to be judged well."""

    auc: float = 0.0
    coverage: float = 0.8
    labels: int = 100
    resamples: int = 200
    rmse: float = 0.0  # of a regression, a ceiling; 0: none
    task: Task = Task.CLASSIFICATION

    @classmethod
    def parse(cls, auc: float, coverage: float, labels: int, rmse: float, task: str) -> "Floors":
        """Read what a component is given."""
        return cls(auc, coverage, labels, rmse=rmse, task=Task.parse(task))

    @property
    def watched(self) -> str:
        """The metric that says whether a window holds."""
        return "auc" if self.task is Task.CLASSIFICATION else "rmse"

    @property
    def title(self) -> str:
        return yardstick(self.task).metrics[self.watched].title

    @property
    def limit(self) -> float:
        """What the watched metric is held against."""
        if self.task is Task.CLASSIFICATION:
            return self.auc
        return self.rmse or math.inf

    @property
    def words(self) -> tuple[str, str, str]:
        """How a window within the limit, one beyond it, and the worst one are called."""
        if self.task is Task.CLASSIFICATION:
            return "at least", "below", "lowest"
        return "at most", "above", "highest"

    def lost(self, value: float) -> float:
        """Return the watched metric so that less is better."""
        return -value if self.task is Task.CLASSIFICATION else value

    def __post_init__(self) -> None:
        if not (0 <= self.auc <= 1 and 0 <= self.coverage <= 1):
            raise UserError(
                f"performance: min_auc {self.auc}, min_coverage {self.coverage}; expected 0 to 1",
                code="setting-out-of-range",
            )


class State(enum.StrEnum):
    """How a window did."""

    HOLDS = "holds"
    BELOW = "below the floor"
    ABOVE = "above the ceiling"
    UNSURE = "below the floor, within chance"
    UNSURE_ABOVE = "above the ceiling, within chance"
    WAITS = "too few labels"


@dataclass(frozen=True, slots=True)
class Window:
    """What was promised and what happened between two dates; NaN where there is no number."""

    name: str
    predictions: int
    labelled: int
    scores: Scores
    intervals: Mapping[str, bootstrap.Interval]
    state: State
    watched: str
    calibration_error: float | None = None  # of classification

    @property
    def auc(self) -> bootstrap.Interval:
        return self.intervals["auc"]

    @property
    def found(self) -> bootstrap.Interval:
        """The watched metric."""
        return self.intervals[self.watched]

    @property
    def coverage(self) -> float:
        return self.labelled / self.predictions if self.predictions else 0.0

    def to_dict(self) -> dict[str, Any]:
        return {
            "window": self.name,
            "predictions": self.predictions,
            "labelled": self.labelled,
            "coverage": self.coverage,
            **self.scores.to_dict(),
            **self._ends(),
            "state": str(self.state),
        }

    def _ends(self) -> dict[str, float | None]:
        """Write intervals and calibration; of AUC the estimate too, which may be unknown."""
        ends: dict[str, float | None] = {}
        for name in self.intervals:
            one = self.intervals[name].to_dict()
            ends |= {name: one["estimate"], f"{name}_low": one["low"], f"{name}_high": one["high"]}
        if self.calibration_error is not None:
            ends["calibration_error"] = metrics.finite(self.calibration_error)
        return ends


def measure(
    observations: DataFiles,
    labels: DataFiles,
    *,
    by: join.By,
    since: str = "",
    until: str = "",
    floors: Floors | None = None,
) -> list[Window]:
    """Return every window that has predictions, in order of time."""
    windows = join.windows(observations, labels, by=by, since=since, until=until)
    return [window(rows, floors or Floors()) for rows in windows]


def judge(
    windows: Sequence[Window], *, subject: str, floors: Floors, judged: Sequence[str]
) -> Verdict:
    """Say whether the model still does what it must: drift, stable, or not known yet."""
    decision, reason = _decision(windows, floors)
    evidence = {
        **_asked(floors),
        "min_coverage": floors.coverage,
        "min_labels": floors.labels,
        "tables": list(judged),
        "windows": [window.to_dict() for window in windows],
    }
    digest = str(digests.of_json(list(judged)))
    return Verdict(f"performance {subject}", decision, reason, evidence, judged=digest)


def _asked(floors: Floors) -> dict[str, Any]:
    if floors.task is Task.CLASSIFICATION:
        return {"min_auc": floors.auc}
    return {"task": str(floors.task), "max_rmse": floors.rmse}


def _decision(windows: Sequence[Window], floors: Floors) -> tuple[Decision, str]:
    found: dict[State, list[Window]] = {state: [] for state in State}
    for window in windows:
        found[window.state].append(window)
    within, beyond, most = floors.words
    limit = f"{floors.limit:g}"
    if below := [*found[State.BELOW], *found[State.ABOVE]]:
        worst = max(below, key=lambda w: floors.lost(w.found.estimate))
        return Decision.DRIFT, (
            f"realised {floors.title} is {beyond} {limit} in {len(below)} of {len(windows)} "
            f"windows; worst: {worst.name}, {worst.found}"
        )
    if not windows:
        return Decision.INCONCLUSIVE, "no predictions in this time, nothing to measure"
    if waits := found[State.WAITS]:
        first = waits[0]
        return Decision.INCONCLUSIVE, (
            f"{len(waits)} of {len(windows)} windows have too few labels; first: {first.name}, "
            f"{first.labelled} of {first.predictions} predictions"
        )
    if unsure := [*found[State.UNSURE], *found[State.UNSURE_ABOVE]]:
        return Decision.INCONCLUSIVE, (
            f"realised {floors.title} of {unsure[0].name} is {beyond} {limit} but may be so by "
            f"chance: {unsure[0].found}"
        )
    least = max(windows, key=lambda w: floors.lost(w.found.estimate))
    held = f"{within} {limit}" if math.isfinite(floors.limit) else "measured"
    return Decision.STABLE, (
        f"realised {floors.title} is {held} in all {len(windows)} windows; "
        f"{most}: {least.name}, {least.found}"
    )


def window(rows: join.Rows, floors: Floors) -> Window:
    """Measure the rows of one window that have a label, and say how it did."""
    known = np.isfinite(rows.labels) & np.isfinite(rows.scores)
    y, p, parts = rows.labels[known], rows.scores[known], rows.parts[known]
    stick, classes = yardstick(floors.task), floors.task is Task.CLASSIFICATION
    if wrong := stick.wrong(y):
        raise UserError(f"performance: {rows.name}: a label is {wrong}", code="label-not-binary")
    scores = stick.measure(y, p)
    intervals = _intervals(y, p, parts, scores, floors)
    enough = y.size >= max(floors.labels, 1) and y.size >= floors.coverage * rows.scores.size
    return Window(
        name=rows.name,
        predictions=rows.scores.size,
        labelled=int(y.size),
        scores=scores,
        intervals=intervals,
        state=_state(intervals[floors.watched], floors) if enough else State.WAITS,
        watched=floors.watched,
        calibration_error=metrics.Calibration.of(y, p).expected_error if classes else None,
    )


def _state(found: bootstrap.Interval, floors: Floors) -> State:
    """Say how a window did; NaN (one class only) is unsure."""
    if floors.lost(found.estimate) <= floors.lost(floors.limit):
        return State.HOLDS
    if floors.task is Task.CLASSIFICATION:
        return State.BELOW if found.high < floors.limit else State.UNSURE
    return State.ABOVE if found.low > floors.limit else State.UNSURE_ABOVE


_SHOWN = {Task.CLASSIFICATION: ("auc", "log_loss"), Task.REGRESSION: ("rmse", "mae", "r2", "bias")}


def _intervals(
    y: NDArray[np.float64],
    p: NDArray[np.float64],
    parts: NDArray[np.int64],
    scores: Scores,
    floors: Floors,
) -> dict[str, bootstrap.Interval]:
    shown = _SHOWN[floors.task]
    if not y.size:
        return dict.fromkeys(shown, bootstrap.Interval(math.nan, math.nan, math.nan))
    groups = parts if np.unique(parts).size >= _LEAST_GROUPS else None
    prepared = yardstick(floors.task).prepare(y, p)
    (replicates,) = bootstrap.replicate(
        [prepared], y.size, resamples=floors.resamples, seed=0, groups=groups
    )
    return {name: bootstrap.interval(getattr(scores, name), replicates[name]) for name in shown}
