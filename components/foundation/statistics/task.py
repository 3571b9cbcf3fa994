"""What a model is for, and so how it is measured: chances of a yes, or a number."""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, assert_never

import numpy as np

from components.foundation.errors import UserError, nearest
from components.foundation.statistics import metrics, ranking, regression
from components.foundation.statistics.bootstrap import Prepared
from components.foundation.statistics.metrics import Floats


class Task(enum.StrEnum):
    """What a model predicts: the chance of 1 against 0, or a number in the label's unit."""

    CLASSIFICATION = "classification"
    REGRESSION = "regression"

    @classmethod
    def parse(cls, text: str) -> "Task":
        known = [str(member) for member in cls]
        if text not in known:
            raise UserError(
                f"task {text!r}: expected classification or regression; {nearest(text, known)}",
                code="task-unknown",
            )
        return cls(text)


class Scores(Protocol):
    """The numbers by which a model is known."""

    @property
    def rows(self) -> int:
        """How many rows were measured."""

    def to_dict(self) -> dict[str, float | None]:
        """Return every number by name; None where there is none."""


@dataclass(frozen=True, slots=True)
class Metric:
    """What a person calls it, and whether more (1), less (-1) or neither is better."""

    title: str
    better: int = -1


@dataclass(frozen=True, slots=True)
class Yardstick:
    """How models of a task are measured and told apart.

    Attributes:
        task: whose.
        output: what a served model's answer is called.
        mean_label: what the scores call the mean of the labels.
        decides: metrics that may decide between two models, all better when lower; the first
            does unless a project names another.
        guard: the metric that must not have become worse meanwhile.
        metrics: with intervals, by name.
        wrong: says what is wrong with labels; empty when nothing is.
        measure: labels and scores to numbers.
        prepare: labels and scores to what is resampled.
    """

    task: Task
    output: str
    mean_label: str
    decides: tuple[str, ...]
    guard: str
    metrics: Mapping[str, Metric]
    wrong: Callable[[Floats], str]
    measure: Callable[[Floats, Floats], Scores]
    prepare: Callable[[Floats, Floats], Prepared]


def yardstick(task: Task) -> Yardstick:
    match task:
        case Task.CLASSIFICATION:
            return _CLASSIFICATION
        case Task.REGRESSION:
            return _REGRESSION
        case _:
            assert_never(task)


def _no_class(labels: Floats) -> str:
    others = int((~np.isin(labels, (0.0, 1.0))).sum())
    return f"something else in {others} rows; expected 0 and 1" if others else ""


def _no_number(labels: Floats) -> str:
    others = int((~np.isfinite(labels)).sum())
    return f"infinite or NaN in {others} rows; expected finite numbers" if others else ""


_CLASSIFICATION = Yardstick(
    task=Task.CLASSIFICATION,
    output="probability",
    mean_label="base_rate",
    decides=("log_loss",),
    guard="auc",
    metrics={
        "auc": Metric("AUC", 1),
        "log_loss": Metric("log loss"),
        "brier": Metric("Brier score"),
    },
    wrong=_no_class,
    measure=metrics.Scores.of,
    prepare=ranking.Resampled.of,
)
_REGRESSION = Yardstick(
    task=Task.REGRESSION,
    output="prediction",
    mean_label="mean_label",
    decides=("rmse", "mae"),
    guard="mae",
    metrics={
        "mae": Metric("mean absolute error"),
        "rmse": Metric("RMSE"),
        "r2": Metric("R²", 1),
        "median_absolute_error": Metric("median absolute error"),
        "bias": Metric("bias", 0),
        "wape": Metric("absolute error by size"),
    },
    wrong=_no_number,
    measure=regression.Scores.of,
    prepare=regression.Resampled.of,
)
