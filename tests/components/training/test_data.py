from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from components.foundation.errors import UserError
from components.training import data
from components.training.data import ClassWeight, Rows

Make = Callable[[int, int], pa.Table]


def _read(table: pa.Table, features: list[str]) -> Rows:
    return data.labelled(table, data.signature(table, features), label="late")


def test_the_signature_follows_from_the_columns(rows: Make) -> None:
    found = data.signature(rows(100, 1), ["carrier_code", "wind"])

    assert [(t.name, t.datatype) for t in found.inputs] == [
        ("carrier_code", "INT64"),
        ("wind", "FP32"),
    ]
    assert [(t.name, t.datatype, t.shape) for t in found.outputs] == [
        ("probability", "FP32", (-1,))
    ]


def test_integers_with_nulls_become_floats_with_nan(rows: Make) -> None:
    found = _read(rows(100, 1), ["seats"])

    assert found.inputs["seats"].dtype == np.float32
    assert np.isnan(found.inputs["seats"]).any()


def test_rows_without_a_label_are_left_out_and_counted(rows: Make) -> None:
    table = rows(200, 1)
    found = _read(table, ["wind"])

    assert found.unlabelled == table.column("late").null_count > 0
    assert len(found) + found.unlabelled == 200


def test_refuses_a_text_feature_and_names_it(rows: Make) -> None:
    with pytest.raises(UserError, match="'name' is string; expected a number"):
        data.signature(rows(10, 1), ["name"])


@pytest.mark.parametrize(
    ("features", "label", "message"),
    [
        (["wnd"], "late", "did you mean 'wind'"),
        (["wind"], "lat", "did you mean 'late'"),
        (["wind", "late"], "late", "among the features"),
        (["wind", "wind"], "late", "each named once"),
        ([], "late", "at least one"),
    ],
    ids=["feature", "label", "leak", "twice", "none"],
)
def test_refuses_columns_that_cannot_be_meant(
    rows: Make, features: list[str], label: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        data.columns(rows(10, 1).schema, features, label)


def test_refuses_labels_of_one_class(rows: Make) -> None:
    table = rows(50, 1)
    same = table.set_column(table.column_names.index("late"), "late", pa.array([1] * 50))

    with pytest.raises(UserError, match="all of one class"):
        _read(same, ["wind"])


def test_an_epoch_shows_every_row_once_in_an_order_of_its_own(rows: Make) -> None:
    found = _read(rows(500, 1), ["hour"])
    weights = found.weights(ClassWeight.NONE)

    def order(seed: int, epoch: int) -> list[float]:
        batches = found.shuffled(weights, size=64, seed=seed, epoch=epoch)
        return [float(hour) for batch in batches for hour in batch.inputs["hour"]]

    assert sorted(order(1, 1)) == sorted(found.inputs["hour"].tolist())
    assert order(1, 1) == order(1, 1)
    assert order(1, 1) != order(1, 2)
    assert order(1, 1) != order(2, 1)


def test_balanced_classes_weigh_the_same(rows: Make) -> None:
    found = _read(rows(500, 1), ["hour"])
    weights = found.weights(ClassWeight.parse("balanced"))

    assert weights[found.labels == 1].sum() == pytest.approx(weights[found.labels == 0].sum())
    assert weights.mean() == pytest.approx(1)


def test_refuses_an_unknown_class_weight() -> None:
    with pytest.raises(UserError, match="did you mean 'balanced'"):
        ClassWeight.parse("balancd")
