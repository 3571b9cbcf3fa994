"""The Open Inference Protocol over gRPC, on the event loop that also serves HTTP.

Methods take and give bytes: so a call is authorized before its message is read, a message has a
time to arrive in, and what is large is read and written in a thread.
"""

import asyncio
import contextlib
import functools
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import grpc
import grpc.aio

from components.foundation.errors import UserError
from components.foundation.signature import Array, Tensor
from inference.server.protocol import grpc_codec
from inference.server.protocol import open_inference_pb2 as pb
from inference.server.protocol.messages import Form, InferRequest
from inference.server.security.scopes import Verb
from inference.server.service import Served, Service
from inference.server.telemetry.following import Followed, Follower, current
from inference.server.telemetry.layout import Phase, Shed
from inference.transport.limits import Budget, Limits
from inference.transport.messages import RETRY_SOON, Rejected, failed

NAME: Final = "inference.GRPCInferenceService"

_LOG = logging.getLogger("server")
_LARGE: Final = 64 << 10  # bytes of values that are read or written off the loop
_LARGE_COPIED: Final = 1 << 20  # the same where they are copied whole, not one by one
_REASON: Final = 1000  # characters of it that are told; trailers have little room
_TOLD: Final = {b"retry-after", b"www-authenticate"}  # headers of a refusal that gRPC tells too
_CODES: Final = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    405: grpc.StatusCode.UNIMPLEMENTED,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    415: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    499: grpc.StatusCode.CANCELLED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
_NOT_FOLLOWED: Final = contextlib.nullcontext[None]()

T = TypeVar("T")
Metadata = Mapping[str, str]
Authorize = Callable[[Verb, bytes | None], Awaitable[object]]
Method = Callable[[bytes, float | None], Awaitable[bytes]]  # a message, and by which loop time


@dataclass(frozen=True, slots=True)
class Bounds:
    """What clients may take.

    Messages that are on their way take at most `calls` times the limit of one.

    Attributes:
        limits: those that HTTP has too.
        calls: under way together; RESOURCE_EXHAUSTED beyond.
        streams: calls under way on one connection; a client waits beyond.
        message_seconds: for a message to arrive; DEADLINE_EXCEEDED beyond.
        ping_seconds: between pings of a client; its connection is closed if it pings faster.
        silence_seconds: after which a connection is pinged, and closed without an answer.
        age_seconds: after which a client is asked to connect anew, so that it finds new workers.
    """

    limits: Limits = field(default_factory=Limits)
    calls: int = 1024
    streams: int = 256
    message_seconds: float = 60.0
    ping_seconds: float = 10.0
    silence_seconds: float = 60.0
    age_seconds: float = 900.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen.

    Attributes:
        port: 0 takes a free one.
        credentials: of TLS; plain text without.
        shared: whether other processes may listen on the same port.
    """

    host: str
    port: int
    credentials: grpc.ServerCredentials | None = None
    shared: bool = False

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def bind(self, server: grpc.aio.Server) -> int:
        """Make a server listen there and return the port; raises UserError where it cannot."""
        try:
            if self.credentials is None:
                bound: int = server.add_insecure_port(str(self))
            else:
                bound = server.add_secure_port(str(self), self.credentials)
        except RuntimeError:
            raise UserError(
                f"{self}: gRPC cannot listen there; name another port", code="port-taken"
            ) from None
        return bound


class GrpcServer:
    """One model's gRPC endpoint; made and used on one running loop.

    Args:
        service: what answers.
        aside: runs what would hold the loop up.
        authorize: is given a verb and the bearer token, if there is one, except for health;
            raises Rejected 401 or 403.
        follower: says which calls are traced and logged.
        budget: bytes of messages at work; HTTP's own.
    """

    def __init__(
        self,
        service: Service,
        *,
        aside: Executor,
        authorize: Authorize,
        follower: Follower,
        budget: Budget,
        bounds: Bounds | None = None,
    ) -> None:
        self._service, self._aside, self._authorize = service, aside, authorize
        self._follower, self._budget, self._bounds = follower, budget, bounds or Bounds()
        self._loop = asyncio.get_running_loop()

    @contextlib.asynccontextmanager
    async def listening(self, address: Address, *, grace: float) -> AsyncIterator[int]:
        """Answer until the block ends, which is given the port.

        At the end no more calls are taken; those under way are cancelled after the grace.
        """
        server = grpc.aio.server(
            handlers=[grpc.method_handlers_generic_handler(NAME, self._methods())],
            options=_options(self._bounds, shared_port=address.shared),
            maximum_concurrent_rpcs=self._bounds.calls,
        )
        port = address.bind(server)
        await server.start()
        try:
            yield port
        finally:
            await server.stop(grace)

    def _methods(self) -> dict[str, Any]:
        """Name every method, with the verb that a caller must be allowed."""
        told = {
            "ServerLive": (pb.ServerLiveRequest, self._live, None),
            "ServerReady": (pb.ServerReadyRequest, self._ready, None),
            "ModelReady": (pb.ModelReadyRequest, self._model_ready, None),
            "ServerMetadata": (pb.ServerMetadataRequest, _about, Verb.METADATA),
            "ModelMetadata": (pb.ModelMetadataRequest, self._metadata, Verb.METADATA),
            "RepositoryIndex": (pb.RepositoryIndexRequest, self._index, Verb.METADATA),
        }
        methods = {
            name: self._handler(name, _telling(kind, answer), verb)
            for name, (kind, answer, verb) in told.items()
        }
        return {**methods, "ModelInfer": self._handler("ModelInfer", self._infer, Verb.INFER)}

    def _handler(self, name: str, method: Method, verb: Verb | None) -> Any:
        async def serve(_: Any, context: Any) -> bytes:
            metadata = _joined(context.invocation_metadata() or ())
            try:
                with self._followed(name, metadata, context) as followed:
                    body = await self._reply(method, verb, metadata, context)
                    if followed is not None:
                        followed.answered(200, len(body))
                return body
            except Rejected as rejected:
                return _refuse(context, rejected)
            # Whatever else is raised, the client learns that it failed and under which number.
            except Exception as error:
                return _fail(context, error)

        # On the wire one message and a stream of one are the same; a stream is read by us.
        return grpc.stream_unary_rpc_method_handler(serve)

    def _followed(
        self, name: str, metadata: Metadata, context: Any
    ) -> AbstractContextManager[Followed | None]:
        """Tell the client the span that it is answered in, where the call is to be followed."""
        parent, state = metadata.get("traceparent"), metadata.get("tracestate", "")
        if not self._follower.wants(parent):
            return _NOT_FOLLOWED
        followed = self._follower.follow(
            None if parent is None else parent.encode(),
            state.encode(),
            method="POST",
            path=f"/{NAME}/{name}",
        )
        context.set_trailing_metadata((("traceparent", followed.header.decode()),))
        return followed

    async def _reply(
        self, method: Method, verb: Verb | None, metadata: Metadata, context: Any
    ) -> bytes:
        left = context.time_remaining()
        deadline = None if left is None else self._loop.time() + left
        if verb is not None:
            await self._authorize(verb, _token(metadata))
        body = await self._body(context)
        if not self._budget.take(len(body)):
            raise self._no_room(verb)
        if (followed := current()) is not None:
            followed.bytes_in = len(body)
        try:
            return await method(body, deadline)
        finally:
            self._budget.give(len(body))

    def _no_room(self, verb: Verb | None) -> Rejected:
        served = self._service.served
        if verb is Verb.INFER and served is not None:
            served.metrics.shed(Shed.MEMORY)
        return Rejected(429, "too many bytes are under way; try again", headers=RETRY_SOON)

    async def _body(self, context: Any) -> bytes:
        try:
            async with asyncio.timeout(self._bounds.message_seconds):
                body = await context.read()
        except TimeoutError:
            raise Rejected(408, "the message did not arrive in time") from None
        if not isinstance(body, bytes):
            raise Rejected(400, "the call ended without a message; expected one")
        return body

    async def _infer(self, body: bytes, deadline: float | None) -> bytes:
        read = functools.partial(grpc_codec.read, pb.ModelInferRequest, body)
        message = await self._work(read, large=len(body) > _LARGE_COPIED)
        served = self._service.named(message.model_name, message.model_version)
        return await self._service.counted(served, self._answer(served, message, deadline))

    async def _answer(
        self, served: Served, message: pb.ModelInferRequest, deadline: float | None
    ) -> bytes:
        self._service.admit(served)
        parse = functools.partial(grpc_codec.parse, message, served.signature)
        with _timed(served, Phase.PARSE):
            request = await self._work(parse, large=_is_large(message, served))
        outputs = await self._service.infer(served, request, deadline=deadline)
        write = functools.partial(
            grpc_codec.write, request, outputs, model=served.name, version=served.version
        )
        with _timed(served, Phase.ENCODE):
            return await self._work(write, large=_are_large(outputs, request))

    async def _work(self, work: Callable[[], T], *, large: bool) -> T:
        return await self._loop.run_in_executor(self._aside, work) if large else work()

    def _live(self, _: pb.ServerLiveRequest) -> pb.ServerLiveResponse:
        return pb.ServerLiveResponse(live=self._service.live())

    def _ready(self, _: pb.ServerReadyRequest) -> pb.ServerReadyResponse:
        return pb.ServerReadyResponse(ready=self._service.ready())

    def _model_ready(self, asked: pb.ModelReadyRequest) -> pb.ModelReadyResponse:
        self._service.named(asked.name, asked.version)
        return pb.ModelReadyResponse(ready=self._service.ready())

    def _metadata(self, asked: pb.ModelMetadataRequest) -> pb.ModelMetadataResponse:
        served = self._service.named(asked.name, asked.version)
        return pb.ModelMetadataResponse(
            name=served.name,
            versions=[served.version],
            platform=served.platform,
            inputs=_described(served.signature.inputs),
            outputs=_described(served.signature.outputs),
        )

    def _index(self, asked: pb.RepositoryIndexRequest) -> pb.RepositoryIndexResponse:
        served, ready = self._service.served, self._service.ready()
        entry = pb.RepositoryIndexResponse.ModelIndex(
            name=self._service.name,
            version=served.version if served else "",
            state="READY" if ready else "UNAVAILABLE",
        )
        return pb.RepositoryIndexResponse(models=[entry] if ready or not asked.ready else [])


@contextlib.contextmanager
def _timed(served: Served, phase: Phase) -> Iterator[None]:
    started = time.perf_counter()
    try:
        yield
    finally:
        served.metrics.phase(phase, time.perf_counter() - started)


def _options(bounds: Bounds, *, shared_port: bool) -> list[tuple[str, int]]:
    limits = bounds.limits
    return [
        ("grpc.so_reuseport", int(shared_port)),
        ("grpc.max_receive_message_length", limits.body_bytes),  # also of what is unpacked
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", limits.head_bytes),
        ("grpc.absolute_max_metadata_size", limits.head_bytes),
        ("grpc.max_allowed_incoming_connections", limits.connections),
        ("grpc.max_concurrent_streams", bounds.streams),
        ("grpc.server_handshake_timeout_ms", _milliseconds(limits.head_seconds)),
        ("grpc.max_connection_idle_ms", _milliseconds(limits.idle_seconds)),
        ("grpc.max_connection_age_ms", _milliseconds(bounds.age_seconds)),
        ("grpc.keepalive_time_ms", _milliseconds(bounds.silence_seconds)),
        ("grpc.keepalive_timeout_ms", _milliseconds(limits.write_seconds)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", _milliseconds(bounds.ping_seconds)),
    ]


def _milliseconds(seconds: float) -> int:
    return math.ceil(seconds * 1000)


def _joined(pairs: Iterable[tuple[str, str | bytes]]) -> dict[str, str]:
    """Return metadata by key; what came several times is joined by commas, as in HTTP."""
    joined: dict[str, str] = {}
    for key, value in pairs:
        if isinstance(value, str):
            joined[key] = f"{joined[key]},{value}" if key in joined else value
    return joined


def _token(metadata: Metadata) -> bytes | None:
    scheme, _, token = metadata.get("authorization", "").partition(" ")
    return token.strip().encode() or None if scheme.lower() == "bearer" else None


def _telling(kind: Any, answer: Callable[[Any], Any]) -> Method:
    """Make a method of what answers a small message without waiting."""

    async def method(body: bytes, _: float | None) -> bytes:
        written: bytes = answer(grpc_codec.read(kind, body)).SerializeToString()
        return written

    return method


def _about(_: pb.ServerMetadataRequest) -> pb.ServerMetadataResponse:
    return pb.ServerMetadataResponse(name="falaj", version="2")


def _is_large(message: pb.ModelInferRequest, served: Served) -> bool:
    one_by_one = any(tensor.datatype == "BYTES" for tensor in served.signature.inputs)
    copied = message.raw_input_contents and not one_by_one
    large: bool = message.ByteSize() > (_LARGE_COPIED if copied else _LARGE)
    return large


def _are_large(outputs: Mapping[str, Array], request: InferRequest) -> bool:
    raw = any(wanted.form is Form.BINARY for wanted in request.outputs)
    copied = raw and not any(values.dtype.hasobject for values in outputs.values())
    size = sum(values.nbytes for values in outputs.values())
    return size > (_LARGE_COPIED if copied else _LARGE)


def _described(tensors: Iterable[Tensor]) -> list[pb.ModelMetadataResponse.TensorMetadata]:
    described = pb.ModelMetadataResponse.TensorMetadata
    return [described(name=t.name, datatype=t.datatype, shape=t.shape) for t in tensors]


def _refuse(context: Any, rejected: Rejected) -> bytes:
    """Set the status; beside one that is not OK no message is sent."""
    context.set_code(_CODES.get(rejected.status, grpc.StatusCode.INTERNAL))
    context.set_details(str(rejected)[:_REASON])
    told = [(key.decode(), value.decode()) for key, value in rejected.headers if key in _TOLD]
    context.set_trailing_metadata((*(context.trailing_metadata() or ()), *told))
    return b""


def _fail(context: Any, error: Exception) -> bytes:
    incident, rejected = failed("the server")
    _LOG.error("incident %s: a gRPC call failed, %s", incident, type(error).__name__)
    return _refuse(context, rejected)
