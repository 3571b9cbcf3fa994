"""One tensor's codecs, held against numpy's own bytes for every datatype."""

import json
import math
from typing import Any

import hypothesis.strategies as st
import ml_dtypes
import numpy as np
import orjson
import pytest
from hypothesis import given, settings

from components.foundation.signature import DTYPES, Array, Tensor, as_bf16
from inference.server.protocol import tensors
from inference.server.protocol.messages import Rejected
from tests.inference.server.protocol.arrays import DATATYPES, SHAPES, arrays, assert_same

FLOATS = ["FP16", "FP32", "FP64", "BF16"]
few = settings(max_examples=12, deadline=None)
each_datatype = pytest.mark.parametrize("datatype", DATATYPES)


def drawn(data: st.DataObject, datatype: str, *, finite: bool) -> tuple[Array, Tensor]:
    values = data.draw(arrays(datatype, data.draw(SHAPES), finite=finite))
    return values, Tensor("x", datatype, values.shape)


def to_json(values: Array) -> list[Any]:
    said: list[Any] = json.loads(
        orjson.dumps(tensors.to_json(values, "x"), option=orjson.OPT_SERIALIZE_NUMPY)
    )
    return said


@each_datatype
@few
@given(st.data())
def test_what_was_written_raw_reads_back(datatype: str, data: st.DataObject) -> None:
    values, tensor = drawn(data, datatype, finite=False)

    raw = tensors.to_raw(values, datatype)

    assert_same(tensors.from_raw(raw, tensor, values.shape), values)


@each_datatype
@few
@given(st.data())
def test_what_was_written_in_json_reads_back_flat_and_nested(
    datatype: str, data: st.DataObject
) -> None:
    values, tensor = drawn(data, datatype, finite=True)

    flat = to_json(values)
    nested = np.fromiter(flat, object, len(flat)).reshape(values.shape).tolist()

    assert_same(tensors.from_json(flat, tensor, values.shape), values)
    if values.ndim:
        assert_same(tensors.from_json(nested, tensor, values.shape), values)


@pytest.mark.parametrize("datatype", sorted(DTYPES.keys() - {"BF16", "BYTES"}))
@few
@given(st.data())
def test_raw_is_what_numpy_calls_little_endian(datatype: str, data: st.DataObject) -> None:
    values, _ = drawn(data, datatype, finite=False)

    little = values.astype(values.dtype.newbyteorder("<"))
    strided = np.repeat(values.reshape(-1), 2)[::2].reshape(values.shape)
    big = values.astype(values.dtype.newbyteorder(">"))

    for laid_out in (values, strided, big, np.asfortranarray(values)):
        assert bytes(tensors.to_raw(laid_out, datatype)) == little.tobytes()


def test_an_element_of_bytes_follows_its_length_little_endian() -> None:
    values = np.array([[b"", b"\0ab"], [b"x" * 258, b"\xff"]], object)

    raw = tensors.to_raw(values, "BYTES")

    assert raw == b"\0\0\0\0\3\0\0\0\0ab\2\1\0\0" + b"x" * 258 + b"\1\0\0\0\xff"


@few
@given(arrays("FP32", 8))
def test_bf16_is_rounded_to_the_nearest_even(values: Array) -> None:
    with np.errstate(over="ignore"):
        want = values.astype(ml_dtypes.bfloat16)

    raw = tensors.to_raw(values, "BF16")

    assert_same(np.frombuffer(raw, ml_dtypes.bfloat16).astype(np.float32), want.astype(np.float32))


def test_a_nan_whose_payload_is_low_stays_one_in_bf16() -> None:
    low = np.array([0x7F800001, 0xFFFFFFFF], np.uint32).view(np.float32)

    assert np.isnan(as_bf16(low)).all()


def test_a_tie_goes_to_the_even_neighbour_in_bf16() -> None:
    ties = np.array([0x3F808000, 0x3F818000], np.uint32).view(np.float32)

    assert as_bf16(ties).view(np.uint32).tolist() == [0x3F800000, 0x3F820000]


def test_raw_input_is_not_copied_where_it_lies_on_its_size() -> None:
    body = memoryview(np.arange(5, dtype=np.float32).tobytes())

    taken = tensors.from_raw(body[4:], Tensor("x", "FP32"), (4,))
    off = tensors.from_raw(body[1:17], Tensor("x", "FP32"), (4,))

    assert taken.base is not None
    assert off.flags.aligned
    assert off.tobytes() == body[1:17]


@pytest.mark.parametrize("datatype", FLOATS)
def test_null_is_missing_and_missing_is_null(datatype: str) -> None:
    values = tensors.from_json([1, None, 2.5], Tensor("x", datatype), (3,))

    np.testing.assert_array_equal(values, np.array([1, math.nan, 2.5], values.dtype))
    assert to_json(values) == [1, None, 2.5]


@pytest.mark.parametrize("datatype", FLOATS)
def test_infinity_leaves_as_null(datatype: str) -> None:
    assert to_json(np.array([math.inf, 1, -math.inf], DTYPES[datatype])) == [None, 1, None]


LARGEST = {"FP16": 65519.9, "FP32": 3.4028235e38, "BF16": 3.39e38}
TOO_LARGE = {"FP16": 65520, "FP32": 3.4028236e38, "BF16": 3.4e38}


@pytest.mark.parametrize("datatype", LARGEST)
@pytest.mark.parametrize("array", [False, True], ids=["list", "array"])
def test_a_float_too_large_for_its_type_is_refused(datatype: str, array: bool) -> None:
    def read(value: float) -> Array:
        data: Any = np.array([value]) if array else [value]
        return tensors.from_json(data, Tensor("x", datatype), (1,))

    assert np.isfinite(read(LARGEST[datatype])).all()
    with pytest.raises(Rejected, match=f"'x': data is not all {datatype} values"):
        read(TOO_LARGE[datatype])


INTEGERS = sorted(name for name, dtype in DTYPES.items() if dtype.kind in "iu")


@pytest.mark.parametrize("datatype", INTEGERS)
@pytest.mark.parametrize("array", [False, True], ids=["list", "array"])
def test_an_integer_beyond_its_type_is_refused(datatype: str, array: bool) -> None:
    limits = np.iinfo(DTYPES[datatype])
    wide = np.uint64 if datatype == "UINT64" else np.int64

    def read(values: list[int]) -> Array:
        data: Any = np.array(values, wide) if array else values
        return tensors.from_json(data, Tensor("x", datatype), (len(values),))

    assert read([limits.min, limits.max]).tolist() == [limits.min, limits.max]
    for beyond in (limits.min - 1, limits.max + 1):
        if not array or np.iinfo(wide).min <= beyond <= np.iinfo(wide).max:
            with pytest.raises(Rejected, match=f"not all {datatype} values"):
                read([beyond])


WRONG_KINDS = [
    *[pytest.param(datatype, True, id=f"true-{datatype}") for datatype in [*INTEGERS, *FLOATS]],
    *[pytest.param(datatype, 1.5, id=f"1.5-{datatype}") for datatype in INTEGERS],
    *[pytest.param(datatype, 1.0, id=f"1.0-{datatype}") for datatype in INTEGERS],
    *[pytest.param(datatype, "1", id=f"text-{datatype}") for datatype in [*INTEGERS, *FLOATS]],
    *[pytest.param(datatype, None, id=f"null-{datatype}") for datatype in [*INTEGERS, "BYTES"]],
    *[pytest.param(datatype, [1], id=f"list-{datatype}") for datatype in DATATYPES],
    *[pytest.param(datatype, {}, id=f"object-{datatype}") for datatype in DATATYPES],
    pytest.param("BOOL", 1, id="1-BOOL"),
    pytest.param("BYTES", 1, id="1-BYTES"),
]


@pytest.mark.parametrize(("datatype", "value"), WRONG_KINDS)
def test_a_value_of_another_kind_is_refused(datatype: str, value: Any) -> None:
    good = {"BOOL": True, "BYTES": "a"}.get(datatype, 1)

    with pytest.raises(Rejected, match=f"'x': data is not all {datatype} values") as refused:
        tensors.from_json([good, value], Tensor("x", datatype), (2,))

    assert refused.value.status == 400


@pytest.mark.parametrize(
    "data",
    [
        pytest.param([[1, 2], [3]], id="ragged"),
        pytest.param([[1, 2], 3], id="half"),
        pytest.param([[1], [2, 3, 4]], id="same count"),
        pytest.param([[[1, 2], [3, 4]]], id="too deep"),
        pytest.param([[1, 2, 3, 4]], id="other shape"),
        pytest.param([[], []], id="empty"),
    ],
)
def test_nesting_other_than_the_shapes_is_refused(data: Any) -> None:
    with pytest.raises(Rejected, match=r"'x': data is not nested as its shape \[2, 2\]"):
        tensors.from_json(data, Tensor("x", "FP32", (2, 2)), (2, 2))


@pytest.mark.parametrize("data", [None, 1, "1", {}, True], ids=str)
def test_data_that_is_no_list_is_refused(data: Any) -> None:
    with pytest.raises(Rejected, match="'x': data is missing or no list"):
        tensors.from_json(data, Tensor("x", "FP32"), (1,))


def test_another_number_of_values_is_refused() -> None:
    with pytest.raises(Rejected, match=r"'x': 3 values, expected 4 for shape \[2, 2\]"):
        tensors.from_json([1, 2, 3], Tensor("x", "FP32", (2, 2)), (2, 2))


@pytest.mark.parametrize(
    ("datatype", "raw", "says"),
    [
        pytest.param("FP32", b"1234567", "7 bytes, expected 8 for shape", id="short"),
        pytest.param("BF16", b"12345", "5 bytes, expected 4 for shape", id="long"),
        pytest.param("BOOL", b"\x01\x02", "neither 0 nor 1", id="bool"),
        pytest.param("BYTES", b"\x01\0\0\0a", "not 2 elements", id="one of two"),
        pytest.param("BYTES", b"\x01\0\0\0a" * 3, "not 2 elements", id="three of two"),
        pytest.param("BYTES", b"\x01\0\0\0a\xff\xff\xff\xffb", "not 2 elements", id="cut"),
        pytest.param("BYTES", b"\x01\0\0\0a\x01\0\0", "not 2 elements", id="cut length"),
        pytest.param("BYTES", b"\0\0\0\0" * 2 + b"x", "not 2 elements", id="rest"),
    ],
)
def test_raw_bytes_that_are_no_such_tensor_are_refused(
    datatype: str, raw: bytes, says: str
) -> None:
    with pytest.raises(Rejected, match=says) as refused:
        tensors.from_raw(raw, Tensor("x", datatype), (2,))

    assert refused.value.status == 400
    assert "input 'x'" in str(refused.value)


def test_bytes_that_are_no_text_must_be_asked_for_in_binary() -> None:
    values = np.array([b"\xff"], object)

    with pytest.raises(
        Rejected, match=r"output 'x': .* no UTF-8; ask for it over v2 with binary_data"
    ):
        tensors.to_json(values, "x")

    assert tensors.to_raw(values, "BYTES") == b"\x01\0\0\0\xff"


@pytest.mark.parametrize("dtype", ["U1", "S1", object])
def test_text_of_any_kind_in_numpy_leaves_as_bytes(dtype: Any) -> None:
    values = np.array(["a", "b"], dtype)

    assert tensors.of_array(values, None) == "BYTES"
    assert tensors.to_raw(values, "BYTES") == b"\x01\0\0\0a\x01\0\0\0b"
    assert to_json(values) == ["a", "b"]
