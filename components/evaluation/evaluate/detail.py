"""What only one task has: calibration and confusion of chances, residuals of numbers."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol, assert_never

from components.evaluation.labels import Labelled
from components.foundation.statistics import regression
from components.foundation.statistics.metrics import Calibration, Confusion, Floats, finite
from components.foundation.statistics.task import Task


class Detail(Protocol):
    """Metrics and counts beyond those with intervals."""

    def metrics(self) -> Mapping[str, float | None]:
        """Return further numbers by name, which expectations may ask for."""

    def to_dict(self) -> dict[str, Any]:
        """Return the counts behind the pictures."""


@dataclass(frozen=True, slots=True)
class Chances:
    """How chances were kept, and what calling at a threshold would have done."""

    calibration: Calibration
    confusion: Confusion

    def metrics(self) -> dict[str, float | None]:
        return {
            "calibration_error": finite(self.calibration.expected_error),
            "precision": finite(self.confusion.precision),
            "recall": finite(self.confusion.recall),
            "accuracy": finite(self.confusion.accuracy),
        }

    def to_dict(self) -> dict[str, Any]:
        return {"calibration": self.calibration.to_dict(), "confusion": asdict(self.confusion)}


@dataclass(frozen=True, slots=True)
class Residuals:
    """Promised and observed by tenths of the prediction, and how labels fit a promised band.

    The band lies around a prediction and holds nine tenths of the errors of the rows that
    training stopped by; `coverage` is the share of these rows that it holds.
    """

    deciles: tuple[regression.Bin, ...]
    band: tuple[float, float] | None = None
    coverage: float = float("nan")

    def metrics(self) -> dict[str, float | None]:
        return {"coverage": finite(self.coverage)}

    def to_dict(self) -> dict[str, Any]:
        known = [one.to_dict() for one in self.deciles]
        return {"deciles": known, "band": list(self.band) if self.band else None}


NAMES: Mapping[Task, tuple[str, ...]] = {
    Task.CLASSIFICATION: ("calibration_error", "precision", "recall", "accuracy"),
    Task.REGRESSION: ("coverage",),
}


def of(
    rows: Labelled,
    scores: Floats,
    *,
    threshold: float = 0.5,
    band: tuple[float, float] | None = None,
) -> Chances | Residuals:
    """Look closer at scores, as their task asks for."""
    match rows.task:
        case Task.CLASSIFICATION:
            return Chances(
                Calibration.of(rows.labels, scores), Confusion.at(threshold, rows.labels, scores)
            )
        case Task.REGRESSION:
            held = regression.covered(rows.labels, scores, band) if band else float("nan")
            return Residuals(regression.deciles(rows.labels, scores), band, held)
        case _:
            assert_never(rows.task)
