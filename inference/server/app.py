"""The REST face: paths to verbs, bodies to requests, outputs to replies, exact statuses."""

import asyncio
import functools
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Executor
from typing import Any, Final, TypeVar

import orjson

from inference.server.batching import Tensors
from inference.server.protocol import rest, v1
from inference.server.protocol.messages import InferRequest
from inference.server.routes import Route, Verb, route
from inference.server.security.tokens import Gate, bearer
from inference.server.service import Served, Service
from inference.server.telemetry.exposition import Page
from inference.server.telemetry.following import Follower, current
from inference.server.telemetry.metrics import Phase, Shed
from inference.transport.messages import (
    JSON,
    Buffer,
    Rejected,
    Reply,
    Request,
    not_allowed,
    settled,
)

Made = TypeVar("Made")

_BINARY: Final = b"application/octet-stream"
_LENGTH: Final = b"inference-header-content-length"
_NO_ROOM: Final = 429
_LARGE: Final = 16 << 10  # bytes of JSON that are parsed, and values written, off the loop
_ABOUT: Final = {"name": "falaj", "version": "2", "extensions": ["binary_tensor_data"]}


class App:
    """Answers requests over HTTP.

    Args:
        service: what answers.
        aside: runs what would hold the loop up.
        gate: decides who may ask.
        follower: says which requests are traced and logged.
        page: the metrics.
    """

    def __init__(
        self, service: Service, *, aside: Executor, gate: Gate, follower: Follower, page: Page
    ) -> None:
        self._service, self._aside, self._gate = service, aside, gate
        self._follower, self._page = follower, page
        self._loop = asyncio.get_running_loop()

    def __call__(self, request: Request) -> Coroutine[Any, Any, Reply]:
        """Answer; raises Rejected with the status that says why not."""
        if self._follower.wants(request.headers.get(b"traceparent")):
            return self._followed(request)
        return self._answer(request)

    async def _followed(self, request: Request) -> Reply:
        """Answer and say in which span, a refusal too; have a line logged."""
        headers = request.headers
        parent, state = headers.get(b"traceparent"), headers.get(b"tracestate", b"")
        method, path = request.method, request.path
        with self._follower.follow(parent, state, method=method, path=path) as followed:
            reply = await settled(self._answer, request)
            followed.answered(reply.status, len(reply.body))
        traced = (*reply.headers, (b"traceparent", followed.header))
        return Reply(reply.status, reply.body, reply.kind, traced)

    async def _answer(self, request: Request) -> Reply:
        asked = route(request.path)
        if request.method != asked.verb.method:
            raise not_allowed(asked.verb.method)
        if (allowed := asked.verb.allowed_by) is not None:
            await self._gate.authorize(allowed, bearer(request.headers.get(b"authorization")))
        match asked.verb:
            case Verb.INFER:
                return await self._counted(asked, request, self._infer)
            case Verb.V1_PREDICT:
                return await self._counted(asked, request, self._predict)
            case Verb.METRICS:
                return await self._metrics(request)
            case Verb.INDEX:
                await request.body()
        return self._told(asked, request)

    def _told(self, asked: Route, request: Request) -> Reply:
        """Answer what needs no model at work."""
        match asked.verb:
            case Verb.LIVE:
                return _json({"live": True})
            case Verb.READY:
                return self._ready({})
            case Verb.MODEL_READY:
                self._service.named(asked.model, asked.version)
                return self._ready({"name": asked.model})
            case Verb.SERVER:
                return _json(_ABOUT)
            case Verb.MODELS | Verb.V1_MODELS:
                return _json({"models": [self._service.name]})
            case Verb.INDEX:
                return _json([self._entry()])
            case Verb.V1_MODEL:
                self._service.named(asked.model)
                return _json({"name": asked.model, "ready": str(self._service.ready())})
        return self._metadata(self._service.named(asked.model, asked.version))

    def _ready(self, facts: Mapping[str, object]) -> Reply:
        ready = self._service.ready()
        return _json({**facts, "ready": ready}, status=200 if ready else 503)

    def _entry(self) -> dict[str, str]:
        served = self._service.served
        state = "READY" if self._service.ready() else "UNAVAILABLE"
        version = served.version if served else ""
        return {"name": self._service.name, "version": version, "state": state, "reason": ""}

    def _metadata(self, served: Served) -> Reply:
        return _json(
            rest.metadata(
                served.signature,
                name=served.name,
                versions=[served.version],
                platform=served.platform,
                features=served.model.features,
            )
        )

    async def _metrics(self, request: Request) -> Reply:
        accept = request.headers.get(b"accept", b"").decode("latin-1")
        work = self._loop.run_in_executor(self._aside, self._page.text, accept)
        return Reply(200, *await work)

    async def _counted(
        self,
        asked: Route,
        request: Request,
        answer: Callable[[Served, Request], Coroutine[Any, Any, Reply]],
    ) -> Reply:
        served = self._service.named(asked.model, asked.version)
        return await self._service.counted(served, answer(served, request))

    async def _infer(self, served: Served, request: Request) -> Reply:
        self._service.admit(served)
        json_length = _json_length(request.headers)
        body = await _body(served, request, aligned_at=json_length or 0)
        size = len(body) if json_length is None else json_length
        read = functools.partial(rest.parse, body, served.signature, json_length=json_length)
        parsed = await self._timed(served, Phase.PARSE, read, large=size > _LARGE)
        outputs = await self._service.infer(served, parsed)
        write = functools.partial(
            rest.encode, parsed, outputs, model=served.name, version=served.version
        )
        written, length = await self._timed(
            served, Phase.ENCODE, write, large=_size(outputs) > _LARGE
        )
        if length is None:
            return Reply(200, written)
        return Reply(200, written, _BINARY, ((_LENGTH, str(length).encode()),))

    async def _predict(self, served: Served, request: Request) -> Reply:
        if _json_length(request.headers) is not None:
            raise Rejected(415, "v1 has no binary tensors; send JSON")
        self._service.admit(served)
        body = await _body(served, request)
        read = functools.partial(v1.parse, body, served.signature)
        parsed: InferRequest = await self._timed(
            served, Phase.PARSE, read, large=len(body) > _LARGE
        )
        outputs = await self._service.infer(served, parsed)
        write = functools.partial(v1.encode, parsed, outputs)
        large = _size(outputs) > _LARGE
        return Reply(200, await self._timed(served, Phase.ENCODE, write, large=large))

    async def _timed(
        self, served: Served, phase: Phase, work: Callable[[], Made], *, large: bool
    ) -> Made:
        """Do a piece of work, off the loop where it is large, and note how long it took."""
        started = time.perf_counter()
        try:
            return await self._loop.run_in_executor(self._aside, work) if large else work()
        finally:
            served.metrics.phase(phase, time.perf_counter() - started)


async def _body(served: Served, request: Request, *, aligned_at: int = 0) -> Buffer:
    """Read the body of an inference request, and count where there is no room for it."""
    try:
        body = await request.body(aligned_at=aligned_at)
    except Rejected as rejected:
        if rejected.status == _NO_ROOM:
            served.metrics.shed(Shed.MEMORY)
        raise
    if (followed := current()) is not None:
        followed.bytes_in = len(body)
    return body


def _json(value: object, *, status: int = 200) -> Reply:
    return Reply(status, orjson.dumps(value))


def _size(outputs: Tensors) -> int:
    return sum(values.size for values in outputs.values())


def _json_length(headers: Mapping[bytes, bytes]) -> int | None:
    """Return how long the JSON before binary tensors is, None where there are none of those.

    Raises:
        Rejected: 415 for what is neither JSON nor that, 400 for a length that is none.
    """
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise Rejected(415, "compressed bodies are not supported; send them as they are")
    kind = headers.get(b"content-type", JSON).split(b";")[0].strip().lower()
    length = headers.get(_LENGTH)
    if length is None:
        if kind != JSON:
            raise Rejected(415, "content-type is not application/json")
        return None
    if kind not in {JSON, _BINARY}:
        raise Rejected(415, "content-type is neither application/json nor octet-stream")
    if not (length.isdigit() and len(length) < 12):
        raise Rejected(400, "inference-header-content-length is no number of bytes")
    return int(length)
