"""How to train: what is minimised, by which steps, for how long (see `train_torch`)."""

from dataclasses import dataclass
from typing import Any

from components.foundation.errors import UserError
from components.foundation.statistics.task import Task
from components.training.data import ClassWeight
from components.training.objective import Loss


@dataclass(frozen=True, slots=True)
class Aim:
    """What is minimised: a loss, and how rows count in it."""

    loss: Loss = Loss.LOG_LOSS
    class_weight: ClassWeight = ClassWeight.NONE

    @classmethod
    def parse(cls, task: str, loss: str, class_weight: str) -> "Aim":
        """Read what a component is given; an empty loss is the task's first."""
        weight = ClassWeight.parse(class_weight)
        return cls(Loss.parse(loss, Task.parse(task)), weight)

    def __post_init__(self) -> None:
        if self.class_weight is not ClassWeight.NONE and self.task is not Task.CLASSIFICATION:
            raise UserError(
                f"class_weight {self.class_weight}: a {self.task} has no classes; expected none",
                code="setting-out-of-range",
            )

    @property
    def task(self) -> Task:
        return self.loss.task


@dataclass(frozen=True, slots=True)
class Steps:
    """How AdamW goes: rows a step, how far, and how much weights decay."""

    batch_size: int
    learning_rate: float
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        _above_zero(batch_size=self.batch_size, learning_rate=self.learning_rate)


@dataclass(frozen=True, slots=True)
class Length:
    """When training ends: after so many epochs, or so many without a lower validation loss."""

    epochs: int
    patience: int

    def __post_init__(self) -> None:
        _above_zero(epochs=self.epochs, patience=self.patience)


@dataclass(frozen=True, slots=True)
class Plan:
    """All of it, and the seed of initial weights and of the order of rows."""

    aim: Aim
    steps: Steps
    length: Length
    seed: int

    def facts(self) -> dict[str, Any]:
        """Return it for a model's card; a classifier's says what it always said."""
        facts = {
            "epochs": self.length.epochs,
            "batch_size": self.steps.batch_size,
            "learning_rate": self.steps.learning_rate,
            "patience": self.length.patience,
            "class_weight": str(self.aim.class_weight),
            "seed": self.seed,
            "weight_decay": self.steps.weight_decay,
        }
        if self.aim.task is not Task.CLASSIFICATION:
            facts |= {"task": str(self.aim.task), "loss": str(self.aim.loss)}
        return facts


def _above_zero(**numbers: float) -> None:
    for name, value in numbers.items():
        if not value > 0:
            raise UserError(f"{name} is {value}; expected more than 0", code="setting-out-of-range")
