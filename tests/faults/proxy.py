"""A proxy in front of an S3 server that breaks requests on purpose.

It forwards the client's Host header as it came, so signatures made for the proxy's own
address hold at the server. It is a process of its own: a client under test may hold Python's
lock while it waits for an answer. `proxy.py HOST PORT` prints its port, then reads a plan a
line, and prints what the plan before it did.
"""

import asyncio
import contextlib
import enum
import json
import socket
import struct
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field


class Fault(enum.StrEnum):
    """What may befall a request."""

    REFUSED = "refused"  # no connection
    ERROR = "500"
    SLOW_DOWN = "503 SlowDown"
    STALL = "stall"  # taken, never answered
    CUT_REQUEST = "cut request"  # the server sees half of it
    CUT_ANSWER = "cut answer"  # the client sees half of it
    LOST = "late success"  # carried out, and the answer lost


@dataclass(frozen=True, slots=True)
class Request:
    """A request as the proxy sees it."""

    method: str
    path: str
    query: str
    head: bytes
    length: int

    @classmethod
    def parse(cls, head: bytes) -> "Request":
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in map(_halves, lines)}
        path, _, query = target.partition("?")
        length = int(headers.get("content-length", 0))
        return cls(method, urllib.parse.unquote(path), query, head, length)

    @property
    def key(self) -> tuple[str, str]:
        return (self.method, f"{self.path}?{self.query}")

    @property
    def writes(self) -> bool:
        return self.method in {"PUT", "POST", "DELETE"}

    def once(self) -> bytes:
        """Return the head, asking the server to close the connection behind its answer."""
        return self.head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)


def _halves(line: str) -> tuple[str, str, str]:
    return line.partition(":")


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes wrong.

    Attributes:
        faults: passing: new requests meet one after the other, once; lasting: the first only.
        lasting: whether it goes on, once it has begun.
        at_writes: begin at the first write, not at the first request.
        spare: requests whose path has one of these in it are let through.
    """

    faults: tuple[Fault, ...] = ()
    lasting: bool = False
    at_writes: bool = False
    spare: tuple[str, ...] = ()

    @property
    def hangs_up(self) -> bool:
        """Whether nobody is to listen; where some are spared, connections are reset instead."""
        return self.lasting and self.faults == (Fault.REFUSED,) and len(self.spare) <= 1


@dataclass
class Sabotage:
    """A plan under way, and the requests it has hit."""

    plan: Plan
    hits: list[tuple[str, str, str]] = field(default_factory=list)
    seen: set[tuple[str, str]] = field(default_factory=set)

    def decide(self, request: Request) -> Fault | None:
        fault = self._fault(request)
        if fault:
            self.hits.append((fault, request.method, request.path))
        return fault

    def _fault(self, request: Request) -> Fault | None:
        plan = self.plan
        if not plan.faults or any(spared in request.path for spared in plan.spare):
            return None
        if plan.lasting:
            begun = self.hits or request.writes or not plan.at_writes
            return plan.faults[0] if begun else None
        if request.key in self.seen:
            return None
        self.seen.add(request.key)
        return plan.faults[len(self.hits) % len(plan.faults)]


@dataclass
class Server:
    """Forwards to a server, and breaks what the plan says."""

    server: tuple[str, int]
    sabotage: Sabotage

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            request = Request.parse(head)
            fault = self.sabotage.decide(request)
            await self._meet(fault, request, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client went away
        finally:
            with contextlib.suppress(ConnectionError):
                writer.close()

    async def _meet(
        self,
        fault: Fault | None,
        request: Request,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        match fault:
            case Fault.REFUSED:
                _reset(writer)
                return
            case Fault.STALL:
                await reader.read(request.length + 1)
                await reader.read()  # until the client gives up
                return
            case Fault.CUT_REQUEST:
                half = await reader.readexactly(request.length // 2)
                await self._forward(request, half, cut=True)
                _reset(writer)
                return
        body = await reader.readexactly(request.length)
        match fault:
            case Fault.ERROR:
                answer = _answer("500 Internal Server Error", "InternalError")
            case Fault.SLOW_DOWN:
                answer = _answer("503 Slow Down", "SlowDown")
            case _:
                answer = await self._forward(request, body)
        if fault is Fault.LOST:
            _reset(writer)
            return
        writer.write(_half(answer) if fault is Fault.CUT_ANSWER else answer)
        await writer.drain()

    async def _forward(self, request: Request, body: bytes, *, cut: bool = False) -> bytes:
        reader, writer = await asyncio.open_connection(*self.server)
        try:
            writer.write(request.once() + body)
            await writer.drain()
            if cut:
                return b""
            return await reader.read()
        finally:
            writer.close()


def _answer(status: str, code: str) -> bytes:
    body = f"<Error><Code>{code}</Code><Message>on purpose</Message></Error>".encode()
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nConnection: close\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def _half(answer: bytes) -> bytes:
    """Cut in the middle of the body; where there is none, in the middle of the head."""
    head, end, body = answer.partition(b"\r\n\r\n")
    return head + end + body[: len(body) // 2] if body else head[: len(head) // 2]


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST, as a connection that is refused or torn does."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


async def serve(host: str, port: int) -> None:
    """Serve until standard input ends, a plan a line."""
    server = Server((host, port), Sabotage(Plan()))
    listening = await asyncio.start_server(server._serve, "127.0.0.1", 0, limit=2**20)
    at = listening.sockets[0].getsockname()[1]
    print(at, flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        told = json.loads(line)
        plan = Plan(**{**told, "faults": tuple(map(Fault, told["faults"]))})
        print(json.dumps(server.sabotage.hits), flush=True)
        server.sabotage = Sabotage(plan)
        listening.close()
        if not plan.hangs_up:
            listening = await asyncio.start_server(server._serve, "127.0.0.1", at, limit=2**20)


@dataclass
class Proxy:
    """A running proxy, from outside."""

    process: "subprocess.Popen[str]"
    port: int

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def plan(self, plan: Plan) -> list[tuple[Fault, str, str]]:
        """Begin a plan; return what the one before it hit: fault, method, path."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(asdict(plan)) + "\n")
        self.process.stdin.flush()
        hits = json.loads(self.process.stdout.readline())
        return [(Fault(fault), method, path) for fault, method, path in hits]


@contextlib.contextmanager
def before(endpoint: str) -> Iterator[Proxy]:
    """Run a proxy before a server until the block ends."""
    parts = urllib.parse.urlsplit(endpoint)
    command = [sys.executable, __file__, str(parts.hostname), str(parts.port)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout
        yield Proxy(process, int(process.stdout.readline()))


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
