"""Forwards requests: subject, variant, upstream, answer.

Where a variant's upstream is down (502), drowned (503) or slow (504), its subjects are told so.
They are never served by another variant instead: the experiment would count one variant's
failures as the other's success, and people would see both.
"""

import asyncio
import logging
import time
from dataclasses import dataclass, replace
from typing import Final

from inference.router.metrics import Metrics
from inference.router.subject import Known, Subject, Subjects
from inference.router.table import Table
from inference.transport import forwarding
from inference.transport.client import Call, Failed
from inference.transport.messages import RETRY_SOON, Headers, Rejected, Reply, Request, not_allowed

_LOG = logging.getLogger("router")
_METHODS: Final = ("GET", "POST")
_VARIANT: Final = b"x-falaj-variant"
_OURS: Final = frozenset({_VARIANT})  # which the router writes itself, on both sides
_GONE: Final = 499
_READY_FOR: Final = 0.5  # seconds that one look at the upstreams is believed


@dataclass(frozen=True, slots=True)
class Choice:
    """Who gets what."""

    table: Table
    variant: str
    subject: Subject

    @property
    def told(self) -> Headers:
        """The headers by which the client learns of it."""
        variant = ((_VARIANT, self.variant.encode()),)
        if not self.subject.cookie:
            return variant
        return (*variant, (b"set-cookie", self.subject.cookie))


class App:
    """The handler of the router's port."""

    def __init__(
        self, table: Table, *, subjects: Subjects, metrics: Metrics, forced_by: bytes = b""
    ) -> None:
        """Take what to serve; the header `forced_by` names a variant, empty allows nobody to."""
        self._table, self._subjects, self._metrics = table, subjects, metrics
        self._forced_by = forced_by
        self._looked, self._ready = 0.0, False
        self._complaints: dict[str, str] = {}
        self.draining = False

    def swap(self, table: Table) -> None:
        """Serve another table from the next request on."""
        before, self._table = self._table, table
        self._looked = 0.0
        before.close()

    async def __call__(self, request: Request) -> Reply:
        """Answer; raises Rejected with the status that says why not."""
        if request.method not in _METHODS:
            raise not_allowed(*_METHODS)
        if request.method == "GET":
            match request.path:
                case "/v2/health/live":
                    return Reply(200, b'{"live":true}')
                case "/v2/health/ready":
                    return await self._readiness()
                case "/metrics":
                    accept = request.headers.get(b"accept", b"").decode("latin-1")
                    return Reply(200, *self._metrics.text(accept))
        return await self._counted(self._choose(request), request)

    async def _readiness(self) -> Reply:
        now = time.monotonic()
        if not self._looked or now - self._looked > _READY_FOR:
            self._ready = await self._table.ready()
            self._looked = time.monotonic()
        if self._ready and not self.draining:
            return Reply(200, b'{"ready":true}')
        return Reply(503, b'{"ready":false}')

    def _choose(self, request: Request) -> Choice:
        table = self._table
        subject = self._subjects.of(request.headers)
        forced = request.headers.get(self._forced_by) if self._forced_by else None
        if forced is None:
            return Choice(table, table.split.assign(subject.name), subject)
        variant = forced.decode("latin-1")
        if variant not in table.clients:
            known = ", ".join(sorted(table.clients))
            raise Rejected(400, f"there is no such variant to force; known: {known}")
        return Choice(table, variant, replace(subject, known=Known.FORCED))

    async def _counted(self, choice: Choice, request: Request) -> Reply:
        began, code = time.perf_counter(), 500
        try:
            reply = await self._answer(choice, request)
            code = reply.status
        except asyncio.CancelledError:
            code = _GONE
            raise
        finally:
            self._metrics.count(
                choice.table.experiment,
                choice.variant,
                code=code,
                known=choice.subject.known,
                seconds=time.perf_counter() - began,
            )
        return Reply(reply.status, reply.body, reply.kind, reply.headers + choice.told)

    async def _answer(self, choice: Choice, request: Request) -> Reply:
        """Answer, or say why not."""
        try:
            reply = await _forward(choice, request)
        except Rejected as rejected:
            return Reply.refusal(rejected)
        except Failed as failed:
            self._complain(choice.variant, str(failed))
            # What failed names addresses inside; clients learn the variant only.
            why = f"variant {choice.variant} did not answer"
            more = RETRY_SOON if failed.status == 503 else ()
            return Reply.refusal(Rejected(failed.status, why, headers=more))
        self._complaints.pop(choice.variant, None)
        return reply

    def _complain(self, variant: str, why: str) -> None:
        """Log why a variant fails: once, until it answers or fails for another reason."""
        if self._complaints.get(variant) != why:
            self._complaints[variant] = why
            _LOG.error("variant %s: %s", variant, why)


async def _forward(choice: Choice, request: Request) -> Reply:
    passed = forwarding.of_request(request.headers, but=_OURS)
    call = Call(
        request.method.encode(),
        request.target,
        (*passed, (_VARIANT, choice.variant.encode())),
        await request.body(),
    )
    answer = await choice.table.clients[choice.variant].send(call)
    return forwarding.reply(answer, but=_OURS)
