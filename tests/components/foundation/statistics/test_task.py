from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from components.foundation.errors import UserError
from components.foundation.statistics import labels
from components.foundation.statistics.task import Task, yardstick


@pytest.mark.parametrize("task", list(Task))
def test_every_metric_is_measured_and_resampled(task: Task) -> None:
    stick = yardstick(task)
    y, scores = np.array([0.0, 1, 1, 0]), np.array([0.2, 0.7, 0.9, 0.4])
    measured = stick.measure(y, scores).to_dict()
    resampled = stick.prepare(y, scores).under(np.ones((1, 4)))

    assert set(stick.metrics) == set(resampled)
    for name in stick.metrics:
        assert resampled[name][0] == pytest.approx(measured[name]), name
    assert {*stick.decides, stick.guard} <= set(stick.metrics)
    assert stick.mean_label in measured


def test_an_unknown_task_names_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'regression'"):
        Task.parse("regresion")


def _table(values: list[Any]) -> pa.Table:
    return pa.table({"label": values})


@pytest.mark.parametrize(
    ("values", "task", "words"),
    [
        ([0.0, 0.5], Task.CLASSIFICATION, "expected 0 and 1"),
        ([0.0, float("nan")], Task.REGRESSION, "expected finite numbers"),
        ([1.0, float("inf")], Task.REGRESSION, "in 1 rows"),
        (["12", "13"], Task.REGRESSION, "expected a number: cast it in the SQL"),
    ],
    ids=["no class", "nan", "infinite", "text"],
)
def test_refuses_labels_of_another_kind(values: list[Any], task: Task, words: str) -> None:
    with pytest.raises(UserError, match=words):
        labels.known(_table(values), "label", task=task, source="t@1")


def test_rows_without_a_label_are_left_out() -> None:
    rows, found = labels.known(_table([7, None, -3]), "label", task=Task.REGRESSION, source="t@1")

    assert (rows.num_rows, found.tolist()) == (2, [7.0, -3.0])
