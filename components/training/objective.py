"""What training minimises, in the task's own units or in the label's standard deviations.

A network learns badly from labels of a hundred thousand: so a regression's labels are
standardised by the training rows, and the way back is part of the exported model, which
therefore answers in the label's own unit.
"""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, assert_never

import numpy as np
from numpy.typing import NDArray

from components.foundation.errors import UserError, nearest
from components.foundation.statistics import metrics
from components.foundation.statistics.task import Task, yardstick

Floats32 = NDArray[np.float32]
T = TypeVar("T")


class Loss(enum.StrEnum):
    """Loss of a row: of a chance; of a number by its square, or less for far-off ones."""

    LOG_LOSS = "log_loss"
    SQUARED = "squared"
    HUBER = "huber"  # squared within one standard deviation, absolute beyond

    @classmethod
    def parse(cls, text: str, task: Task) -> "Loss":
        """Read a loss; empty is the task's first. Raises UserError if it is not of the task."""
        fitting = [str(loss) for loss in cls if loss.task is task]
        if not text:
            return cls(fitting[0])
        if text not in fitting:
            raise UserError(
                f"loss {text!r} is none of task {task}; {nearest(text, fitting)}",
                code="choice-unknown",
            )
        return cls(text)

    @property
    def task(self) -> Task:
        return Task.CLASSIFICATION if self is Loss.LOG_LOSS else Task.REGRESSION


@dataclass(frozen=True, slots=True)
class Objective:
    """A loss, and the mean and deviation of the training labels (0 and 1 of classes)."""

    loss: Loss
    mean: float = 0.0
    deviation: float = 1.0

    @property
    def task(self) -> Task:
        return self.loss.task

    def targets(self, labels: Floats32) -> Floats32:
        """Return what a model is to come near, before the way back to the label's unit."""
        if self.loss is Loss.LOG_LOSS:
            return labels
        return ((labels - self.mean) / self.deviation).astype(np.float32)

    def answer(self, raw: T, sigmoid: Callable[[T], T]) -> T:
        """Turn what a model gives, a tensor of any framework, into what is served."""
        match self.loss:
            case Loss.LOG_LOSS:
                return sigmoid(raw)
            case Loss.SQUARED | Loss.HUBER:
                there: Any = raw
                back: T = there * self.deviation + self.mean
                return back
            case _:
                assert_never(self.loss)

    def of(self, labels: Floats32, answers: Floats32) -> float:
        """Return the mean loss of answers, in the unit that training minimises."""
        if self.loss is Loss.LOG_LOSS:
            return metrics.log_loss(labels, answers)
        far = np.abs(np.asarray(answers, np.float64) - labels) / self.deviation
        if self.loss is Loss.SQUARED:
            return float((far**2).mean())
        return float(np.where(far <= 1, far**2 / 2, far - 0.5).mean())

    def measured(self, labels: Floats32, answers: Floats32) -> dict[str, float]:
        """Return the metrics to tell of after an epoch, in the label's unit."""
        stick = yardstick(self.task)
        scores = stick.measure(np.asarray(labels, np.float64), np.asarray(answers, np.float64))
        values: Mapping[str, float | None] = scores.to_dict()
        shown = ("log_loss", "auc") if self.loss is Loss.LOG_LOSS else ("rmse", "mae", "r2")
        return {name: float(values[name] or 0.0) for name in shown}


CHANCES = Objective(Loss.LOG_LOSS)
