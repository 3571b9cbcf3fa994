"""What a model takes and gives: read, fed from rows, and written as requests."""

import json
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from components.foundation.errors import UserError
from components.foundation.signature import (
    DTYPES,
    Signature,
    Tensor,
    as_bf16,
    json_values,
)

SIGNATURE = Signature(
    inputs=(Tensor("wind", "FP32"), Tensor("carrier", "INT64")),
    outputs=(Tensor("probability", "FP32"),),
)
ROWS = pa.table({"carrier": [1, 2, 3], "wind": [0.5, None, math.nan]})


def test_a_signature_reads_back_as_it_was_written() -> None:
    assert Signature.from_dict(json.loads(json.dumps(SIGNATURE.to_dict()))) == SIGNATURE


def test_an_unknown_datatype_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'FP32'"):
        Tensor("wind", "FP3")


def test_feeds_columns_by_name_in_the_models_types() -> None:
    inputs = SIGNATURE.feed(ROWS)

    assert list(inputs) == ["wind", "carrier"]
    assert [str(array.dtype) for array in inputs.values()] == ["float32", "int64"]
    np.testing.assert_array_equal(inputs["wind"], np.array([0.5, np.nan, np.nan], np.float32))


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        pytest.param(pa.table({"wind": [1.0], "carier": [1]}), "did you mean 'carier'", id="name"),
        pytest.param(pa.table({"wind": [1.0], "carrier": [None]}), "1 nulls", id="null"),
    ],
)
def test_refuses_rows_that_the_model_cannot_take(rows: pa.Table, says: str) -> None:
    with pytest.raises(UserError, match=says):
        SIGNATURE.feed(rows)


@pytest.mark.parametrize("datatype", DTYPES)
def test_columns_become_tensors_of_every_datatype(datatype: str) -> None:
    odd: dict[str, list[Any]] = {"BOOL": [True, False], "BYTES": ["EK", "é"]}
    values = odd.get(datatype, [1, 2])
    signature = Signature((Tensor("x", datatype),), SIGNATURE.outputs)

    fed = signature.feed(pa.table({"x": values}))["x"]

    assert fed.dtype == DTYPES[datatype]
    assert fed.tolist() == ([b"EK", "é".encode()] if datatype == "BYTES" else values)
    assert json.loads(signature.request({"x": fed}))["inputs"][0]["data"] == values


@pytest.mark.parametrize(("datatype", "value"), [("UINT8", 256), ("UINT8", -1), ("INT32", 1 << 31)])
def test_an_integer_that_does_not_fit_is_not_cut(datatype: str, value: int) -> None:
    signature = Signature((Tensor("x", datatype),), SIGNATURE.outputs)

    with pytest.raises(UserError, match=f"goes from {value} to {value}, the model wants") as raised:
        signature.feed(pa.table({"x": [value]}))

    assert raised.value.code == "model-input-range"


def test_a_column_is_rounded_to_what_bf16_holds() -> None:
    signature = Signature((Tensor("x", "BF16"),), SIGNATURE.outputs)

    fed = signature.feed(pa.table({"x": [1.00390625, None, -3.0]}))["x"]

    np.testing.assert_array_equal(fed, np.array([1.0, np.nan, -3.0], np.float32))
    np.testing.assert_array_equal(as_bf16(fed), fed)


def test_a_request_says_null_where_a_value_is_missing() -> None:
    value: dict[str, Any] = json.loads(SIGNATURE.request(SIGNATURE.feed(ROWS), id="r-1"))

    assert value["id"] == "r-1"
    assert value["inputs"] == [
        {"name": "wind", "datatype": "FP32", "shape": [3], "data": [0.5, None, None]},
        {"name": "carrier", "datatype": "INT64", "shape": [3], "data": [1, 2, 3]},
    ]


def test_a_request_without_an_id_leaves_it_to_the_server() -> None:
    assert "id" not in json.loads(SIGNATURE.request(SIGNATURE.feed(ROWS)))


def test_values_keep_their_shape_and_become_plain() -> None:
    values = np.array([[1.0, np.inf], [np.nan, -2.5]])

    assert json_values(values) == [[1.0, None], [None, -2.5]]
    assert json_values(np.array([True, False])) == [True, False]
