"""The training loop that both frameworks share: epochs, early stopping, checkpoints.

The order of rows depends on seed and epoch only, and a checkpoint holds all that a learner
is; so a run that was killed and resumed ends with the same weights as one that was not.
"""

import json
import math
import pathlib
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from components.foundation.errors import UserError
from components.training.checkpoints import Checkpoints, Saved
from components.training.data import Arrays, Batch, Floats32, Rows
from components.training.objective import CHANCES, Objective
from components.training.plan import Length, Plan

_MIN_GAIN = 1e-5  # an epoch that lowers the validation loss by less counts as no better


class Learner(Protocol):
    """A model and its optimiser, in some framework."""

    def begin(self, epoch: int) -> None:
        """Seed whatever is random within an epoch, such as dropout."""

    def learn(self, batch: Batch) -> float:
        """Take one step; return the mean loss of the batch."""

    def score(self, inputs: Arrays) -> Floats32:
        """Return what would be served: probabilities, or numbers in the label's unit."""

    def save(self) -> bytes:
        """Return all state: weights, optimiser."""

    def load(self, state: bytes) -> None:
        """Take back what `save` returned."""

    def weights(self) -> Arrays:
        """Return what was learnt, by name."""

    def export(self, folder: pathlib.Path) -> None:
        """Write the model into a folder, in its framework's own format."""

    @property
    def framework(self) -> tuple[str, str]:
        """Name and version of the framework."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the training rows, and how good the model was after it.

    Attributes:
        number: from 1.
        loss: mean over the training rows, while they were learnt.
        validation: the same loss on the validation rows; decides when to stop.
        metrics: of the validation rows, in the label's unit.
        seconds: of the training rows.
    """

    number: int
    loss: float
    validation: float
    metrics: Mapping[str, float]
    seconds: float

    def __str__(self) -> str:
        measured = ", ".join(f"{name} {value:.4f}" for name, value in self.metrics.items())
        return (
            f"epoch {self.number}: loss {self.loss:.4f}, validation {measured}, "
            f"{self.seconds:.1f} s"
        )


@dataclass(frozen=True, slots=True)
class History:
    """Every epoch so far; `History.decode(h.encode()) == h`."""

    epochs: tuple[Epoch, ...] = ()

    @property
    def best(self) -> Epoch:
        """The first epoch that no later one beats by more than a hair."""
        best = self.epochs[0]
        for epoch in self.epochs[1:]:
            if epoch.validation < best.validation - _MIN_GAIN:
                best = epoch
        return best

    def plus(self, epoch: Epoch) -> "History":
        return History((*self.epochs, epoch))

    def done(self, length: Length) -> bool:
        if not self.epochs:
            return False
        since_best = self.epochs[-1].number - self.best.number
        return len(self.epochs) >= length.epochs or since_best >= length.patience

    def throughput(self, rows: int) -> float:
        """Rows a second, over all epochs; the validation is not counted."""
        return rows * len(self.epochs) / sum(epoch.seconds for epoch in self.epochs)

    def points(self) -> list[dict[str, Any]]:
        """Return the curve as JSON values, for a report that draws it again."""
        return [
            {
                "epoch": epoch.number,
                "training loss": epoch.loss,
                "validation loss": epoch.validation,
                "best": epoch == self.best,
            }
            for epoch in self.epochs
        ]

    def encode(self) -> str:
        return json.dumps([asdict(epoch) for epoch in self.epochs])

    @classmethod
    def decode(cls, text: str) -> "History":
        return cls(tuple(Epoch(**value) for value in json.loads(text)))


@dataclass(frozen=True, slots=True)
class Fold:
    """The rows to learn from and those to stop by."""

    train: Rows
    validation: Rows


def fit(
    learner: Learner,
    fold: Fold,
    plan: Plan,
    *,
    objective: Objective = CHANCES,
    checkpoints: Checkpoints,
    say: Callable[[str], object] = print,
) -> History:
    """Train until the validation loss has not fallen for `patience` epochs.

    The learner ends with the weights of the best epoch.

    Raises:
        UserError: the loss or a score became NaN.
    """
    history, best = _resume(learner, checkpoints, say)
    while not history.done(plan.length):
        epoch = _epoch(learner, fold, plan, objective, len(history.epochs) + 1)
        history = history.plus(epoch)
        if history.best == epoch:
            best = learner.save()
        checkpoints.put(Saved(history.encode(), learner.save(), best))
        say(str(epoch))
    learner.load(best)
    return history


def _resume(
    learner: Learner, checkpoints: Checkpoints, say: Callable[[str], object]
) -> tuple[History, bytes]:
    saved = checkpoints.get()
    if saved is None:
        return History(), b""
    history = History.decode(saved.history)
    learner.load(saved.state)
    say(f"resumed after epoch {history.epochs[-1].number} from a checkpoint")
    return history, saved.best


def _epoch(learner: Learner, fold: Fold, plan: Plan, objective: Objective, number: int) -> Epoch:
    started = time.perf_counter()
    learner.begin(number)
    weights = fold.train.weights(plan.aim.class_weight)
    total = 0.0
    size = plan.steps.batch_size
    for batch in fold.train.shuffled(weights, size=size, seed=plan.seed, epoch=number):
        total += learner.learn(batch) * batch.labels.size
    _refuse_nan(total, f"epoch {number}: the loss is {total}")
    seconds = time.perf_counter() - started
    scores = learner.score(fold.validation.inputs)
    _refuse_nan(float(np.sum(scores)), f"epoch {number}: a validation score is not a number")
    labels = fold.validation.labels
    return Epoch(
        number,
        total / len(fold.train),
        objective.of(labels, scores),
        objective.measured(labels, scores),
        seconds,
    )


def _refuse_nan(value: float, what: str) -> None:
    if not math.isfinite(value):
        raise UserError(
            f"{what}; lower the learning rate, and fill missing floats (NaN) inside the model",
            code="training-nan",
        )
