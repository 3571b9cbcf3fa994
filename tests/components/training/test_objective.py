import numpy as np
import pytest

from components.foundation.errors import UserError
from components.foundation.statistics.task import Task
from components.training.data import ClassWeight
from components.training.objective import CHANCES, Loss, Objective
from components.training.plan import Aim

RENTS = np.array([50_000, 80_000, 110_000], np.float32)


@pytest.mark.parametrize("loss", [Loss.SQUARED, Loss.HUBER])
def test_an_answer_is_the_way_back_from_a_target(loss: Loss) -> None:
    objective = Objective(loss, 80_000.0, 20_000.0)

    assert objective.targets(RENTS).tolist() == [-1.5, 0, 1.5]
    assert objective.answer(objective.targets(RENTS), np.tanh).tolist() == RENTS.tolist()
    assert objective.of(RENTS, RENTS) == 0.0


def test_huber_counts_far_off_labels_less_than_squares_do() -> None:
    squared, huber = (Objective(one, 0.0, 1.0) for one in (Loss.SQUARED, Loss.HUBER))
    zero, off = np.zeros(2, np.float32), np.array([0.5, 4], np.float32)

    assert squared.of(zero, off) == pytest.approx((0.25 + 16) / 2)
    assert huber.of(zero, off) == pytest.approx((0.125 + 3.5) / 2)


def test_chances_are_left_as_they_are() -> None:
    labels = np.array([0, 1], np.float32)

    assert CHANCES.targets(labels) is labels
    assert CHANCES.answer(2.0, lambda raw: raw / 4) == 0.5


@pytest.mark.parametrize(
    ("text", "task", "loss"),
    [
        ("", Task.CLASSIFICATION, Loss.LOG_LOSS),
        ("", Task.REGRESSION, Loss.SQUARED),
        ("huber", Task.REGRESSION, Loss.HUBER),
    ],
)
def test_a_loss_is_read_by_its_task(text: str, task: Task, loss: Loss) -> None:
    assert Loss.parse(text, task) is loss


def test_refuses_a_loss_of_another_task_and_weights_of_no_classes() -> None:
    with pytest.raises(UserError, match="none of task classification"):
        Loss.parse("huber", Task.CLASSIFICATION)
    with pytest.raises(UserError, match="has no classes"):
        Aim(Loss.SQUARED, ClassWeight.BALANCED)
