"""NVIDIA's client for Triton against our server, over HTTP and gRPC.

python -m tests.inference.clients.triton_calls MODEL HTTP_PORT GRPC_PORT DATATYPE...
"""

import asyncio
import functools
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

from components.foundation.signature import Array
from tests.inference.clients.claims import check_all, claim
from tests.inference.clients.tensors import rows, same

DATATYPES = sys.argv[4:]  # of the model that is served
_JSON = tuple(name for name in DATATYPES if name not in ("FP16", "BF16"))  # the client's own rule


def _inputs(wire: Any, *, binary: bool = True, instead: dict[str, Array] | None = None) -> Any:
    made = []
    for name in DATATYPES:
        values = (instead or {}).get(name, rows(name))
        tensor = wire.InferInput(f"in_{name}", list(values.shape), name)
        if wire is tritonclient.grpc:
            tensor.set_data_from_numpy(values)
        else:
            tensor.set_data_from_numpy(values, binary_data=binary or name not in _JSON)
        made.append(tensor)
    return made


def _refused(call: Callable[[], Any], status: str) -> str:
    with pytest.raises(InferenceServerException) as caught:
        call()
    assert str(caught.value.status()) == status, str(caught.value)
    return str(caught.value.message())


@claim
def it_lives_and_is_ready_over_http(http: Any, model: str) -> None:
    assert http.is_server_live()
    assert http.is_server_ready()
    assert http.is_model_ready(model)
    assert not http.is_model_ready("another")


@claim
def it_lives_and_is_ready_over_grpc(grpc: Any, model: str) -> None:
    assert grpc.is_server_live()
    assert grpc.is_server_ready()
    assert grpc.is_model_ready(model)


@claim
def it_says_what_it_is_over_http(http: Any, model: str) -> None:
    server, described = http.get_server_metadata(), http.get_model_metadata(model)
    assert server["name"]
    assert "binary_tensor_data" in server["extensions"]
    tensors = {tensor["name"]: tensor["datatype"] for tensor in described["inputs"]}
    assert described["name"] == model
    assert tensors == {f"in_{name}": name for name in DATATYPES}
    assert all(tensor["shape"] == [-1, 2] for tensor in described["outputs"])


@claim
def it_says_the_same_over_grpc(http: Any, grpc: Any, model: str) -> None:
    ours = grpc.get_model_metadata(model, as_json=True)
    assert grpc.get_server_metadata(as_json=True)["name"] == http.get_server_metadata()["name"]
    theirs = http.get_model_metadata(model)
    assert ours["versions"] == theirs["versions"]
    assert ours["platform"] == theirs["platform"]
    assert [each["datatype"] for each in ours["inputs"]] == DATATYPES


@claim
def it_lists_its_model_over_http(http: Any, model: str) -> None:
    [entry] = http.get_model_repository_index()
    assert (entry["name"], entry["state"]) == (model, "READY")


@claim
def every_datatype_comes_back_from_binary_as_binary(http: Any, model: str) -> None:
    result = http.infer(model, _inputs(tritonclient.http))
    for name in DATATYPES:
        same(result.as_numpy(f"out_{name}"), name)


@claim
def every_datatype_comes_back_from_json_as_json(http: Any, model: str) -> None:
    wanted = [
        tritonclient.http.InferRequestedOutput(f"out_{name}", binary_data=False) for name in _JSON
    ]
    result = http.infer(model, _inputs(tritonclient.http, binary=False), outputs=wanted)
    for name in _JSON:
        same(_as_bytes(result.as_numpy(f"out_{name}")), name)


def _as_bytes(got: Array) -> Array:
    """Return strings, as this client reads them from JSON, in the bytes that were meant."""
    if got.dtype != np.object_:
        return got
    flat = [each.encode() if isinstance(each, str) else each for each in got.reshape(-1)]
    return np.array(flat, np.object_).reshape(got.shape)


@claim
def every_datatype_comes_back_over_grpc(grpc: Any, model: str) -> None:
    result = grpc.infer(model, _inputs(tritonclient.grpc))
    for name in DATATYPES:
        same(result.as_numpy(f"out_{name}"), name)


@claim
def what_json_cannot_say_comes_back_in_binary(http: Any, model: str) -> None:
    odd = {
        "FP32": np.array([[np.nan, np.inf], [-np.inf, -0.0]], np.float32),
    }
    result = http.infer(model, _inputs(tritonclient.http, instead=odd))
    assert result.as_numpy("out_FP32").tobytes() == odd["FP32"].tobytes()


@claim
def only_what_is_asked_for_comes_back_and_in_that_form(http: Any, model: str) -> None:
    wanted = [
        tritonclient.http.InferRequestedOutput("out_INT64", binary_data=False),
        tritonclient.http.InferRequestedOutput("out_FP32", binary_data=True),
    ]
    result = http.infer(model, _inputs(tritonclient.http), outputs=wanted)
    outputs = result.get_response()["outputs"]
    assert [output["name"] for output in outputs] == ["out_INT64", "out_FP32"]
    assert "data" in outputs[0]
    assert "data" not in outputs[1]
    same(result.as_numpy("out_INT64"), "INT64")
    same(result.as_numpy("out_FP32"), "FP32")


@claim
def outputs_can_be_chosen_over_grpc(grpc: Any, model: str) -> None:
    wanted = [tritonclient.grpc.InferRequestedOutput("out_UINT8")]
    result = grpc.infer(model, _inputs(tritonclient.grpc), outputs=wanted)
    assert [output.name for output in result.get_response().outputs] == ["out_UINT8"]
    same(result.as_numpy("out_UINT8"), "UINT8")


@claim
def the_request_id_is_echoed(http: Any, grpc: Any, model: str) -> None:
    over_http = http.infer(model, _inputs(tritonclient.http), request_id="r 1")
    over_grpc = grpc.infer(model, _inputs(tritonclient.grpc), request_id="r 2")
    assert over_http.get_response()["id"] == "r 1"
    assert over_grpc.get_response().id == "r 2"


@claim
def a_version_can_be_named(http: Any, grpc: Any, model: str) -> None:
    [version] = http.get_model_metadata(model)["versions"]
    assert http.is_model_ready(model, version)
    for client, wire in ((http, tritonclient.http), (grpc, tritonclient.grpc)):
        same(client.infer(model, _inputs(wire), version).as_numpy("out_FP32"), "FP32")
    _refused(lambda: http.infer(model, _inputs(tritonclient.http), "77"), "404")
    missing = "StatusCode.NOT_FOUND"
    _refused(lambda: grpc.infer(model, _inputs(tritonclient.grpc), "77"), missing)


@claim
def an_unknown_model_is_not_found(http: Any, grpc: Any) -> None:
    _refused(lambda: http.infer("another", _inputs(tritonclient.http)), "404")
    _refused(lambda: http.get_model_metadata("another"), "404")
    missing = "StatusCode.NOT_FOUND"
    _refused(lambda: grpc.infer("another", _inputs(tritonclient.grpc)), missing)
    _refused(lambda: grpc.get_model_metadata("another"), missing)


@claim
def a_missing_input_is_refused_by_name(http: Any, grpc: Any, model: str) -> None:
    over_http, over_grpc = _inputs(tritonclient.http)[1:], _inputs(tritonclient.grpc)[1:]
    assert "in_BOOL" in _refused(lambda: http.infer(model, over_http), "400")
    wrong = "StatusCode.INVALID_ARGUMENT"
    assert "in_BOOL" in _refused(lambda: grpc.infer(model, over_grpc), wrong)


@claim
def a_wrong_shape_or_datatype_is_refused(http: Any, grpc: Any, model: str) -> None:
    wide = {"FP32": np.zeros((2, 3), np.float32)}
    uneven = {"FP32": np.zeros((3, 2), np.float32)}
    for instead in (wide, uneven):
        given = _inputs(tritonclient.http, instead=instead)
        _refused(functools.partial(http.infer, model, given), "400")
        sent = _inputs(tritonclient.grpc, instead=instead)
        _refused(functools.partial(grpc.infer, model, sent), "StatusCode.INVALID_ARGUMENT")
    given = _inputs(tritonclient.http)
    given[DATATYPES.index("FP32")] = tritonclient.http.InferInput("in_FP32", [2, 2], "INT32")
    given[DATATYPES.index("FP32")].set_data_from_numpy(rows("INT32"))
    _refused(lambda: http.infer(model, given), "400")


@claim
def a_compressed_body_is_refused_as_unsupported(http: Any, model: str) -> None:
    given = _inputs(tritonclient.http)
    _refused(lambda: http.infer(model, given, request_compression_algorithm="gzip"), "415")


@claim
def parameters_and_timeouts_of_the_client_are_taken(http: Any, grpc: Any, model: str) -> None:
    for client, wire in ((http, tritonclient.http), (grpc, tritonclient.grpc)):
        result = client.infer(model, _inputs(wire), timeout=5_000_000, parameters={"mine": "x"})
        same(result.as_numpy("out_INT8"), "INT8")


@claim
def many_rows_go_both_ways(http: Any, grpc: Any, model: str) -> None:
    many = {name: np.tile(rows(name), (2_500, 1)) for name in DATATYPES}
    for client, wire in ((http, tritonclient.http), (grpc, tritonclient.grpc)):
        result = client.infer(model, _inputs(wire, instead=many))
        for name in DATATYPES:
            got = result.as_numpy(f"out_{name}")
            assert got.shape == (5_000, 2)
            assert np.array_equal(got, many[name]), name


@claim
def many_requests_at_once_each_get_their_own(http: Any, model: str) -> None:
    own = [np.full((2, 2), number, np.int64) for number in range(50)]
    asked = [
        http.async_infer(model, _inputs(tritonclient.http, instead={"INT64": values}))
        for values in own
    ]
    for values, request in zip(own, asked, strict=True):
        assert np.array_equal(request.get_result().as_numpy("out_INT64"), values)


@claim
def many_calls_at_once_each_get_their_own(grpc: Any, model: str) -> None:
    answers: dict[int, Any] = {}

    def keep(number: int, result: Any, error: Any) -> None:
        answers[number] = error or result.as_numpy("out_INT64")

    for number in range(50):
        own = {"INT64": np.full((2, 2), number, np.int64)}
        sent = _inputs(tritonclient.grpc, instead=own)
        grpc.async_infer(model, sent, functools.partial(keep, number))
    deadline = time.monotonic() + 20
    while len(answers) < 50 and time.monotonic() < deadline:
        time.sleep(0.005)
    assert answers.keys() == set(range(50))
    for number, values in answers.items():
        assert np.array_equal(values, np.full((2, 2), number, np.int64)), values


def main() -> None:
    model, http_port, grpc_port = sys.argv[1:4]
    http = tritonclient.http.InferenceServerClient(f"127.0.0.1:{http_port}", concurrency=8)
    grpc = tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{grpc_port}")
    asyncio.run(check_all({"model": model, "http": http, "grpc": grpc}))


if __name__ == "__main__":
    main()
