"""HTTP/1.1 on asyncio: whole requests in, whole responses out, connections kept alive."""

import asyncio
import collections
import http
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import httptools

Headers = list[tuple[bytes, bytes]]

_LIMIT = 64 * 2**20  # bytes of one body; what is larger belongs in score_batch


@dataclass(slots=True)
class Request:
    method: str
    target: str
    headers: Headers = field(default_factory=list)
    body: bytes = b""

    def header(self, name: bytes) -> bytes:
        """Return a header's value by its lower-case name, or nothing."""
        return next((value for key, value in self.headers if key.lower() == name), b"")

    def encode(self) -> bytes:
        lines = [f"{self.method} {self.target} HTTP/1.1".encode()]
        return _message(lines, self.headers, self.body)


@dataclass(slots=True)
class Response:
    status: int
    headers: Headers = field(default_factory=list)
    body: bytes = b""

    def encode(self) -> bytes:
        return _message([_STATUS_LINES[self.status]], self.headers, self.body)


Handler = Callable[[Request], Awaitable[Response]]

_STATUS_LINES = collections.defaultdict(
    lambda: b"HTTP/1.1 500 Internal Server Error",
    {s.value: f"HTTP/1.1 {s.value} {s.phrase}".encode() for s in http.HTTPStatus},
)
_HOP_BY_HOP = {
    b"connection",
    b"keep-alive",
    b"transfer-encoding",
    b"content-length",
    b"upgrade",
    b"te",
    b"trailer",
    b"expect",
}


def text(status: int, message: str, *, content: str = "text/plain; charset=utf-8") -> Response:
    return Response(status, [(b"content-type", content.encode())], message.encode())


def _message(lines: list[bytes], headers: Headers, body: bytes) -> bytes:
    lines += [name + b": " + value for name, value in headers if name.lower() not in _HOP_BY_HOP]
    lines.append(b"content-length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


async def serve(handler: Handler, port: int) -> tuple[asyncio.Server, int]:
    """Listen on a loopback port (0: a free one); return the server and its port."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Server(handler), "127.0.0.1", port)
    bound: int = server.sockets[0].getsockname()[1]
    return server, bound


class _Incoming(asyncio.Protocol):
    """What both sides share: headers and a body that grow as bytes arrive."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.headers: Headers = []
        self.body: list[bytes] = []
        self.size = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # create_server and create_connection always give a full transport.
        self.transport = transport  # type: ignore[assignment]

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_body(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > _LIMIT:
            raise ValueError(f"body over {_LIMIT} bytes")
        self.body.append(data)

    def take(self) -> tuple[Headers, bytes]:
        taken = self.headers, b"".join(self.body)
        self.headers, self.body, self.size = [], [], 0
        return taken


class _Server(_Incoming):
    """One client's connection; requests are answered in the order they came."""

    def __init__(self, handler: Handler) -> None:
        super().__init__()
        self._handler = handler
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._waiting: collections.deque[tuple[Request, bool]] = collections.deque()
        self._task: asyncio.Task[None] | None = None

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(501, "upgrades are not spoken here")
        except httptools.HttpParserError as error:
            self._refuse(400, str(error))

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_headers_complete(self) -> None:
        if any(name.lower() == b"expect" for name, _ in self.headers):
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_message_complete(self) -> None:
        headers, body = self.take()
        target, self._target = self._target, b""
        request = Request(self._parser.get_method().decode(), target.decode(), headers, body)
        self._waiting.append((request, self._parser.should_keep_alive()))
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._answer())

    async def _answer(self) -> None:
        while self._waiting:
            request, keep = self._waiting.popleft()
            response = await self._handler(request)
            if self.transport.is_closing():
                return
            self.transport.write(response.encode())
            if not keep:
                self.transport.close()
                return

    def _refuse(self, status: int, message: str) -> None:
        self.transport.write(text(status, message).encode())
        self.transport.close()


class Broken(Exception):
    """The other side could not be reached, or hung up before it had answered."""


class Upstream:
    """Kept-alive connections to one address."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._address = (host, port)
        self._idle: list[_Client] = []

    async def send(self, request: Request, *, timeout_s: float = 60) -> Response:
        """Send a request and await the whole response.

        A kept connection that turns out to be closed is tried again on a fresh one.

        Raises:
            Broken: no connection, or it ended too early.
            TimeoutError: no answer in time.
        """
        while self._idle:
            client = self._idle.pop()
            if client.open:
                try:
                    return await self._ask(client, request, timeout_s)
                except _Stale:
                    continue
        return await self._ask(await self._connect(), request, timeout_s)

    def close(self) -> None:
        for client in self._idle:
            client.transport.close()
        self._idle.clear()

    async def _connect(self) -> "_Client":
        loop = asyncio.get_running_loop()
        try:
            _, client = await loop.create_connection(_Client, *self._address)
        except OSError as error:
            raise Broken(str(error)) from error
        return client

    async def _ask(self, client: "_Client", request: Request, timeout_s: float) -> Response:
        answer = client.send(request)
        timer = asyncio.get_running_loop().call_later(timeout_s, client.give_up)
        try:
            response = await answer
        finally:
            timer.cancel()
        if client.reusable:
            self._idle.append(client)
        else:
            client.transport.close()
        return response


class _Stale(Broken):
    """A kept connection was closed before it answered a byte."""


class _Client(_Incoming):
    """One connection to a server, one request at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.reusable = True, False
        self._heard, self._used = False, False
        self._answer: asyncio.Future[Response] | None = None

    def send(self, request: Request) -> "asyncio.Future[Response]":
        self._parser = httptools.HttpResponseParser(self)
        self._answer = asyncio.get_running_loop().create_future()
        self._heard = self.reusable = False
        self.transport.write(request.encode())
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._heard = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(Broken(f"not HTTP: {error}"))
            self.transport.close()

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            self.take()
            return
        headers, body = self.take()
        self.reusable, self._used = self._parser.should_keep_alive(), True
        if self._answer and not self._answer.done():
            self._answer.set_result(Response(status, headers, body))

    def connection_lost(self, error: Exception | None) -> None:
        self.open = self.reusable = False
        stale = self._used and not self._heard
        self._fail((_Stale if stale else Broken)("the connection ended"))

    def give_up(self) -> None:
        self._fail(TimeoutError("no answer in time"))
        self.transport.close()

    def _fail(self, error: Exception) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_exception(error)
