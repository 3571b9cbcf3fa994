"""v1's predict: rows and columns in, predictions out."""

import base64
import json
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from components.foundation.signature import Array, Signature, Tensor
from inference.server.protocol import v1
from inference.server.protocol.messages import InferRequest, Rejected, Wanted
from tests.inference.server.protocol.arrays import DATATYPES, arrays, assert_same

OUT = (Tensor("y", "FP32"),)
ONE = Signature((Tensor("x", "FP32", (-1, 2)),), OUT)
TWO = Signature((Tensor("wind", "FP32"), Tensor("carrier", "BYTES")), OUT)
LONE = Signature((Tensor("x", "INT64", ()),), OUT)
ROWS: list[dict[str, Any]] = [{"wind": 1.5, "carrier": "EK"}, {"wind": None, "carrier": "é"}]
COLUMNS = {"wind": [1.5, None], "carrier": ["EK", "é"]}


def parse(value: Any, signature: Signature = TWO) -> InferRequest:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return v1.parse(body, signature)


def predictions(outputs: dict[str, Array], *, rows: int = 2) -> Any:
    wanted = tuple(Wanted(name) for name in outputs)
    request = InferRequest({"x": np.zeros(rows)}, wanted)
    return json.loads(v1.encode(request, outputs))["predictions"]


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"instances": ROWS}, id="rows"),
        pytest.param({"inputs": COLUMNS, "signature_name": "any"}, id="columns"),
    ],
)
def test_rows_and_columns_become_the_same_arrays(value: Any) -> None:
    parsed = parse(value)

    assert_same(parsed.inputs["wind"], np.array([1.5, np.nan], np.float32))
    assert parsed.inputs["carrier"].tolist() == [b"EK", "é".encode()]
    assert (parsed.rows, [wanted.name for wanted in parsed.outputs]) == (2, ["y"])


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"instances": [[1, 2], [3, 4]]}, id="plain rows"),
        pytest.param({"instances": [{"x": [1, 2]}, {"x": [3, 4]}]}, id="named rows"),
        pytest.param({"inputs": [[1, 2], [3, 4]]}, id="plain column"),
        pytest.param({"inputs": {"x": [[1, 2], [3, 4]]}}, id="named column"),
    ],
)
def test_one_input_may_go_without_its_name(value: Any) -> None:
    assert_same(parse(value, ONE).inputs["x"], np.array([[1, 2], [3, 4]], np.float32))


@pytest.mark.parametrize("value", [7, {"x": 7}])
def test_a_lone_value_comes_as_a_column(value: Any) -> None:
    assert_same(parse({"inputs": value}, LONE).inputs["x"], np.array(7))


def test_bytes_may_come_in_base64() -> None:
    said = {"b64": base64.b64encode(b"\xff\0").decode()}
    signature = Signature((Tensor("x", "BYTES"),), OUT)

    for value in ({"instances": [said, "a"]}, {"inputs": [said, "a"]}):
        assert parse(value, signature).inputs["x"].tolist() == [b"\xff\0", b"a"]


@pytest.mark.parametrize(
    ("value", "signature", "says"),
    [
        pytest.param(b"{", TWO, "the body is not JSON", id="cut"),
        pytest.param([], TWO, "the body is no JSON object", id="list"),
        pytest.param({}, TWO, "expected either instances (rows) or inputs", id="neither"),
        pytest.param({"instances": ROWS, "inputs": COLUMNS}, TWO, "expected either", id="both"),
        pytest.param({"instances": []}, TWO, "instances: expected a list", id="no rows"),
        pytest.param({"instances": {}}, TWO, "instances: expected a list", id="rows object"),
        pytest.param({"instances": [1]}, TWO, "row 0 is no object", id="plain"),
        pytest.param({"instances": [ROWS[0], 1]}, TWO, "row 1 is no object", id="half plain"),
        pytest.param({"instances": [{"wind": 1}]}, TWO, "'carrier': missing", id="missing"),
        pytest.param(
            {"instances": [{**ROWS[0], "winds": 1}]}, TWO, "did you mean 'wind'", id="unknown"
        ),
        pytest.param({"inputs": [1]}, TWO, "an object with the model's 2 inputs", id="column"),
        pytest.param({"inputs": {"wind": [1]}}, TWO, "'carrier': missing", id="missing column"),
        pytest.param({"inputs": {**COLUMNS, "w": [1]}}, TWO, "'w': unknown", id="unknown column"),
        pytest.param(
            {"inputs": {**COLUMNS, "wind": [1]}}, TWO, "inputs have [1, 2] rows", id="uneven"
        ),
        pytest.param({"instances": [[1, 2], [3]]}, ONE, "not nested as its shape", id="ragged"),
        pytest.param({"instances": [1, 2]}, ONE, "shape [2], expected [-1, 2]", id="flat"),
        pytest.param({"instances": [[1, True]]}, ONE, "not all FP32 values", id="true"),
        pytest.param({"instances": [{}]}, ONE, "'x': missing", id="empty row"),
        pytest.param({"instances": [[1, 2], {"x": [1, 2]}]}, ONE, "not nested", id="mixed"),
        pytest.param({"inputs": [7]}, LONE, "shape [1], expected []", id="lone in a list"),
        pytest.param({"inputs": {**COLUMNS, "carrier": ["a", {"b64": "?"}]}}, TWO, "b64", id="b64"),
        pytest.param({"inputs": {**COLUMNS, "carrier": ["a", {"b64": 1}]}}, TWO, "b64", id="1"),
        pytest.param({"inputs": {**COLUMNS, "carrier": ["a", {"x": ""}]}}, TWO, "b64", id="x"),
        pytest.param(
            {"inputs": {**COLUMNS, "carrier": ["a", None]}}, TWO, "not all BYTES", id="null"
        ),
    ],
)
def test_a_request_that_does_not_fit_is_400_and_says_why(
    value: Any, signature: Signature, says: str
) -> None:
    with pytest.raises(Rejected) as refused:
        parse(value, signature)

    assert refused.value.status == 400
    assert says in str(refused.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["x", "wind", "carrier", "b64"]), inner)
    ),
    max_leaves=6,
)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(["instances", "inputs"]), JSON, st.sampled_from([ONE, TWO, LONE]))
def test_any_members_are_a_request_or_a_400(member: str, value: Any, signature: Signature) -> None:
    try:
        parsed = parse({member: value}, signature)
    except Rejected as refused:
        assert refused.status == 400  # noqa: PT017, any of the two may happen
    else:
        assert parsed.inputs.keys() == {tensor.name for tensor in signature.inputs}


@pytest.mark.parametrize("datatype", DATATYPES)
@settings(max_examples=8, deadline=None)
@given(st.data())
def test_a_request_gives_the_arrays_it_was_made_of(datatype: str, data: st.DataObject) -> None:
    values: Array = data.draw(arrays(datatype, (data.draw(st.integers(1, 3)), 2), finite=True))
    signature = Signature((Tensor("x", datatype, (-1, 2)),), OUT)

    written = predictions({"x": values}, rows=len(values))

    assert_same(parse({"instances": written}, signature).inputs["x"], values)


def test_one_output_is_a_list_of_values() -> None:
    assert predictions({"y": np.array([0.1, np.nan], np.float32)}) == [0.1, None]
    assert predictions({"y": np.array([[1, 2], [3, 4]], np.float16)}) == [[1, 2], [3, 4]]
    assert predictions({"y": np.array([b"a", "b"], object)}) == ["a", "b"]


def test_several_outputs_are_an_object_a_row() -> None:
    outputs: dict[str, Array] = {
        "p": np.array([0.1, np.nan], np.float32),
        "q": np.array([[1, 2], [3, 4]], np.int8),
        "r": np.array([True, False]),
        "s": np.array([b"a", b"b"], object),
    }

    assert predictions(outputs) == [
        {"p": 0.1, "q": [1, 2], "r": True, "s": "a"},
        {"p": None, "q": [3, 4], "r": False, "s": "b"},
    ]


def test_outputs_without_a_batch_are_one_prediction() -> None:
    outputs: dict[str, Array] = {"p": np.array(0.5), "q": np.array([1, 2, 3])}

    assert predictions(outputs) == [{"p": [0.5], "q": [1, 2, 3]}]


def test_a_strided_output_is_written_too() -> None:
    assert predictions({"y": np.arange(4.0).reshape(2, 2).T}) == [[0, 2], [1, 3]]


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(Rejected, match="output 'y': holds bytes that are no UTF-8"):
        predictions({"y": np.array([b"\xff"], object)}, rows=1)
