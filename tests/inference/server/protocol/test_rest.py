"""v2 over REST: what is taken, what is refused in which words, what comes back."""

import json
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from components.foundation.signature import Array, Signature, Tensor
from inference.server.protocol import rest
from inference.server.protocol.messages import Form, InferRequest, Rejected, Wanted
from tests.inference.server.protocol.arrays import DATATYPES, arrays, assert_same

SIGNATURE = Signature(
    (Tensor("wind", "FP32", (-1, 2)), Tensor("carrier", "BYTES"), Tensor("limit", "INT64", ())),
    (Tensor("delay", "FP32"), Tensor("why", "BYTES"), Tensor("half", "BF16")),
)
WIND = {"name": "wind", "datatype": "FP32", "shape": [2, 2], "data": [1, 2.5, None, 4]}
CARRIER = {"name": "carrier", "datatype": "BYTES", "shape": [2], "data": ["EK", "é"]}
LIMIT = {"name": "limit", "datatype": "INT64", "shape": [], "data": [9]}
OUTPUTS = {
    "delay": np.array([0.1, np.nan], np.float32),
    "why": np.array([b"wind", b"\xc3\xa9"], object),
    "half": np.array([1.5, -2], np.float32),
}
few = settings(max_examples=10, deadline=None)


def request(**changes: Any) -> dict[str, Any]:
    value = {"inputs": [WIND, CARRIER, LIMIT], **changes}
    return {name: member for name, member in value.items() if member is not ...}


def changed(**changes: Any) -> dict[str, Any]:
    wind = {k: v for k, v in {**WIND, **changes}.items() if v is not ...}
    return request(inputs=[wind, CARRIER, LIMIT])


def parse(value: Any, tail: bytes | None = None) -> InferRequest:
    head = value if isinstance(value, bytes) else json.dumps(value).encode()
    if tail is None:
        return rest.parse(head, SIGNATURE)
    return rest.parse(head + tail, SIGNATURE, json_length=len(head))


def encode(asked: InferRequest) -> tuple[dict[str, Any], bytes]:
    body, length = rest.encode(asked, OUTPUTS, model="delays", version="7")
    return json.loads(body[:length]), b"" if length is None else body[length:]


def test_a_request_becomes_the_arrays_it_describes() -> None:
    parsed = parse(request(id="r-1", parameters={"ids": ["a", "b"], "timeout": 250_000, "x": 1}))

    assert_same(parsed.inputs["wind"], np.array([[1, 2.5], [np.nan, 4]], np.float32))
    assert parsed.inputs["carrier"].tolist() == [b"EK", "é".encode()]
    assert_same(parsed.inputs["limit"], np.array(9))
    assert (parsed.id, parsed.rows, parsed.row_ids(), parsed.timeout) == (
        "r-1",
        2,
        ("a", "b"),
        0.25,
    )
    assert [wanted.name for wanted in parsed.outputs] == ["delay", "why", "half"]


@pytest.mark.parametrize("given", [..., None, ""], ids=["absent", "null", "empty"])
def test_a_request_without_an_id_gets_one_of_its_own(given: Any) -> None:
    first, second = parse(request(id=given)), parse(request(id=given))

    assert len(first.id) == 32
    assert first.id != second.id
    assert first.row_ids() == (f"{first.id}-0", f"{first.id}-1")


def test_rows_are_those_of_the_batch_even_if_a_scalar_comes_first() -> None:
    signature = Signature(SIGNATURE.inputs[::-1], SIGNATURE.outputs)

    assert rest.parse(json.dumps(request()).encode(), signature).rows == 2


def test_a_model_without_a_batch_has_one_row() -> None:
    signature = Signature((Tensor("x", "FP32", (3,)),), SIGNATURE.outputs)
    entry = {"name": "x", "datatype": "FP32", "shape": [3], "data": [1, 2, 3]}

    assert rest.parse(json.dumps({"inputs": [entry]}).encode(), signature).rows == 1


ID = "id: expected a string of at most 256 characters"
IDS = "parameters.ids: expected 2 strings, one a row"
NAMED = "expected a list of objects with a name"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        pytest.param(b"", "the body is not JSON", id="empty"),
        pytest.param(b"{", "the body is not JSON", id="cut"),
        pytest.param(b'{"inputs": NaN}', "the body is not JSON", id="NaN"),
        pytest.param(b"[" * 5000, "the body is not JSON", id="deep"),
        pytest.param(b'"\xff"', "the body is not JSON", id="no UTF-8"),
        pytest.param([], "the body is no JSON object", id="list"),
        pytest.param({}, f"inputs: {NAMED}", id="no inputs"),
        pytest.param(request(inputs={}), f"inputs: {NAMED}", id="inputs object"),
        pytest.param(request(inputs=[1]), f"inputs: {NAMED}", id="input number"),
        pytest.param(changed(name=1), f"inputs: {NAMED}", id="name number"),
        pytest.param(changed(name="wnd"), "'wnd': unknown; did you mean 'wind'", id="unknown"),
        pytest.param(changed(name="w" * 5000), f"'{'w' * 100}': unknown", id="long name"),
        pytest.param(
            request(inputs=[WIND, LIMIT]), "'carrier': missing; the model wants 3", id="-"
        ),
        pytest.param(request(inputs=[]), "input 'wind': missing", id="none"),
        pytest.param(request(inputs=[WIND, WIND]), "input 'wind': given twice", id="twice"),
        pytest.param(changed(datatype="FP64"), "datatype 'FP64', expected 'FP32'", id="datatype"),
        pytest.param(changed(datatype=...), "datatype None, expected 'FP32'", id="no datatype"),
        pytest.param(changed(shape=[4]), r"shape [4], expected [-1, 2]", id="rank"),
        pytest.param(changed(shape=[1, 4]), r"shape [1, 4], expected [-1, 2]", id="side"),
        pytest.param(changed(shape=[0, 2], data=[]), "shape [0, 2], expected", id="no rows"),
        pytest.param(changed(shape=[-1, 2]), "shape [-1, 2], expected", id="minus one"),
        pytest.param(changed(shape=[2.0, 2]), "shape [2.0, 2], expected", id="float"),
        pytest.param(changed(shape=[True, 2]), "shape [True, 2], expected", id="bool"),
        pytest.param(changed(shape="22"), "shape '22', expected", id="text"),
        pytest.param(changed(shape=...), "shape None, expected", id="no shape"),
        pytest.param(changed(shape=[2**40, 2]), "4 values, expected 2199023255552", id="huge"),
        pytest.param(changed(data=[1, 2, 3]), "3 values, expected 4 for shape [2, 2]", id="count"),
        pytest.param(changed(data=...), "'wind': data is missing or no list", id="no data"),
        pytest.param(changed(data=[1, True, 2, 3]), "is not all FP32 values", id="true"),
        pytest.param(changed(data=[[1, 2], [3]]), "is not nested as its shape", id="ragged"),
        pytest.param(
            changed(shape=[1, 2], data=[1, 2]), "inputs have [1, 2] rows; expected", id="rows"
        ),
        pytest.param(changed(parameters=1), "input 'wind': parameters: expected an", id="param"),
        pytest.param(request(parameters=[]), "parameters: expected an object", id="parameters"),
        pytest.param(request(id=1), ID, id="id number"),
        pytest.param(request(id=False), ID, id="id false"),
        pytest.param(request(id="x" * 257), ID, id="id long"),
        pytest.param(request(parameters={"ids": ["a"]}), IDS, id="one of two"),
        pytest.param(request(parameters={"ids": "ab"}), IDS, id="ids text"),
        pytest.param(request(parameters={"ids": ["a", ""]}), IDS, id="ids empty"),
        pytest.param(request(parameters={"ids": ["a", "x" * 257]}), IDS, id="ids long"),
        *[
            pytest.param(request(parameters={"timeout": t}), "parameters.timeout", id=f"t {t}")
            for t in (0, -1, 1.5, True, "1")
        ],
        pytest.param(request(outputs=[{}]), f"outputs: {NAMED}", id="output"),
        pytest.param(request(outputs={"a": 1}), f"outputs: {NAMED}", id="outputs object"),
        pytest.param(request(outputs=[{"name": "dela"}]), "did you mean 'delay'", id="dela"),
        pytest.param(request(outputs=[{"name": "why"}] * 2), "asked for twice", id="output twice"),
        pytest.param(
            request(outputs=[{"name": "why", "parameters": {"binary_data": 1}}]),
            "parameters.binary_data: 1, expected true or false",
            id="binary_data",
        ),
        pytest.param(
            request(parameters={"binary_data_output": "yes"}),
            "parameters.binary_data_output: 'yes', expected true or false",
            id="binary_data_output",
        ),
        pytest.param(
            changed(data=..., parameters={"binary_data_size": 16}),
            "asks for a header Inference-Header-Content-Length",
            id="binary without a header",
        ),
    ],
)
def test_a_request_that_does_not_fit_is_400_and_says_why(value: Any, says: str) -> None:
    with pytest.raises(Rejected) as refused:
        parse(value)

    assert refused.value.status == 400
    assert says in str(refused.value)
    assert len(str(refused.value)) < 300


def test_what_is_not_known_is_ignored() -> None:
    parse(request(model_name="x", extra=[{}], parameters={"priority": 3}, outputs=None))


BINARY = changed(data=..., parameters={"binary_data_size": 16})


@pytest.mark.parametrize(
    ("value", "tail", "says"),
    [
        pytest.param(BINARY, bytes(15), "binary_data_size 16, 15 bytes are there", id="short"),
        pytest.param(BINARY, bytes(17), "1 bytes follow the last binary tensor", id="long"),
        pytest.param(request(), b"x", "1 bytes follow the last binary tensor", id="no tensor"),
        *[
            pytest.param(
                changed(data=..., parameters={"binary_data_size": size}),
                bytes(16),
                f"binary_data_size {size!r}, 16 bytes are there",
                id=f"size {size}",
            )
            for size in (-1, True, 16.0, "16", None, 2**63)
        ],
        pytest.param(
            changed(data=..., parameters={"binary_data_size": 8}),
            bytes(8),
            "8 bytes, expected 16 for shape [2, 2]",
            id="not the shape's",
        ),
        pytest.param(
            changed(parameters={"binary_data_size": 16}), bytes(16), "both data and", id="both"
        ),
    ],
)
def test_sizes_of_binary_tensors_must_be_exact(value: Any, tail: bytes, says: str) -> None:
    with pytest.raises(Rejected) as refused:
        parse(value, tail)

    assert refused.value.status == 400
    assert says in str(refused.value)


@pytest.mark.parametrize("length", [-1, 0, 1000])
def test_the_json_cannot_be_longer_than_the_body(length: int) -> None:
    with pytest.raises(Rejected, match=f"Inference-Header-Content-Length {length}, the body has"):
        rest.parse(b"{}", SIGNATURE, json_length=length)


@few
@given(
    st.binary(max_size=60) | st.text(max_size=60).map(str.encode), st.integers(-5, 70) | st.none()
)
def test_any_bytes_are_a_request_or_a_400(body: bytes, length: int | None) -> None:
    with pytest.raises(Rejected) as refused:
        rest.parse(body, SIGNATURE, json_length=length)

    assert refused.value.status == 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
MEMBERS = ["name", "datatype", "shape", "data", "parameters"]


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(st.sampled_from(MEMBERS), JSON), JSON, JSON, JSON)
def test_any_members_are_a_request_or_a_400(
    wind: dict[str, Any], id: Any, parameters: Any, outputs: Any
) -> None:
    value = {**changed(**wind), "id": id, "parameters": parameters, "outputs": outputs}
    try:
        parsed = parse(value)
    except Rejected as refused:
        assert refused.status == 400  # noqa: PT017, any of the two may happen
    else:
        assert parsed.inputs["wind"].shape[1:] == (2,)


@pytest.mark.parametrize("binary", [False, True], ids=["json", "binary"])
@pytest.mark.parametrize("datatype", DATATYPES)
@few
@given(st.data())
def test_a_request_gives_the_arrays_it_was_made_of(
    datatype: str, binary: bool, data: st.DataObject
) -> None:
    values: Array = data.draw(arrays(datatype, (data.draw(st.integers(1, 3)), 2), finite=True))
    signature = Signature((Tensor("x", datatype, (-1, 2)),), (Tensor("x", datatype, (-1, 2)),))
    form = Form.BINARY if binary else Form.JSON
    written, length = rest.encode(
        InferRequest({"x": values}, (Wanted("x", form, datatype),), "r"),
        {"x": values},
        model="m",
        version="1",
    )  # an output is described as an input is

    value = json.loads(written[:length])
    head = json.dumps({"inputs": value["outputs"], "id": value["id"]}).encode()
    tail = written[length:] if length is not None else b""
    parsed = rest.parse(head + tail, signature, json_length=len(head) if binary else None)

    assert_same(parsed.inputs["x"], values)
    assert (parsed.id, length is None) == ("r", not binary)


def test_a_response_says_what_it_answers() -> None:
    answer, tail = encode(parse(request(id="r-1")))

    assert answer == {
        "model_name": "delays",
        "model_version": "7",
        "id": "r-1",
        "outputs": [
            {"name": "delay", "datatype": "FP32", "shape": [2], "data": [0.1, None]},
            {"name": "why", "datatype": "BYTES", "shape": [2], "data": ["wind", "é"]},
            {"name": "half", "datatype": "BF16", "shape": [2], "data": [1.5, -2.0]},
        ],
    }
    assert tail == b""


@pytest.mark.parametrize(
    ("usual", "own", "binary"),
    [
        pytest.param(..., ..., False, id="JSON unless asked"),
        pytest.param(True, ..., True, id="all"),
        pytest.param(..., True, True, id="one"),
        pytest.param(True, False, False, id="one not"),
        pytest.param(False, True, True, id="one yes"),
    ],
)
def test_an_outputs_own_form_wins_over_the_requests(usual: Any, own: Any, binary: bool) -> None:
    parameters = {} if usual is ... else {"binary_data_output": usual}
    output = {"name": "half", "parameters": {} if own is ... else {"binary_data": own}}

    answer, tail = encode(parse(request(parameters=parameters, outputs=[output])))

    assert tail == (b"\xc0\x3f\x00\xc0" if binary else b"")
    assert ("data" in answer["outputs"][0]) is not binary


def test_outputs_come_in_the_order_they_were_asked_for() -> None:
    wanted = [{"name": "why", "parameters": {"binary_data": True}}, {"name": "delay"}]

    answer, tail = encode(parse(request(outputs=wanted)))

    assert [output["name"] for output in answer["outputs"]] == ["why", "delay"]
    assert answer["outputs"][0]["parameters"] == {"binary_data_size": len(tail)}


def test_metadata_describes_the_model() -> None:
    said = rest.metadata(SIGNATURE, name="delays", versions=["7"], platform="onnxruntime_onnx")

    assert said["inputs"][0] == {"name": "wind", "datatype": "FP32", "shape": [-1, 2]}
    assert [output["name"] for output in said["outputs"]] == ["delay", "why", "half"]
    assert (said["name"], said["versions"], said["platform"]) == (
        "delays",
        ["7"],
        "onnxruntime_onnx",
    )


def test_an_error_is_an_object_with_its_message() -> None:
    assert json.loads(rest.error("é")) == {"error": "é"}
