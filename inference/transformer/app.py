"""The handler: entity keys in, features looked up, the predictor's answer out."""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Final

import orjson

from components.foundation.errors import UserError
from inference.server.protocol import rest
from inference.server.protocol.messages import InferRequest
from inference.server.routes import Route, Verb, route
from inference.server.security.tokens import Gate, bearer
from inference.server.telemetry import trace
from inference.transformer.lookup import Lookups
from inference.transformer.metrics import Metrics, Part
from inference.transformer.plan import Plan
from inference.transformer.predictor import Predictor
from inference.transport.client import Answer
from inference.transport.messages import JSON, Headers, Rejected, Reply, Request, not_allowed

_LOG = logging.getLogger("transformer")
_ABOUT: Final = {"name": "falaj-transformer", "version": "2", "extensions": []}
_LENGTH: Final = b"inference-header-content-length"
# The caller's own token goes on, so that the predictor checks who asks and not merely that it is
# us: the transformer has no right to infer of its own (decision record 0014).
_PASSED: Final = (b"authorization", b"x-request-id")
_READY_FOR: Final = 0.5  # seconds that one look at the predictor is believed
_GONE: Final = 499
_UNFIT: Final = Rejected(503, "the features do not fit the predictor's model")


class App:
    """Answers requests of one model; made and used on one event loop."""

    def __init__(
        self,
        model: str,
        *,
        lookups: Lookups,
        predictor: Predictor,
        metrics: Metrics,
        gate: Gate,
        lookup_seconds: float,
        seconds: float,
    ) -> None:
        """Take the parts.

        Args:
            model: its name.
            lookups: where the features are.
            predictor: what infers.
            metrics: what is counted.
            gate: who may ask; the predictor checks the same token again.
            lookup_seconds: for one lookup; 504 beyond.
            seconds: for a whole request; 504 beyond.
        """
        self._model, self._lookups, self._predictor = model, lookups, predictor
        self._metrics, self._gate, self._lookup_seconds = metrics, gate, lookup_seconds
        self._seconds = seconds
        self._plan: Plan | None = None
        self._looking = asyncio.Lock()
        self._looked, self._complaint, self._why = 0.0, "", _UNFIT
        self.draining = False

    async def __call__(self, request: Request) -> Reply:
        """Answer; raises Rejected with the status that says why not."""
        asked = route(request.path)
        if request.method != asked.verb.method:
            raise not_allowed(asked.verb.method)
        if (allowed := asked.verb.allowed_by) is not None:
            await self._gate.authorize(allowed, bearer(request.headers.get(b"authorization")))
        match asked.verb:
            case Verb.LIVE:
                return _json({"live": True})
            case Verb.READY:
                return await self._readiness({})
            case Verb.SERVER:
                return _json(_ABOUT)
            case Verb.METRICS:
                accept = request.headers.get(b"accept", b"").decode("latin-1")
                return Reply(200, *self._metrics.text(accept))
            case Verb.MODEL | Verb.MODEL_READY | Verb.INFER:
                return await self._of_model(asked, request)
        raise Rejected(404, "no such path here; see /v2")

    async def _of_model(self, asked: Route, request: Request) -> Reply:
        if asked.model != self._model:
            raise Rejected(404, f"no model {asked.model[:100]!r} here")
        match asked.verb:
            case Verb.MODEL_READY:
                return await self._model_readiness(asked)
            case Verb.INFER:
                return await self._counted(asked, request)
        return self._metadata(await self._planned(asked))

    async def look(self) -> None:
        """Ask the predictor what it serves, and plan for that; without an answer plan nothing."""
        async with self._looking:
            if self._looked and time.monotonic() - self._looked < _READY_FOR:
                return
            try:
                self._plan = await self._planning()
                self._complain("")
            except (Rejected, UserError) as error:
                self._plan = None
                self._complain(str(error))
                self._why = error if isinstance(error, Rejected) else _UNFIT
            self._metrics.agree(agrees=self._plan is not None)
            self._looked = time.monotonic()

    async def _planning(self) -> Plan:
        version, model = await self._predictor.metadata()
        source = self._lookups.source
        before = self._plan
        if before is not None and (before.version, before.model) == (version, model):
            return before
        return Plan.of(model, version=version, keys=source.keys, features=source.features)

    def _complain(self, why: str) -> None:
        """Log why nothing can be answered: once, until that changes."""
        if why and why != self._complaint:
            _LOG.error("%s", why)
        self._complaint = why

    async def _readiness(self, facts: Mapping[str, object]) -> Reply:
        await self.look()
        ready = self._plan is not None and not self.draining
        return _json({**facts, "ready": ready}, status=200 if ready else 503)

    async def _model_readiness(self, asked: Route) -> Reply:
        reply = await self._readiness({"name": self._model})
        if self._plan is not None:
            self._check_version(asked, self._plan)
        return reply

    async def _planned(self, asked: Route) -> Plan:
        """Return what to do; raises Rejected with why there is nothing, 404 for a version."""
        if self._plan is None:
            await self.look()
        plan = self._plan
        if plan is None:
            raise Rejected(self._why.status, str(self._why), headers=self._why.headers)
        self._check_version(asked, plan)
        return plan

    def _check_version(self, asked: Route, plan: Plan) -> None:
        if asked.version and asked.version != plan.version:
            raise Rejected(404, f"no version {asked.version[:100]!r} of {self._model!r} here")

    def _metadata(self, plan: Plan) -> Reply:
        name, versions = self._model, [plan.version]
        return _json(rest.metadata(plan.asked, name=name, versions=versions, platform="falaj"))

    async def _counted(self, asked: Route, request: Request) -> Reply:
        code = 500
        try:
            with self._metrics.timed(Part.WHOLE):
                reply = await self._infer(asked, request)
            code = reply.status
        except Rejected as rejected:
            code = rejected.status
            raise
        except asyncio.CancelledError:
            code = _GONE
            raise
        finally:
            self._metrics.count(code)
        return reply

    async def _infer(self, asked: Route, request: Request) -> Reply:
        _check_kind(request.headers)
        body = await request.body()
        plan = await self._planned(asked)
        parsed = rest.parse(body, plan.asked)
        until = time.monotonic() + min(parsed.timeout or self._seconds, self._seconds)
        written, json_length = await self._filled(plan, parsed, until)
        with self._metrics.timed(Part.PREDICTOR):
            version, answer = await self._predictor.infer(
                written,
                json_length=json_length,
                headers=_passed(request.headers),
                seconds=_left(until),
            )
        if version != plan.version:
            self._forget()  # where any version is allowed, its inputs may still be others
        self._predictor.pin.check(version)
        return _reply(answer)

    async def _filled(self, plan: Plan, parsed: InferRequest, until: float) -> tuple[bytes, int]:
        """Write the request to the predictor, with what the store knows of the entities."""
        entities = plan.entities(parsed)
        names = [tensor.name for tensor in plan.stored]
        seconds = min(_left(until), self._lookup_seconds)
        with self._metrics.timed(Part.LOOKUP):
            found = await self._lookups.find(entities, names, seconds=seconds)
        inputs = plan.inputs(parsed, entities, found)
        return plan.encode(parsed, inputs, seconds=_left(until))

    def _forget(self) -> None:
        """Plan anew with the next request, and be unready until that works."""
        self._plan, self._looked = None, 0.0
        self._metrics.agree(agrees=False)


def _json(value: object, *, status: int = 200) -> Reply:
    return Reply(status, orjson.dumps(value))


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise Rejected(504, "the time for this request is over")
    return left


def _check_kind(headers: Mapping[bytes, bytes]) -> None:
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise Rejected(415, "compressed bodies are not supported; send them as they are")
    kind = headers.get(b"content-type", JSON).split(b";")[0].strip().lower()
    if kind != JSON or _LENGTH in headers:
        raise Rejected(415, "keys come as application/json; outputs may be binary")


def _passed(headers: Mapping[bytes, bytes]) -> Headers:
    """Return what the predictor is told of the client: who it is, and whose work this is."""
    span = trace.received(headers.get(b"traceparent"), headers.get(b"tracestate", b""))
    told = [(name, headers[name]) for name in _PASSED if name in headers]
    told.append((b"traceparent", span.header()))
    if span.state:
        told.append((b"tracestate", span.state))
    return tuple(told)


def _reply(answer: Answer) -> Reply:
    headers = dict(answer.headers)
    length = headers.get(_LENGTH)
    more = () if length is None else ((_LENGTH, length),)
    return Reply(200, answer.body, headers.get(b"content-type", JSON), more)
