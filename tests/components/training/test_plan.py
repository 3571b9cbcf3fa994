"""A plan is refused before an epoch is spent on it, and named the same in every card."""

from collections.abc import Callable

import pytest

from components.foundation.errors import UserError
from components.training.data import ClassWeight
from components.training.objective import Loss
from components.training.plan import Aim, Length, Plan, Steps


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Length(0, 2), "epochs is 0"),
        (lambda: Length(8, 0), "patience is 0"),
        (lambda: Steps(0, 0.1), "batch_size is 0"),
        (lambda: Steps(32, float("nan")), "learning_rate is nan"),
    ],
    ids=["no epoch", "no patience", "no rows", "no number"],
)
def test_refuses_numbers_that_are_not_above_zero(make: Callable[[], object], said: str) -> None:
    with pytest.raises(UserError, match=f"{said}; expected more than 0"):
        make()


def test_an_aim_without_a_loss_takes_the_first_of_its_task() -> None:
    assert Aim.parse("regression", "", "none") == Aim(Loss.SQUARED)
    assert Aim.parse("classification", "", "balanced") == Aim(class_weight=ClassWeight.BALANCED)


def test_a_card_names_task_and_loss_of_a_regression_only() -> None:
    classes = Plan(Aim(), Steps(32, 0.1, 0.5), Length(8, 2), seed=1).facts()
    numbers = Plan(Aim(Loss.HUBER), Steps(32, 0.1, 0.5), Length(8, 2), seed=1).facts()

    assert classes == {
        "epochs": 8,
        "batch_size": 32,
        "learning_rate": 0.1,
        "patience": 2,
        "class_weight": "none",
        "seed": 1,
        "weight_decay": 0.5,
    }
    assert numbers == {**classes, "task": "regression", "loss": "huber"}
