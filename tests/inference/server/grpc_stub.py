"""A service whose model a test chooses, and a client that sends what it is told."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, cast

import grpc
import grpc.aio
import numpy as np
import pytest

from components.foundation.signature import Array, Signature, Tensor
from inference.server.grpc_server import NAME, Address, Bounds, GrpcServer
from inference.server.protocol import open_inference_pb2 as pb
from inference.server.protocol.messages import InferRequest, Rejected
from inference.server.security.scopes import Verb
from inference.server.telemetry.access_log import AccessLog
from inference.server.telemetry.following import Follower
from inference.server.telemetry.layout import Phase, Shed
from inference.transport.limits import Budget, Limits

Predict = Callable[[InferRequest, float | None], Awaitable[Mapping[str, Array]]]
Run = Callable[[Coroutine[Any, Any, Any]], Any]


async def doubled(request: InferRequest, _: float | None) -> Mapping[str, Array]:
    return {"y": request.inputs["x"] * 2}


SIGNATURE = Signature((Tensor("x", "FP32"),), (Tensor("y", "FP32"),))


@dataclass
class Model:
    name: str = "delays"
    version: str = "3"
    platform: str = "test"
    signature: Signature = SIGNATURE
    timed: list[Phase] = field(default_factory=list)
    sheds: list[Shed] = field(default_factory=list)

    @property
    def metrics(self) -> "Model":
        return self

    def phase(self, phase: Phase, seconds: float) -> None:
        assert seconds >= 0
        self.timed.append(phase)

    def shed(self, reason: Shed) -> None:
        self.sheds.append(reason)


@dataclass
class Service:
    """Answers as the real one does, with a model that a test can choose."""

    predict: Predict = doubled
    served: Model = field(default_factory=Model)
    is_ready: bool = True
    counts: list[str] = field(default_factory=list)

    name = "delays"

    def live(self) -> bool:
        return True

    def ready(self) -> bool:
        return self.is_ready

    def named(self, model: str, version: str = "") -> Model:
        if model != self.name or version not in ("", self.served.version):
            raise Rejected(404, f"no model {model!r} here")
        return self.served

    def admit(self, served: Any) -> None:
        """Let everything in."""

    async def counted(self, served: Any, answer: Awaitable[Any]) -> Any:
        try:
            answered = await answer
        except BaseException as ended:
            self.counts.append(type(ended).__name__)
            raise
        self.counts.append("ok")
        return answered

    async def infer(
        self, served: Any, request: InferRequest, *, deadline: float | None = None
    ) -> Mapping[str, Array]:
        return await self.predict(request, deadline)


async def anybody(verb: Verb, token: bytes | None) -> None:
    """Allow everything."""


class Client:
    """Sends what it is told, byte for byte, as no generated stub would."""

    def __init__(self, channel: grpc.aio.Channel, port: int) -> None:
        self.channel, self.port = channel, port

    def call(self, method: str, message: Any, **options: Any) -> Any:
        body = message if isinstance(message, bytes) else message.SerializeToString()
        return self.channel.unary_unary(f"/{NAME}/{method}")(body, **options)

    async def infer(self, message: Any, **options: Any) -> Any:
        return pb.ModelInferResponse.FromString(await self.call("ModelInfer", message, **options))

    async def refusal(self, method: str, message: Any, **options: Any) -> grpc.aio.AioRpcError:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await self.call(method, message, **options)
        return refused.value


def made(service: Service, *, limits: Limits | None = None, **options: Any) -> GrpcServer:
    """Make the server of a service, by default one that lets everybody in and logs nothing."""
    bounds = options.pop("bounds", Bounds(limits or Limits()))
    base = {"authorize": anybody, "follower": Follower(AccessLog(0, dropped=print), variant="a")}
    base |= {"budget": Budget(bounds.limits.bodies_bytes), "bounds": bounds}
    return GrpcServer(cast(Any, service), **{**base, **options})


@contextlib.asynccontextmanager
async def serving(
    service: Service, *, credentials: Any = None, **options: Any
) -> AsyncIterator[Client]:
    with ThreadPoolExecutor(2) as pool:
        server = made(service, **{"aside": pool, **options})
        address = Address("127.0.0.1", 0, credentials)
        async with (
            server.listening(address, grace=0) as port,
            grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
        ):
            yield Client(channel, port)


def request(*values: float, raw: bool = True, model: str = "delays", **facts: Any) -> Any:
    message = pb.ModelInferRequest(model_name=model, **facts)
    entry = message.inputs.add(name="x", datatype="FP32", shape=[len(values)])
    if raw:
        message.raw_input_contents.append(np.array(values, "<f4").tobytes())
    else:
        entry.contents.fp32_contents.extend(values)
    return message


async def until(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not claim():
            await asyncio.sleep(0.01)
