"""What was promised and what happened, window by window, and a verdict over all of them.

Coverage is part of every number: a window without enough labels is not judged, and a
verdict over such a window is never a pass.
"""

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.foundation import digests
from components.foundation.errors import UserError
from components.foundation.statistics import bootstrap, metrics
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
    UNSURE = "below the floor, within chance"
    WAITS = "too few labels"


@dataclass(frozen=True, slots=True)
class Window:
    """What was promised and what happened between two dates; NaN where there is no number."""

    name: str
    predictions: int
    labelled: int
    scores: metrics.Scores
    calibration_error: float
    auc: bootstrap.Interval
    log_loss: bootstrap.Interval
    state: State

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
            "auc": metrics.finite(self.auc.estimate),
            "auc_low": metrics.finite(self.auc.low),
            "auc_high": metrics.finite(self.auc.high),
            "log_loss_low": metrics.finite(self.log_loss.low),
            "log_loss_high": metrics.finite(self.log_loss.high),
            "calibration_error": metrics.finite(self.calibration_error),
            "state": str(self.state),
        }


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
    return [_window(rows, floors or Floors()) for rows in windows]


def judge(
    windows: Sequence[Window], *, subject: str, floors: Floors, judged: Sequence[str]
) -> Verdict:
    """Say whether the model still does what it must: drift, stable, or not known yet."""
    decision, reason = _decision(windows, floors)
    evidence = {
        "min_auc": floors.auc,
        "min_coverage": floors.coverage,
        "min_labels": floors.labels,
        "tables": list(judged),
        "windows": [window.to_dict() for window in windows],
    }
    digest = str(digests.of_json(list(judged)))
    return Verdict(f"performance {subject}", decision, reason, evidence, judged=digest)


def _decision(windows: Sequence[Window], floors: Floors) -> tuple[Decision, str]:
    found: dict[State, list[Window]] = {state: [] for state in State}
    for window in windows:
        found[window.state].append(window)
    if below := found[State.BELOW]:
        worst = min(below, key=lambda w: w.auc.estimate)
        return Decision.DRIFT, (
            f"realised AUC is below {floors.auc:g} in {len(below)} of {len(windows)} windows; "
            f"worst: {worst.name}, {worst.auc}"
        )
    if not windows:
        return Decision.INCONCLUSIVE, "no predictions in this time, nothing to measure"
    if waits := found[State.WAITS]:
        first = waits[0]
        return Decision.INCONCLUSIVE, (
            f"{len(waits)} of {len(windows)} windows have too few labels; first: {first.name}, "
            f"{first.labelled} of {first.predictions} predictions"
        )
    if unsure := found[State.UNSURE]:
        return Decision.INCONCLUSIVE, (
            f"realised AUC of {unsure[0].name} is below {floors.auc:g} but may be so by chance: "
            f"{unsure[0].auc}"
        )
    least = min(windows, key=lambda w: w.auc.estimate)
    return Decision.STABLE, (
        f"realised AUC is at least {floors.auc:g} in all {len(windows)} windows; "
        f"lowest: {least.name}, {least.auc}"
    )


def _window(rows: join.Rows, floors: Floors) -> Window:
    known = np.isfinite(rows.labels) & np.isfinite(rows.scores)
    y, p, parts = rows.labels[known], rows.scores[known], rows.parts[known]
    scores = metrics.Scores.of(y, p)
    auc, log_loss = _intervals(y, p, parts, scores, floors)
    enough = y.size >= max(floors.labels, 1) and y.size >= floors.coverage * rows.scores.size
    return Window(
        name=rows.name,
        predictions=rows.scores.size,
        labelled=int(y.size),
        scores=scores,
        calibration_error=metrics.Calibration.of(y, p).expected_error,
        auc=auc,
        log_loss=log_loss,
        state=_state(auc, floors) if enough else State.WAITS,
    )


def _state(auc: bootstrap.Interval, floors: Floors) -> State:
    if auc.estimate >= floors.auc:
        return State.HOLDS
    return State.BELOW if auc.high < floors.auc else State.UNSURE  # NaN (one class): unsure


def _intervals(
    y: NDArray[np.float64],
    p: NDArray[np.float64],
    parts: NDArray[np.int64],
    scores: metrics.Scores,
    floors: Floors,
) -> tuple[bootstrap.Interval, bootstrap.Interval]:
    if not y.size:
        none = bootstrap.Interval(math.nan, math.nan, math.nan)
        return none, none
    groups = parts if np.unique(parts).size >= _LEAST_GROUPS else None
    (replicates,) = bootstrap.replicate(y, [p], resamples=floors.resamples, seed=0, groups=groups)
    return (
        bootstrap.interval(scores.auc, replicates.auc),
        bootstrap.interval(scores.log_loss, replicates.log_loss),
    )
