"""A client of one HTTP/1.1 server: connections that are kept, and everything bounded.

A request is sent once. It is sent again only where a kept connection turned out to be closed
before any byte of an answer came and the method is one that may be repeated (GET): whoever
repeats more than that makes the server do its work twice.
"""

import asyncio
import collections
import ssl
from dataclasses import dataclass
from typing import Final, cast

import httptools

from components.foundation.errors import InfrastructureError
from inference.transport.messages import Buffer, Headers

_WHOLE: Final = 64 << 10  # a body up to this size is joined to its head
_REPEATABLE: Final = frozenset({b"GET"})
_NO_BODY: Final = frozenset({b"GET"})


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a server listens; `tls` tells how its certificate is checked, None is plaintext."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one server may take of us.

    Attributes:
        connections: in use at once; 503 beyond.
        connect_seconds: for a connection to be made; 504 beyond.
        answer_seconds: from the request to the end of its answer; 504 beyond.
        idle_seconds: that a connection is kept; well below what servers keep theirs.
        head_bytes: status line and headers together; 502 beyond.
        body_bytes: one answer's body; 502 beyond.
    """

    connections: int = 512
    connect_seconds: float = 2.0
    answer_seconds: float = 10.0
    idle_seconds: float = 20.0
    head_bytes: int = 32 << 10
    body_bytes: int = 64 << 20


@dataclass(frozen=True, slots=True)
class Call:
    """A request; the client adds its host and the length of its body."""

    method: bytes
    target: bytes
    headers: Headers = ()
    body: Buffer = b""

    def head(self, authority: bytes) -> bytes:
        lines = [b"%b %b HTTP/1.1\r\nhost: %b\r\n" % (self.method, self.target, authority)]
        lines += [b"%b: %b\r\n" % header for header in self.headers]
        if self.body or self.method not in _NO_BODY:
            lines.append(b"content-length: %d\r\n" % len(self.body))
        return b"".join(lines) + b"\r\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; the names of its headers are in lower case, in the order they came."""

    status: int
    headers: Headers
    body: bytes


class Failed(InfrastructureError):
    """No answer came; `status` is what a gateway says then: 502, 503 or 504."""

    def __init__(self, status: int, message: str, *, unheard: bool = False) -> None:
        super().__init__(message, code="upstream-failed")
        self.status, self.unheard = status, unheard


class Client:
    """Asks one server; made and used on one event loop."""

    def __init__(self, origin: Origin, bounds: Bounds) -> None:
        self._origin, self._bounds = origin, bounds
        self._authority = origin.authority.encode()
        self._loop = asyncio.get_running_loop()
        self._idle: collections.deque[tuple[float, _Link]] = collections.deque()
        self._busy = 0
        self._closed = False

    async def send(self, call: Call, *, seconds: float | None = None) -> Answer:
        """Send a request and return its answer; raises Failed where none came."""
        if self._busy >= self._bounds.connections:
            raise Failed(503, f"{self._origin.authority}: too many requests under way; try again")
        limit = self._bounds.answer_seconds if seconds is None else seconds
        self._busy += 1
        try:
            return await self._send(call, self._loop.time() + limit)
        finally:
            self._busy -= 1

    def close(self) -> None:
        """Keep no connection any more; requests under way are still answered."""
        self._closed = True
        while self._idle:
            self._idle.pop()[1].close()

    async def _send(self, call: Call, until: float) -> Answer:
        kept = self._kept()
        if kept is not None:
            try:
                return await self._ask(kept, call, until)
            except Failed as failed:
                if not (failed.unheard and call.method in _REPEATABLE):
                    raise
        return await self._ask(await self._connect(until), call, until)

    async def _ask(self, link: "_Link", call: Call, until: float) -> Answer:
        # asyncio.timeout costs ten times as much, which every request would pay.
        timer = self._loop.call_at(until, link.expire)
        try:
            return await link.ask(call.head(self._authority), call.body)
        finally:
            timer.cancel()
            self._keep(link)

    def _kept(self) -> "_Link | None":
        """Return the connection used last, which is the likeliest to be open."""
        oldest = self._loop.time() - self._bounds.idle_seconds
        while self._idle:
            since, link = self._idle.pop()
            if since > oldest and link.reusable:
                return link
            link.close()
        return None

    def _keep(self, link: "_Link") -> None:
        if self._closed or not link.reusable:
            link.close()
            return
        now = self._loop.time()
        self._idle.append((now, link))
        while self._idle[0][0] <= now - self._bounds.idle_seconds:
            self._idle.popleft()[1].close()

    async def _connect(self, until: float) -> "_Link":
        origin, at_most = self._origin, self._loop.time() + self._bounds.connect_seconds
        try:
            async with asyncio.timeout_at(min(until, at_most)):
                _, link = await self._loop.create_connection(
                    lambda: _Link(self._bounds, self._loop),
                    origin.host,
                    origin.port,
                    ssl=origin.tls,
                )
        except TimeoutError:
            raise Failed(504, f"{origin.authority}: no connection in time") from None
        except OSError as error:
            raise Failed(502, f"{origin.authority}: cannot be reached") from error
        return link


class _Link(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self, bounds: Bounds, loop: asyncio.AbstractEventLoop) -> None:
        self._bounds, self._loop = bounds, loop
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # until it is made
        self._asked: asyncio.Future[Answer] | None = None
        self._stays = True  # the server has not said that it closes
        self._clear()

    def _clear(self) -> None:
        self._headers: list[tuple[bytes, bytes]] = []
        self._chunks: list[bytes] = []
        self._headed = False  # the head is complete
        self._heard = 0  # bytes since the request
        self._size = 0

    @property
    def reusable(self) -> bool:
        return self._asked is None and self._stays and not self._transport.is_closing()

    async def ask(self, head: bytes, body: Buffer) -> Answer:
        """Send a request and wait for the end of its answer."""
        self._clear()
        self._asked = self._loop.create_future()
        if len(body) <= _WHOLE:
            self._transport.write(head + body)
        else:
            self._transport.writelines([head, body])
        answer = await self._asked
        self._asked = None  # who was cancelled or failed leaves it, and the link is not reused
        return answer

    def close(self) -> None:
        """Close; at once where an answer was still to come."""
        if self._asked is None:
            self._transport.close()
        else:
            self._transport.abort()

    def expire(self) -> None:
        """Give up an answer that is late."""
        self._fail("the answer did not come in time", status=504)

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class

    def connection_lost(self, exc: Exception | None) -> None:
        self._stays = False
        if exc is None and self._ends_with_connection():
            self.on_message_complete()
        else:
            self._fail("the connection ended before the answer did", unheard=not self._heard)

    def data_received(self, data: bytes) -> None:
        if self._asked is None or self._asked.done():
            self._transport.abort()  # nobody asked
            return
        self._heard += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            ours = error.__context__
            self._fail(str(ours) if isinstance(ours, Failed) else "the answer is no HTTP/1.1")
        else:
            if not self._headed and self._heard > self._bounds.head_bytes:
                self._fail("the head of the answer is too large")

    # What the parser calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._headed:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._headed = True
        self._stays = self._parser.should_keep_alive()

    def on_body(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > self._bounds.body_bytes:
            raise Failed(502, "the body of the answer is too large")
        self._chunks.append(chunk)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            self._headers, self._headed = [], False  # the answer itself follows
        elif self._asked is not None and not self._asked.done():
            answer = Answer(status, tuple(self._headers), b"".join(self._chunks))
            self._asked.set_result(answer)
        else:
            self._stays = False  # a second answer to one request

    def _ends_with_connection(self) -> bool:
        """Say whether nothing but the connection's end could end the body."""
        framed = {b"content-length", b"transfer-encoding"}
        return self._headed and not any(name in framed for name, _ in self._headers)

    def _fail(self, why: str, *, status: int = 502, unheard: bool = False) -> None:
        self._stays = False
        if self._asked is not None and not self._asked.done():
            self._asked.set_exception(Failed(status, why, unheard=unheard))
