"""The server as an ASGI application: routes, limits, and exact statuses.

Whatever takes time (parsing, predicting, encoding) runs in a pool of threads, so health and
metrics answer while predictions are slow.
"""

import asyncio
import datetime
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import orjson

from components.foundation import onnx_runtime
from inference.observer.observation import Prediction, score_of
from inference.observer.spool import Spool
from inference.server.protocol import rest as protocol
from inference.server.protocol.messages import Rejected
from inference.server.runtimes.onnx import Model
from inference.server.telemetry.metrics import Metrics

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_LOG = logging.getLogger("server")
_JSON = b"application/json"
_PROMETHEUS = b"text/plain; version=0.0.4; charset=utf-8"
_SERVER = {"name": "falaj", "version": "2", "extensions": []}


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer."""

    status: int
    body: bytes
    kind: bytes = _JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()

    async def send(self, send: Send) -> None:
        length = str(len(self.body)).encode()
        own = [(b"content-type", self.kind), (b"content-length", length)]
        headers = [*own, *self.headers]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


class _Gone(Exception):
    """The client went away before it had sent its request."""


@dataclass
class App:
    """One model behind the protocol."""

    model: Model
    metrics: Metrics
    pool: ThreadPoolExecutor
    spool: Spool | None = None
    max_body: int = 64 << 20
    draining: bool = field(default=False, init=False)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            reply = await self._reply(scope, receive)
        except Rejected as rejected:
            reply = _refusal(rejected)
        except _Gone:
            return
        await reply.send(send)

    async def _reply(self, scope: Message, receive: Receive) -> Reply:
        match scope["path"].split("/")[1:]:
            case ["v2"]:
                return _get(scope, Reply(200, orjson.dumps(_SERVER)))
            case ["v2", "health", "live"]:
                return _get(scope, Reply(200, b'{"live":true}'))
            case ["v2", "health", "ready"]:
                return _get(scope, self._ready({}))
            case ["metrics"]:
                return _get(scope, Reply(200, self.metrics.text(), _PROMETHEUS))
            case ["v2", "models", name, "versions", version, *verb]:
                self._check_version(name, version)
                return await self._model(verb, scope, receive)
            case ["v2", "models", name, *verb]:
                self._check_version(name, self.model.version)
                return await self._model(verb, scope, receive)
        raise Rejected(404, "no such path; see /v2")

    async def _model(self, verb: list[str], scope: Message, receive: Receive) -> Reply:
        match verb:
            case []:
                return _get(scope, Reply(200, self._metadata()))
            case ["ready"]:
                return _get(scope, self._ready({"name": self.model.name}))
            case ["infer"]:
                return await self._counted(scope, receive)
        raise Rejected(404, "no such path; see /v2")

    def _check_version(self, name: str, version: str) -> None:
        if (name, version) != (self.model.name, self.model.version):
            raise Rejected(404, "no such model or version here; /v2/models/NAME/versions/VERSION")

    def _ready(self, facts: dict[str, Any]) -> Reply:
        status = 503 if self.draining else 200
        return Reply(status, orjson.dumps({**facts, "ready": not self.draining}))

    def _metadata(self) -> bytes:
        model = self.model
        return protocol.metadata(model.signature, model=model.name, version=model.version)

    async def _counted(self, scope: Message, receive: Receive) -> Reply:
        """Infer, and count the answer whatever it is."""
        started = time.perf_counter()
        try:
            reply = await self._infer(scope, receive)
        except Rejected as rejected:
            reply = _refusal(rejected)
        self.metrics.answered(reply.status, seconds=time.perf_counter() - started)
        return reply

    async def _infer(self, scope: Message, receive: Receive) -> Reply:
        if scope["method"] != "POST":
            raise _not_allowed("POST")
        _check_headers(dict(scope["headers"]), self.max_body)
        body = await _body(receive, self.max_body)
        return await asyncio.get_running_loop().run_in_executor(self.pool, self.predict, body)

    def predict(self, body: bytes) -> Reply:
        """Answer one request, in a thread of the pool."""
        request = protocol.parse(body, self.model.signature)
        try:
            outputs = self.model.predict(request.inputs)
        # Whatever a model raises, the client learns that it failed and under which number.
        except Exception as error:
            incident, place = uuid.uuid4().hex[:12], onnx_runtime.place(error)
            _LOG.error(
                "incident %s: the model failed on request %r, %s", incident, request.id, place
            )
            return Reply(500, protocol.error(f"the model failed; incident {incident}"))
        if self.spool is not None:
            score = score_of(outputs[self.model.signature.outputs[0].name])
            now = datetime.datetime.now(datetime.UTC)
            self.spool.add(Prediction(now, request.ids, request.inputs, score))
        model = self.model
        encoded = protocol.encode(request, outputs, model=model.name, version=model.version)
        return Reply(200, encoded)


def _refusal(rejected: Rejected) -> Reply:
    return Reply(rejected.status, protocol.error(str(rejected)), headers=rejected.headers)


def _not_allowed(allowed: str) -> Rejected:
    message = f"only {allowed} is allowed here"
    return Rejected(405, message, headers=((b"allow", allowed.encode()),))


def _get(scope: Message, reply: Reply) -> Reply:
    if scope["method"] != "GET":
        raise _not_allowed("GET")
    return reply


def _check_headers(headers: dict[bytes, bytes], max_body: int) -> None:
    """Refuse what is no JSON or too large before a byte of it is read."""
    if b"inference-header-content-length" in headers or b"content-encoding" in headers:
        raise Rejected(415, "binary tensors and compressed bodies are not supported; send JSON")
    kind = headers.get(b"content-type", _JSON).split(b";")[0].strip().lower()
    if kind != _JSON:
        raise Rejected(415, "content-type is not application/json")
    length = headers.get(b"content-length", b"0")
    if not length.isdigit() or int(length) > max_body:
        raise _too_large(max_body)


def _too_large(max_body: int) -> Rejected:
    message = f"the body is larger than {max_body} bytes; send fewer rows a request"
    return Rejected(413, message, headers=((b"connection", b"close"),))


async def _body(receive: Receive, max_body: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > max_body:
            raise _too_large(max_body)
        if not message.get("more_body"):
            return b"".join(pieces)
