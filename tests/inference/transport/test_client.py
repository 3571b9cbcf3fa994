"""The client against servers that play a script, byte by byte."""

import asyncio
import contextlib
import pathlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

from inference.transport.client import Bounds, Call, Client, Failed, Origin
from tests.inference.transport.pki import Authority

T = TypeVar("T")
GET, POST = Call(b"GET", b"/a?b=%2F"), Call(b"POST", b"/a", body=b"x")
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CLOSE, HANG = b"", b"hang"


@dataclass
class Script:
    """One list of answers a connection; the server closes where a list ends."""

    connections: list[list[bytes]]
    got: list[bytes] = field(default_factory=list)
    opened: int = 0

    async def play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, self.opened = self.connections[self.opened], self.opened + 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            for answer in answers:
                head = await reader.readuntil(b"\r\n\r\n")
                self.got.append(head + (await reader.read(1) if b"POST" in head else b""))
                if answer == HANG:
                    await reader.read()
                writer.write(answer)
                await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def playing(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    server = await asyncio.start_server(script.play, "127.0.0.1", 0, ssl=tls)
    yield server.sockets[0].getsockname()[1]
    server.close()


def play(script: Script, scene: Callable[[Client], Awaitable[T]], **bounds: float) -> T:
    async def main() -> T:
        async with playing(script) as port:
            client = Client(Origin("127.0.0.1", port), Bounds(**bounds))  # type: ignore[arg-type]  # int where whole
            try:
                return await scene(client)
            finally:
                client.close()

    return asyncio.run(main())


def failure(script: Script, call: Call = GET, **bounds: float) -> int:
    with pytest.raises(Failed) as failed:
        play(script, lambda client: client.send(call), **bounds)
    return failed.value.status


async def twice(client: Client, call: Call = GET) -> list[bytes]:
    first = await client.send(call)
    await asyncio.sleep(0.02)  # what the server does after its answer is seen
    return [first.body, (await client.send(call)).body]


def test_sends_what_was_asked_and_reads_the_answer() -> None:
    script = Script([[b"HTTP/1.1 404 No\r\nA: 1\r\nA: 2\r\ncontent-length: 2\r\n\r\nno"]])
    call = Call(b"POST", b"/a?b=%2F", ((b"x", b"y"),), b"x")

    answer = play(script, lambda client: client.send(call))

    assert (answer.status, answer.body) == (404, b"no")
    assert answer.headers == ((b"a", b"1"), (b"a", b"2"), (b"content-length", b"2"))
    [got] = script.got
    assert got.startswith(b"POST /a?b=%2F HTTP/1.1\r\nhost: 127.0.0.1:")
    assert got.endswith(b"\r\nx: y\r\ncontent-length: 1\r\n\r\nx")


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        pytest.param(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
            b"abc",
            id="in chunks",
        ),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"ok", id="after 100"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\nto the end", b"to the end", id="to the end"),
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", b"", id="without a body"),
    ],
)
def test_reads_bodies_of_every_framing(answer: bytes, body: bytes) -> None:
    assert play(Script([[answer]]), lambda client: client.send(GET)).body == body


def test_a_connection_is_kept() -> None:
    script = Script([[OK, OK]])

    assert play(script, twice) == [b"ok", b"ok"]
    assert script.opened == 1


@pytest.mark.parametrize(
    "first",
    [
        pytest.param([OK], id="closed"),
        pytest.param([b"HTTP/1.1 200 OK\r\nconnection: close\r\n" + OK[17:], HANG], id="told so"),
        pytest.param([OK + OK, HANG], id="answers unasked"),
        pytest.param([OK + b"nonsense", HANG], id="says more"),
    ],
)
def test_a_connection_that_cannot_be_kept_is_not(first: list[bytes]) -> None:
    script = Script([first, [OK]])

    assert play(script, twice)[1] == b"ok"
    assert script.opened == 2


def test_a_connection_kept_too_long_is_not_used() -> None:
    script = Script([[OK, HANG], [OK]])

    assert play(script, twice, idle_seconds=0.01) == [b"ok", b"ok"]


def test_a_get_is_sent_again_where_a_kept_connection_was_closed() -> None:
    script = Script([[OK, CLOSE], [OK]])

    assert play(script, twice) == [b"ok", b"ok"]
    assert len(script.got) == 3


def test_a_post_is_never_sent_again() -> None:
    script = Script([[OK, CLOSE], [OK]])

    with pytest.raises(Failed) as failed:
        play(script, lambda client: twice(client, POST))

    assert failed.value.status == 502
    assert len(script.got) == 2


def test_a_get_is_sent_again_once_at_most() -> None:
    script = Script([[OK, CLOSE], [CLOSE], [OK]])

    with pytest.raises(Failed):
        play(script, twice)

    assert len(script.got) == 3


@pytest.mark.parametrize("half", [b"H", OK[:-1]])
def test_nothing_is_sent_again_once_an_answer_has_begun(half: bytes) -> None:
    script = Script([[OK, half], [OK]])

    with pytest.raises(Failed):
        play(script, twice)

    assert len(script.got) == 2


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(CLOSE, id="nothing"),
        pytest.param(OK[:-1], id="half"),
        pytest.param(b"SSH-2.0\r\n", id="no HTTP"),
        pytest.param(OK[:17] + b"content-length: 1\r\n" + OK[17:], id="two lengths"),
        pytest.param(b"HTTP/1.1 101 Up\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n", id="upgrade"),
        pytest.param(b"HTTP/1.1 200 OK\r\na: " + b"x" * 5000, id="a large head"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n" + b"x" * 5000, id="body"),
    ],
)
def test_no_good_answer_is_502(answer: bytes) -> None:
    assert failure(Script([[answer]]), head_bytes=4000, body_bytes=4000) == 502


def test_an_answer_that_is_late_is_504_and_its_connection_is_not_used_again() -> None:
    script = Script([[HANG], [OK]])

    async def scene(client: Client) -> bytes:
        with pytest.raises(Failed) as failed:
            await client.send(GET, seconds=0.05)
        assert failed.value.status == 504
        return (await client.send(GET)).body

    assert play(script, scene) == b"ok"


def test_a_cancelled_request_frees_its_place_but_not_its_connection() -> None:
    script = Script([[HANG], [OK]])

    async def scene(client: Client) -> bytes:
        asking = asyncio.create_task(client.send(GET))
        await asyncio.sleep(0.05)
        asking.cancel()
        await asyncio.wait([asking])
        return (await client.send(GET)).body

    assert play(script, scene, connections=1) == b"ok"


def test_a_closed_client_answers_what_is_under_way_and_keeps_nothing() -> None:
    script = Script([[OK, HANG], [OK]])

    async def scene(client: Client) -> list[bytes]:
        asking = asyncio.create_task(client.send(GET))
        await asyncio.sleep(0)
        client.close()
        return [(await asking).body, (await client.send(GET)).body]

    assert play(script, scene) == [b"ok", b"ok"]
    assert script.opened == 2


def test_more_requests_than_allowed_are_503_at_once() -> None:
    async def scene(client: Client) -> int:
        asking = asyncio.create_task(client.send(GET))
        await asyncio.sleep(0.02)
        with pytest.raises(Failed) as failed:
            await client.send(GET)
        asking.cancel()
        await asyncio.wait([asking])
        return failed.value.status

    assert play(Script([[HANG]]), scene, connections=1) == 503


def test_a_connection_that_is_not_made_in_time_is_504() -> None:
    async def main() -> int:
        with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
            address = deaf.getsockname()
            with contextlib.ExitStack() as full:
                for _ in range(4):  # the queue of connections that nobody takes
                    one = full.enter_context(socket.socket())
                    one.setblocking(False)
                    one.connect_ex(address)
                client = Client(Origin(*address), Bounds(connect_seconds=0.1, answer_seconds=0.2))
                with pytest.raises(Failed) as failed:
                    await client.send(GET)
        return failed.value.status

    assert asyncio.run(main()) == 504


def test_a_port_that_nobody_listens_on_is_502() -> None:
    async def main() -> None:
        async with playing(Script([])) as port:
            pass
        await Client(Origin("127.0.0.1", port), Bounds()).send(GET)

    with pytest.raises(Failed, match="cannot be reached") as failed:
        asyncio.run(main())
    assert failed.value.status == 502


@pytest.mark.parametrize("trusted", [True, False])
def test_a_certificate_is_checked(tmp_path: pathlib.Path, trusted: bool) -> None:
    ours, other = Authority("ours"), Authority("other")
    known = (ours if trusted else other).cert.decode()
    checks = ssl.create_default_context(cadata=known)

    assert asyncio.run(_over_tls(ours, checks, tmp_path)) == (b"ok" if trusted else b"502")


async def _over_tls(authority: Authority, checks: ssl.SSLContext, folder: pathlib.Path) -> bytes:

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("server").write(folder))
    async with playing(Script([[OK]]), context) as port:
        client = Client(Origin("127.0.0.1", port, checks), Bounds())
        try:
            return (await client.send(GET)).body
        except Failed as failed:
            return str(failed.status).encode()
        finally:
            client.close()
