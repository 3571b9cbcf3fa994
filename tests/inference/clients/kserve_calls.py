"""KServe's own Python client against our server: REST v1 and v2, binary, gRPC.

python -m tests.inference.clients.kserve_calls MODEL HTTP_PORT GRPC_PORT TYPED_GRPC_PORT
"""

import asyncio
import sys
from collections.abc import Awaitable, Sequence
from typing import Any

import grpc
import grpc.aio
import httpx
import numpy as np
import pytest
from kserve import InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import InferenceGRPCClient, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

from components.foundation.signature import Array
from tests.inference.clients.claims import check_all, claim
from tests.inference.clients.tensors import DATATYPES, rows, same

CARRIED = tuple(name for name in DATATYPES if name != "BF16")  # which this client does not know
TYPED = tuple(name for name in CARRIED if name != "FP16")  # half floats are bytes only


def _request(
    model: str, *, binary: bool, wanted: bool = False, instead: dict[str, Array] | None = None
) -> Any:
    inputs = []
    for name in CARRIED:
        values = (instead or {}).get(name, rows(name))
        tensor = InferInput(f"in_{name}", list(values.shape), name)
        tensor.set_data_from_numpy(values, binary_data=binary or name not in TYPED)
        inputs.append(tensor)
    outputs = [RequestedOutput(f"out_{name}", {"binary_data": True}) for name in CARRIED if wanted]
    return InferRequest(model, inputs, "r-1", request_outputs=outputs or None)


async def _refused(call: Awaitable[Any], status: int) -> str:
    with pytest.raises(httpx.HTTPStatusError) as caught:
        await call
    assert caught.value.response.status_code == status, caught.value.response.text
    return str(caught.value.response.text)


async def _turned_down(call: Awaitable[Any], code: grpc.StatusCode) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() is code, repr(caught.value)
    return str(caught.value.details())


@claim
async def it_lives_and_is_ready_over_rest(rest: Any, url: str, model: str) -> None:
    assert await rest.is_server_live(url)
    assert await rest.is_server_ready(url)
    assert await rest.is_model_ready(url, model)


@claim
async def it_lives_and_is_ready_over_grpc(calls: Any, model: str) -> None:
    assert await calls.is_server_live()
    assert await calls.is_server_ready()
    assert await calls.is_model_ready(model)


@claim
async def an_old_client_sees_that_the_model_is_ready(old: Any, url: str, model: str) -> None:
    assert await old.is_model_ready(url, model)


@claim
async def every_datatype_comes_back_from_json(rest: Any, url: str, model: str) -> None:
    answer = await rest.infer(url, _request(model, binary=False), model_name=model)
    _all_came_back(answer)


@claim
async def every_datatype_comes_back_in_binary(rest: Any, url: str, model: str) -> None:
    answer = await rest.infer(url, _request(model, binary=True, wanted=True), model_name=model)
    _all_came_back(answer)


@claim
async def every_datatype_comes_back_over_grpc(calls: Any, model: str) -> None:
    _all_came_back(await calls.infer(_request(model, binary=True)))


@claim
async def contents_need_not_be_raw_over_grpc(typed: Any) -> None:
    inputs = []
    for name in TYPED:
        tensor = InferInput(f"in_{name}", [2, 2], name)
        tensor.set_data_from_numpy(rows(name), binary_data=False)
        inputs.append(tensor)
    _all_came_back(await typed.infer(InferRequest("echo", inputs, "r-1")), TYPED)


def _all_came_back(answer: Any, datatypes: Sequence[str] = CARRIED) -> None:
    assert answer.id == "r-1"
    got = {output.name: output for output in answer.outputs}
    assert got.keys() == {f"out_{name}" for name in datatypes}
    for name in datatypes:
        values = got[f"out_{name}"].as_numpy()
        if name == "BYTES":
            flat = [v.encode() if isinstance(v, str) else v for v in values.reshape(-1)]
            values = np.array(flat, np.object_).reshape(values.shape)
        same(values, name)


@claim
async def the_model_and_version_are_named(rest: Any, calls: Any, url: str, model: str) -> None:
    # Over REST this client reads no version.
    over_rest = await rest.infer(url, _request(model, binary=True), model_name=model)
    over_grpc = await calls.infer(_request(model, binary=True))
    assert over_rest.model_name == over_grpc.model_name == model
    assert over_grpc.model_version


@claim
async def an_old_client_gets_predictions(old: Any, url: str, model: str) -> None:
    row = {f"in_{name}": rows(name)[0].tolist() for name in CARRIED}
    row |= {"in_BYTES": ["a", "b"]}
    answer = await old.infer(url, {"instances": [row, row]}, model_name=model)
    first, second = answer["predictions"]
    assert first == second
    assert first["out_INT64"] == rows("INT64")[0].tolist()
    assert first["out_BYTES"] == ["a", "b"]


@claim
async def an_unknown_model_is_not_found(rest: Any, calls: Any, url: str) -> None:
    request = _request("another", binary=True)
    await _refused(rest.infer(url, request, model_name="another"), 404)
    await _turned_down(calls.infer(request), grpc.StatusCode.NOT_FOUND)


@claim
async def a_wrong_shape_is_refused(rest: Any, calls: Any, url: str, model: str) -> None:
    wide = _request(model, binary=True, instead={"FP32": np.zeros((2, 3), np.float32)})
    assert "in_FP32" in await _refused(rest.infer(url, wide, model_name=model), 400)
    assert "in_FP32" in await _turned_down(calls.infer(wide), grpc.StatusCode.INVALID_ARGUMENT)


@claim
async def an_old_client_is_told_what_is_wrong(old: Any, url: str, model: str) -> None:
    await _refused(old.infer(url, {"instances": [{"no": 1}]}, model_name=model), 400)
    await _refused(old.infer(url, {"rows": []}, model_name=model), 400)


async def _main() -> None:
    model, http_port, grpc_port, typed_port = sys.argv[1:]
    calls, typed = (
        InferenceGRPCClient(f"127.0.0.1:{port}", retries=0) for port in (grpc_port, typed_port)
    )
    rest = InferenceRESTClient(RESTConfig(protocol="v2", retries=0))
    old = InferenceRESTClient(RESTConfig(protocol="v1", retries=0))
    url = f"http://127.0.0.1:{http_port}"
    rests = {"rest": rest, "old": old}
    await check_all({"model": model, "url": url, **rests, "calls": calls, "typed": typed})
    await calls.close()
    await typed.close()


if __name__ == "__main__":
    asyncio.run(_main())
