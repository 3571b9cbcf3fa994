import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from components.foundation.signature import DTYPES, Array, Signature, Tensor, as_bf16
from inference.server.protocol import grpc_codec
from inference.server.protocol import open_inference_pb2 as pb
from inference.server.protocol.messages import Form, InferRequest, Rejected, Wanted

FIELDS = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


def signature(datatype: str, *shape: int) -> Signature:
    return Signature((Tensor("x", datatype, shape),), (Tensor("y", datatype, shape),))


def raw_bytes(values: Array, datatype: str) -> bytes:
    """Say in numpy's words what the protocol says of raw tensors."""
    if datatype == "BYTES":
        return b"".join(len(value).to_bytes(4, "little") + value for value in values.flat)
    if datatype == "BF16":
        return (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    return values.astype(values.dtype.newbyteorder("<")).tobytes()


def message(
    values: Array, datatype: str, *, raw: bool, parameters: Any = None, id: str = ""
) -> pb.ModelInferRequest:
    asked = pb.ModelInferRequest(id=id, parameters=parameters or {})
    entry = asked.inputs.add(name="x", datatype=datatype, shape=values.shape)
    if raw:
        asked.raw_input_contents.append(raw_bytes(values, datatype))
    else:
        getattr(entry.contents, FIELDS[datatype]).extend(values.reshape(-1).tolist())
    return asked


def floats(*shape: int) -> Array:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def answered(request: InferRequest, outputs: dict[str, Array]) -> Any:
    """Encode, and hold the shorter way of writing against it."""
    answer = grpc_codec.encode(request, outputs, model="m", version="1")
    written = grpc_codec.write(request, outputs, model="m", version="1")
    assert written == answer.SerializeToString()
    return answer


@st.composite
def tensors(draw: st.DrawFn, datatypes: list[str]) -> tuple[str, Array]:
    datatype = draw(st.sampled_from(datatypes))
    shape = draw(arrays.array_shapes(max_dims=3, max_side=4))
    if datatype == "BYTES":
        drawn = st.lists(st.binary(max_size=9), min_size=int(np.prod(shape)), max_size=64)
        listed = draw(drawn)[: int(np.prod(shape))]
        return datatype, np.fromiter(listed, object, len(listed)).reshape(shape)
    values = draw(arrays.arrays(DTYPES[datatype], shape))
    return datatype, as_bf16(values) if datatype == "BF16" else values


def same(got: Array, want: Array) -> bool:
    exact = got.dtype.kind == "O"
    return got.shape == want.shape and np.array_equal(got, want, equal_nan=not exact)


@settings(max_examples=200, deadline=None)
@given(tensors(sorted(DTYPES)))
def test_raw_values_of_every_datatype_come_back_as_they_went(drawn: tuple[str, Array]) -> None:
    datatype, values = drawn
    asked = message(values, datatype, raw=True)

    request = grpc_codec.parse(asked, signature(datatype, -1, *values.shape[1:]))
    answer = answered(request, {"y": request.inputs["x"]})

    assert same(request.inputs["x"], values)
    assert request.inputs["x"].dtype == DTYPES[datatype]
    assert list(answer.raw_output_contents) == list(asked.raw_input_contents)
    assert (answer.outputs[0].datatype, list(answer.outputs[0].shape)) == (
        datatype,
        list(values.shape),
    )


@settings(max_examples=200, deadline=None)
@given(tensors(sorted(FIELDS)))
def test_typed_values_of_every_datatype_come_back_as_they_went(drawn: tuple[str, Array]) -> None:
    datatype, values = drawn
    asked = message(values, datatype, raw=False)

    request = grpc_codec.parse(asked, signature(datatype, -1, *values.shape[1:]))
    answer = answered(request, {"y": request.inputs["x"]})

    assert same(request.inputs["x"], values)
    assert request.inputs["x"].dtype == DTYPES[datatype]
    assert not answer.raw_output_contents
    # Bytes, for a NaN is not equal to itself.
    assert (
        answer.outputs[0].contents.SerializeToString()
        == asked.inputs[0].contents.SerializeToString()
    )


def test_typed_values_are_found_before_fields_that_nobody_knows() -> None:
    asked = message(floats(3), "FP32", raw=False)
    unknown = b"\xf8\x07\x01"  # field 127, the number 1
    contents = asked.inputs[0].contents
    contents.MergeFromString(unknown)
    assert contents.SerializeToString().endswith(unknown)

    request = grpc_codec.parse(asked, signature("FP32", -1))

    assert request.inputs["x"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("datatype", ["FP16", "BF16"])
def test_a_datatype_without_typed_field_comes_raw_only(datatype: str) -> None:
    asked = pb.ModelInferRequest()
    asked.inputs.add(name="x", datatype=datatype, shape=[1]).contents.fp32_contents.append(1)

    with pytest.raises(Rejected, match="no typed contents; send raw_input_contents"):
        grpc_codec.parse(asked, signature(datatype, -1))


def test_a_response_is_raw_whole_where_one_output_must_be() -> None:
    outputs = {"a": floats(2), "b": np.array([1.5, 2.5], np.float32)}
    wanted = (Wanted("a", Form.JSON, "FP32"), Wanted("b", Form.JSON, "BF16"))

    answer = answered(InferRequest({}, wanted), outputs)

    assert [output.datatype for output in answer.outputs] == ["FP32", "BF16"]
    assert [len(raw) for raw in answer.raw_output_contents] == [8, 4]


def test_text_that_a_model_gives_is_sent_as_utf_8() -> None:
    outputs = {"y": np.array(["نخلة", b"\xff"], object)}
    typed = InferRequest({}, (Wanted("y", Form.JSON, "BYTES"),))

    answer = grpc_codec.encode(typed, outputs, model="m", version="1")

    assert list(answer.outputs[0].contents.bytes_contents) == ["نخلة".encode(), b"\xff"]


def test_id_names_and_parameters_are_taken_over() -> None:
    parameters = {
        "timeout": pb.InferParameter(int64_param=1_500_000),
        "ids": pb.InferParameter(string_param=json.dumps(["a", "b"])),
        "priority": pb.InferParameter(uint64_param=3),
    }
    asked = message(floats(2), "FP32", raw=True, id="r7", parameters=parameters)

    request = grpc_codec.parse(asked, signature("FP32", -1))
    answer = grpc_codec.encode(request, {"y": floats(2)}, model="m", version="3")

    assert (request.id, request.timeout, request.ids) == ("r7", 1.5, ("a", "b"))
    assert (answer.id, answer.model_name, answer.model_version) == ("r7", "m", "3")


def test_outputs_are_those_asked_for_in_that_order() -> None:
    two = Signature((Tensor("x", "FP32"),), (Tensor("a", "FP32"), Tensor("b", "FP32")))
    asked = message(floats(1), "FP32", raw=False)
    asked.outputs.add(name="b")
    request = grpc_codec.parse(asked, two)

    answer = grpc_codec.encode(
        request, {"a": floats(1), "b": floats(1) + 7}, model="m", version="1"
    )

    assert [output.name for output in answer.outputs] == ["b"]
    assert list(answer.outputs[0].contents.fp32_contents) == [7]


def bad(change: str) -> pb.ModelInferRequest:
    """Make a request of three FP32 values wrong in one thing."""
    asked = message(floats(3), "FP32", raw="raw" in change)
    entry = asked.inputs[0]
    match change:
        case "raw, a byte short":
            asked.raw_input_contents[0] = asked.raw_input_contents[0][:-1]
        case "raw, a value too many":
            asked.raw_input_contents[0] += bytes(4)
        case "raw, twice":
            asked.raw_input_contents.append(b"")
        case "raw and typed":
            entry.contents.fp32_contents.append(1)
        case "a value short":
            del entry.contents.fp32_contents[0]
        case "no values":
            entry.ClearField("contents")
        case "another field":
            entry.contents.fp64_contents.append(1)
        case "another datatype":
            entry.datatype = "FP64"
        case "another rank":
            entry.shape.append(1)
        case "a negative size":
            entry.shape[0] = -3
        case "a huge size":
            entry.shape[0] = 2**62
        case "very many sizes":
            entry.shape.extend([1] * 1_000_000)
        case "unknown input":
            entry.name = "z"
        case "given twice":
            asked.inputs.append(entry)
        case "missing":
            del asked.inputs[0]
        case "unknown output":
            asked.outputs.add(name="z")
        case "timeout of text":
            asked.parameters["timeout"].string_param = "1"
        case "timeout of nothing":
            asked.parameters["timeout"].int64_param = 0
        case "ids of too few":
            asked.parameters["ids"].string_param = '["a"]'
        case "ids without list":
            asked.parameters["ids"].string_param = "["
        case "ids nested deeply":
            asked.parameters["ids"].string_param = "[" * 200_000
        case "a long id":
            asked.id = "x" * 257
    return asked


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("raw, a byte short", "input 'x': 11 bytes, expected 12"),
        ("raw, a value too many", "input 'x': 16 bytes, expected 12"),
        ("raw, twice", "raw_input_contents: 2 of them for 1 inputs"),
        ("raw and typed", "raw and in contents both"),
        ("a value short", "input 'x': 2 values, expected 3"),
        ("no values", "input 'x': 0 values, expected 3"),
        ("another field", "input 'x': values in fp64_contents, expected fp32_contents"),
        ("another datatype", "input 'x': datatype 'FP64', expected 'FP32'"),
        ("another rank", r"input 'x': shape \[3, 1\], expected \[-1\]"),
        ("a negative size", r"input 'x': shape \[-3\]"),
        ("a huge size", f"input 'x': 3 values, expected {2**62}"),
        ("very many sizes", r"input 'x': shape \[3, 1\]"),
        ("unknown input", "input 'z': unknown"),
        ("given twice", "input 'x': given twice"),
        ("missing", "input 'x': missing"),
        ("unknown output", "output 'z': unknown"),
        ("timeout of text", "parameters.timeout"),
        ("timeout of nothing", "parameters.timeout"),
        ("ids of too few", "parameters.ids: expected 3 strings"),
        ("ids without list", "parameters.ids: expected 3 strings"),
        ("ids nested deeply", "parameters.ids: expected 3 strings"),
        ("a long id", "id: expected a string of at most"),
    ],
)
def test_refuses_what_does_not_fit(change: str, reason: str) -> None:
    with pytest.raises(Rejected, match=reason) as refused:
        grpc_codec.parse(bad(change), signature("FP32", -1))

    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("datatype", "value"),
    [("INT8", 128), ("INT8", -129), ("INT16", 32768), ("UINT8", 256), ("UINT16", 65536)],
)
def test_refuses_a_typed_value_that_its_datatype_cannot_hold(datatype: str, value: int) -> None:
    asked = pb.ModelInferRequest()
    contents = asked.inputs.add(name="x", datatype=datatype, shape=[1]).contents
    getattr(contents, FIELDS[datatype]).append(value)

    with pytest.raises(Rejected, match=f"not all {datatype} values"):
        grpc_codec.parse(asked, signature(datatype, -1))


def test_refuses_very_many_fields_before_they_become_objects() -> None:
    tiny = pb.ModelInferRequest(inputs=[pb.ModelInferRequest.InferInputTensor()])
    body = tiny.SerializeToString() * 40_000

    with pytest.raises(Rejected, match="more than 10000 fields"):
        grpc_codec.read(pb.ModelInferRequest, body)


def test_writes_large_values_of_either_form() -> None:
    for raw in (True, False):
        request = grpc_codec.parse(message(floats(50_000), "FP32", raw=raw), signature("FP32", -1))

        answer = answered(request, {"y": floats(50_000)})

        assert len(answer.outputs[0].contents.fp32_contents) == (0 if raw else 50_000)


def test_reads_a_large_message_whose_fields_are_few() -> None:
    body = message(floats(50_000), "FP32", raw=True).SerializeToString()

    read = grpc_codec.read(pb.ModelInferRequest, body)

    assert len(read.raw_input_contents[0]) == 200_000


@settings(deadline=None)
@given(st.binary(max_size=64), st.booleans())
def test_any_bytes_are_a_message_or_refused(body: bytes, large: bool) -> None:
    filler = pb.ModelInferRequest(raw_input_contents=[bytes(70_000)]).SerializeToString()

    try:
        message = grpc_codec.read(pb.ModelInferRequest, filler + body if large else body)
        grpc_codec.parse(message, signature("FP32", -1))
    except Rejected as refused:
        assert refused.status == 400  # noqa: PT017 -- most of them are refused, not all
