"""Large bodies: simdjson may be quicker than orjson, never of another opinion."""

import json
from typing import Any

import hypothesis.strategies as st
import numpy as np
import orjson
import pytest
from hypothesis import example, given, settings

from components.foundation.signature import DTYPES, Array, Signature, Tensor
from inference.server.protocol import documents, rest
from inference.server.protocol.messages import Rejected
from tests.inference.server.protocol.arrays import arrays, assert_same

few = settings(max_examples=100, deadline=None)
NUMERIC = sorted(DTYPES.keys() - {"BOOL", "BYTES"})


def body(datatype: str, shape: list[int], data: Any, more: str = "") -> bytes:
    text = data if isinstance(data, str) else json.dumps(data)
    return (
        f'{{"inputs": [{{"name": "x", "datatype": "{datatype}", "shape": {shape}, '
        f'"data": {text}}}]{more}}}'
    ).encode()


def outcome(raw: bytes, signature: Signature, monkeypatch: pytest.MonkeyPatch, large: int) -> Any:
    with monkeypatch.context() as patch:
        patch.setattr(documents, "LARGE", large)
        try:
            return rest.parse(raw, signature).inputs["x"]
        except Rejected as rejected:
            return str(rejected)


def assert_one_opinion(raw: bytes, tensor: Tensor) -> None:
    signature = Signature((tensor,), (Tensor("y", "FP32"),))
    with pytest.MonkeyPatch.context() as patch:
        quick = outcome(raw, signature, patch, 0)
        sure = outcome(raw, signature, patch, 1 << 60)
    if isinstance(sure, str):
        assert quick == sure
    else:
        assert_same(quick, sure)


ODD = st.sampled_from(
    [
        *("null", "true", '"1"', "[]", "[1]", "{}", '{"a": 1}', "1e400", "-0", "-0.0", "0.1e1"),
        *("1e-400", "9007199254740993", "9223372036854775808", "-9223372036854775809"),
        *("18446744073709551615", "18446744073709551616", "01", "1.", "+1", "NaN", "1e5", "", "["),
        *("3.4028235677973366e38", "65519.999999999999", "2.2250738585072011e-308", "]", '"["'),
    ]
)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False).map(repr) | st.integers().map(str)
LISTS = st.recursive(
    st.lists(NUMBERS | ODD, max_size=4).map(lambda values: f"[{', '.join(values)}]"),
    lambda inner: st.lists(inner, max_size=3).map(lambda lists: f"[{', '.join(lists)}]"),
    max_leaves=4,
)
REGULAR = st.tuples(st.integers(1, 3), st.integers(1, 3)).flatmap(
    lambda sides: st.lists(
        st.lists(NUMBERS | ODD, min_size=sides[1], max_size=sides[1]).map(
            lambda row: f"[{', '.join(row)}]"
        ),
        min_size=sides[0],
        max_size=sides[0],
    ).map(lambda rows: f"[{', '.join(rows)}]")
)


@few
@given(st.sampled_from(NUMERIC), st.lists(st.integers(1, 3), max_size=3), LISTS | REGULAR)
@example("FP32", [3], "[1, [2, 3]]")
@example("FP32", [2], "[[], [1, 2]]")
@example("FP32", [2, 2], "[[1, 2], [3, 4]]")
@example("FP32", [2, 2], "[[1], [2, 3, 4]]")
@example("FP32", [2, 1, 2], "[[[1, 2]], [3, 4]]")
@example("FP32", [2, 2], "[[1, 2], [[3], 4]]")
@example("FP32", [2, 2, 2], "[[1, 2], [[1, 2, 3], [4, 5, 6]]]")
@example("FP32", [2, 1, 1], "[[1], [[[2]]]]")
@example("FP64", [1], "[9007199254740993]")
def test_the_quick_reading_is_the_sure_one(datatype: str, shape: list[int], data: str) -> None:
    assert_one_opinion(body(datatype, shape, data), Tensor("x", datatype, (-1,) * len(shape)))


@pytest.mark.parametrize("rows", [2, 28, 29, 30, 31, 60])
def test_a_list_too_deep_is_found_among_few_and_many(rows: int) -> None:
    tensor = Tensor("x", "FP32", (-1, 1))
    deep = ", ".join(["[1]"] * (rows - 1) + ["[[1]]"])
    flat = [1.0] * rows

    documents._quickly(body("FP32", [rows, 1], [[1.0]] * rows))
    documents._quickly(body("FP32", [rows, 1], flat))
    for data in (f"[{deep}]", str([*flat[1:], [1]])):
        with pytest.raises(documents._Unsure):
            documents._quickly(body("FP32", [rows, 1], data))
        assert_one_opinion(body("FP32", [rows, 1], data), tensor)


@few
@given(st.binary(min_size=1, max_size=4), st.data())
def test_a_changed_byte_is_taken_alike(changed: bytes, data: st.DataObject) -> None:
    good = body("FP32", [2, 2], [[1.5, 2], [3, 4e3]], ', "id": "é", "parameters": {"a": [1]}')
    place = data.draw(st.integers(0, len(good)))
    length = data.draw(st.integers(0, 2))

    broken = good[:place] + changed + good[place + length :]

    assert_one_opinion(broken, Tensor("x", "FP32", (-1, 2)))


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"\xef\xbb\xbf" + body("FP32", [1], [1]), id="byte order mark"),
        pytest.param(body("FP32", [1], [1]) + b" x", id="more behind"),
        pytest.param(body("FP32", [1], [1]) + b"\0", id="NUL behind"),
        pytest.param(body("FP32", [1], [1], ', "a": "\\ud800"'), id="half a surrogate"),
        pytest.param(body("FP32", [1], [1], ', "inputs": []'), id="inputs twice"),
        pytest.param(body("FP32", [1], [1], ', "parameters": 1, "parameters": {}'), id="twice"),
        pytest.param(body("FP32", [1], '[1], "data": [2]'), id="data twice"),
        pytest.param(body("FP32", [1], '[1], "data\\u0000": [2]'), id="a name with NUL"),
        pytest.param(body("FP32", [1], [1], ', "id": "[["'), id="brackets in text"),
        pytest.param(body("FP32", [1], [1], ', "a": ' + "[" * 1023 + "]" * 1023), id="deep"),
        pytest.param(body("FP32", [1], [1], ', "a": ' + "[" * 1024 + "]" * 1024), id="too deep"),
        pytest.param(body("FP32", [1], [1], ', "outputs": [{"name": "y"}]'), id="outputs"),
        pytest.param(b"[" + body("FP32", [1], [1]) + b"]", id="a list"),
        pytest.param(b" " + body("FP32", [1], [1]), id="white space first"),
        pytest.param(b'{"inputs": {"x": 1}}', id="inputs no list"),
        pytest.param(b'{"inputs": [1]}', id="an input no object"),
        pytest.param(b'{"inputs": [{"name": "x", "datatype": "FP32", "data": [1]}]}', id="shape"),
        pytest.param(body("FP32", [1], 1), id="data no list"),
        pytest.param(body("FP99", [1], [1]), id="datatype"),
        pytest.param(b"{", id="cut"),
        pytest.param(b"\xff", id="no UTF-8"),
    ],
)
def test_oddities_are_taken_alike(raw: bytes) -> None:
    assert_one_opinion(raw, Tensor("x", "FP32"))


@pytest.mark.parametrize("datatype", NUMERIC)
@settings(max_examples=5, deadline=None)
@given(st.data())
def test_numbers_of_a_large_body_become_no_objects(datatype: str, data: st.DataObject) -> None:
    shape = (2, 3, 2)
    values: Array = data.draw(arrays(datatype, shape, finite=True))
    whole = np.nan_to_num(values.astype(values.dtype))
    said = orjson.dumps(whole.tolist()).decode()

    for written in (said, "[" + said.replace("[", "").replace("]", "") + "]"):
        document = documents._quickly(body(datatype, list(shape), written))
        assert isinstance(document["inputs"][0]["data"], np.ndarray)
        assert_one_opinion(body(datatype, list(shape), written), Tensor("x", datatype, shape))


def test_a_large_body_is_read_by_simdjson(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "load_plain", None)
    large = body("FP32", [documents.LARGE], [0.5] * documents.LARGE)

    assert documents.load(large)["inputs"][0]["data"].sum() == documents.LARGE / 2
