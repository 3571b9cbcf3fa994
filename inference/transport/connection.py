"""One HTTP/1.1 connection: bytes to requests, replies to bytes, in order."""

import asyncio
import collections
import http
import math
from typing import Final, Protocol, cast

import httptools

from inference.transport.incoming import Incoming
from inference.transport.limits import Budget, Limits
from inference.transport.messages import RETRY_SOON, Handler, Rejected, Reply, settled

_PIPELINED: Final = 32  # requests read ahead of the one being answered
_WHOLE: Final = 64 << 10  # a body up to this size is joined to its head
_UNREAD: Final = "too many answers wait to be read; read them, then try again"
_NO_HTTP: Final = "this is no HTTP/1.1 request"
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_STATUS: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode()
    for status in http.HTTPStatus
}


class Host(Protocol):
    """What connections share."""

    handler: Handler
    limits: Limits
    budget: Budget
    date: bytes
    draining: bool
    loop: asyncio.AbstractEventLoop
    scratch: memoryview  # what was received last, by whichever connection

    def opened(self, connection: "Connection") -> bool: ...
    def closed(self, connection: "Connection") -> None: ...


class Connection(asyncio.BufferedProtocol):
    """Answers one request at a time; what a client pipelines waits its turn.

    All connections receive into one buffer, and each is done with it before the next receives; a
    body whose length is known goes by the parser only where it begins, and is received into its
    place once it was asked for.
    """

    __slots__ = (
        "_active",
        "_blocked",
        "_head",
        "_host",
        "_left",
        "_overhead",
        "_owed",
        "_parser",
        "_paused",
        "_placed",
        "_reading",
        "_stopped",
        "_task",
        "_transport",
        "_waiting",
        "deadline",
    )

    def __init__(self, host: Host) -> None:
        self._host = host
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # until it is made
        self._waiting: collections.deque[Incoming] = collections.deque()
        self._reading: Incoming | None = None  # its head or its body is being read
        self._active: Incoming | None = None  # its handler is at work
        self._task: asyncio.Task[None] | None = None
        self._left = 0  # bytes of its body that go by the parser
        self._head = False  # the head of `_reading` is not yet complete
        self._overhead = 0  # bytes since the last request's end that are no body
        self._owed = 0  # bytes of an answer that the client has not taken yet
        self._placed = False  # what is received next goes to its place in the body
        self._paused = False  # we do not read
        self._blocked = False  # the client does not
        self._stopped = False  # nothing more is parsed
        self.deadline = math.inf

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class
        if not self._host.opened(self):
            self._transport.abort()
        self._wait(self._host.limits.head_seconds)

    # A client that has sent its last byte has gone, as for nginx and uvicorn: the transport closes.
    def connection_lost(self, exc: Exception | None) -> None:
        self.deadline = math.inf
        if self._task is not None:
            self._task.cancel()
        for request in (self._active, self._reading, *self._waiting):
            if request is not None:
                request.release()
        self._waiting.clear()
        self._settle()
        self._host.closed(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        request = self._reading if self._left else None
        vacant = None if request is None else request.vacant
        self._placed = vacant is not None
        return self._host.scratch if vacant is None else vacant

    def buffer_updated(self, nbytes: int) -> None:
        if self._placed:
            self._left -= nbytes
            self._request.count(nbytes)
            self._advanced()
            return
        received = self._host.scratch[:nbytes]
        if data := self._fill(received) if self._left else received:
            self._parse(data)
        self._set_flow()

    def _fill(self, data: memoryview) -> memoryview:
        """Take what belongs to the body; return what is after it."""
        taken = min(self._left, len(data))
        self._left -= taken
        if self._stopped:
            return data[:0]
        self._request.add(data[:taken])
        self._advanced()
        return data[taken:]

    def _advanced(self) -> None:
        """Go on after a piece of a body that goes by the parser."""
        if self._request.asked_at:
            self._wait(self._host.limits.body_seconds)
        if not self._left:
            self.on_message_complete()
            self._parser = httptools.HttpRequestParser(self)  # the other still waits for the body

    def _parse(self, data: memoryview) -> None:
        if self._stopped:
            return
        self._overhead += len(data)
        if self._reading is None and self._active is None:
            self._wait(self._host.limits.head_seconds)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._stop()
        except httptools.HttpParserError as error:
            ours = error.__context__
            # One of its own each time: an exception keeps every frame that it was raised in.
            self._refuse(ours if isinstance(ours, Rejected) else Rejected(400, _NO_HTTP))
        else:
            self._check_overhead()
            self._bypass()

    def _bypass(self) -> None:
        """Read on without the parser where only a body of known length can come."""
        request = self._reading
        if request is None or self._head or self._stopped:
            return
        length = request.headers.get(b"content-length")
        if length is not None and b"transfer-encoding" not in request.headers:
            self._left = int(length) - request.size

    def pause_writing(self) -> None:
        self._blocked = True
        self._wait(self._host.limits.write_seconds)

    def resume_writing(self) -> None:
        self._blocked = False
        self._settle()
        if self._active is None:
            self._next()

    # What the parser calls.

    def on_message_begin(self) -> None:
        self._reading = Incoming(self._host.limits, self._host.budget)
        self._head = True

    def on_url(self, url: bytes) -> None:
        self._request.add_target(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head:
            self._request.add_header(name.lower(), value)

    def on_headers_complete(self) -> None:
        request = self._request
        if request.head_size > self._host.limits.head_bytes:
            raise self._large_head()
        if len(self._waiting) >= _PIPELINED:
            raise Rejected(429, f"more than {_PIPELINED} requests at once; wait for answers")
        self._head = False
        request.method = self._parser.get_method().decode("latin-1")
        request.keep_alive = self._parser.should_keep_alive()
        if not request.target.startswith(b"/"):
            request.target = _origin(request.target)
        self._enqueue(request)

    def on_body(self, chunk: bytes) -> None:
        self._overhead -= len(chunk)
        self._request.add(chunk)
        if self._request.asked_at:
            self._wait(self._host.limits.body_seconds)

    def on_message_complete(self) -> None:
        self._overhead = 0
        request, self._reading = self._request, None
        if self._active is request:
            self.deadline = math.inf
        request.finish()

    @property
    def _request(self) -> Incoming:
        if self._reading is None:
            raise RuntimeError("the parser did not begin the message")
        return self._reading

    # One request after the other.

    def _enqueue(self, request: Incoming) -> None:
        if self._active is None and not self._blocked:
            self._start(request)
        else:
            self._waiting.append(request)

    def _start(self, request: Incoming) -> None:
        self._active = request
        self.deadline = math.inf
        request.on_demand(self._demanded)
        self._task = self._host.loop.create_task(self._answer(request))

    async def _answer(self, request: Incoming) -> None:
        if request.broken is not None and not request.method:  # its head is not whole
            self._write(request, Reply.refusal(request.broken))
        else:  # a body that broke is told who asks for it
            self._write(request, await settled(self._host.handler, request))

    def _write(self, request: Incoming, reply: Reply) -> None:
        if self._transport.is_closing():
            return
        close = not (request.keep_alive and request.complete) or self._host.draining
        request.release()
        reply = self._afforded(reply)
        head = self._head_of(reply, close=close)
        if len(reply.body) <= _WHOLE:
            self._transport.write(head + reply.body)
        else:
            self._transport.writelines([head, reply.body])
        if not self._blocked:
            self._settle()
        self._active = self._task = None
        if not request.complete:
            self._linger()
        elif close:
            self._transport.close()
        else:
            self._next()

    def _afforded(self, reply: Reply) -> Reply:
        """Return a reply, or a refusal where too much waits for clients that do not read."""
        size = len(reply.body)
        if size <= _WHOLE:
            return reply
        if not self._host.budget.take(size):
            return Reply.refusal(Rejected(429, _UNREAD, headers=RETRY_SOON))
        self._owed = size
        return reply

    def _settle(self) -> None:
        """Give the memory of an answer back: it was taken, or nobody will."""
        self._host.budget.give(self._owed)
        self._owed = 0

    def _head_of(self, reply: Reply, *, close: bool) -> bytes:
        status = _STATUS.get(reply.status) or b"HTTP/1.1 %d Other\r\n" % reply.status
        head = b"%bdate: %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n" % (
            status,
            self._host.date,
            reply.kind,
            len(reply.body),
        )
        for name, value in reply.headers:
            head += b"%b: %b\r\n" % (name, value)
        return head + (b"connection: close\r\n\r\n" if close else b"\r\n")

    def _next(self) -> None:
        if self._blocked:
            pass  # until the client has taken what was sent
        elif self._waiting:
            self._start(self._waiting.popleft())
        elif self._stopped:
            self._transport.close()
        elif self._reading is not None:
            self._wait(self._host.limits.head_seconds)
        else:
            self._wait(self._host.limits.idle_seconds)
        self._set_flow()

    def _demanded(self) -> None:
        """The handler waits for a body that is still coming."""
        request = self._active
        if request is not None and b"expect" in request.headers and not request.size:
            self._transport.write(_CONTINUE)
        if request is not None and request is self._reading and self._left:
            request.make_room(self._left)
        self._wait(self._host.limits.body_seconds)
        self._set_flow()

    # Limits.

    def _wait(self, seconds: float) -> None:
        self.deadline = self._host.loop.time() + seconds

    def _set_flow(self) -> None:
        """Read on only while there is room for what comes."""
        reading = self._reading
        full = bool(self._waiting) or (reading is not None and reading.prefetched)
        if full != self._paused and not self._transport.is_closing():
            self._paused = full
            (self._transport.pause_reading if full else self._transport.resume_reading)()

    def _check_overhead(self) -> None:
        """Bound heads, chunk sizes and trailers, which the parser gathers without a limit."""
        request = self._reading
        limit = self._host.limits.head_bytes
        if request is None or self._overhead <= limit + request.size // 8:
            return
        if self._head:
            self._refuse(self._large_head())
        else:
            self._refuse(Rejected(400, "the body's chunks are too small; send larger ones"))

    def _large_head(self) -> Rejected:
        most = self._host.limits.head_bytes
        return Rejected(431, f"the head is larger than {most} bytes; send less")

    def _refuse(self, why: Rejected) -> None:
        """Answer with a refusal, after what came before it, and parse no more."""
        if self._stopped:
            return
        self._stop()
        request = self._reading or Incoming(self._host.limits, self._host.budget)
        self._reading = None
        under_way = request is self._active or request in self._waiting
        request.break_off(why)
        if not under_way:
            self._enqueue(request)

    def _stop(self) -> None:
        self._stopped = True

    def _linger(self) -> None:
        """Discard what still comes, so that the client reads our answer before a reset."""
        self._stop()
        self._reading = None
        self._waiting.clear()
        self._wait(self._host.limits.linger_seconds)
        self._set_flow()

    # What the server calls.

    def expire(self) -> None:
        """End what took too long; the client is told if it waits for an answer."""
        self.deadline = math.inf
        request = self._active
        if request is not None and not request.complete:
            request.break_off(Rejected(408, "the body did not come in time; send it again"))
        elif self._head and self._reading is not None:
            self._refuse(Rejected(408, "the head did not come in time; send it again"))
        else:
            self._transport.abort()

    def check_rate(self, now: float) -> None:
        """Break off a body that trickles."""
        request = self._active
        if request is None or request.complete or not request.asked_at:
            return
        waited = now - request.asked_at
        if waited > 5 and request.size < waited * self._host.limits.body_rate:
            request.break_off(Rejected(408, "the body came too slowly; send it faster"))

    def cut(self) -> None:
        """Close at once, whatever is under way."""
        self._transport.abort()

    def drain(self) -> None:
        """Close now what is idle; the rest closes with its next answer."""
        if self._active is None and self._reading is None:
            self._transport.close()


def _origin(target: bytes) -> bytes:
    """Return the path of an absolute target."""
    try:
        url = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError:
        return b"/"
    path: bytes = url.path or b"/"
    return path + b"?" + url.query if url.query else path
