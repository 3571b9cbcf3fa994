"""HTTP/1.1 as clients good and bad speak it, over real sockets."""

import asyncio
import random
import re
import socket
import time

import httpx
import numpy as np
import pytest

from inference.transport.messages import Rejected, Reply, Request
from tests.inference.transport.conftest import Running, Serve, read

GET = b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n"


def statuses(answer: bytes) -> list[int]:
    return [int(found) for found in re.findall(rb"HTTP/1\.1 (\d{3})", answer)]


def post(body: bytes, *headers: bytes) -> bytes:
    head = [b"POST /b HTTP/1.1", b"host: x", b"content-length: %d" % len(body), *headers]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def chunked(*chunks: bytes) -> bytes:
    head = b"POST /c HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def test_one_connection_answers_many_requests(serve: Serve) -> None:
    port = serve().port

    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        answers = [client.post(f"/{n}", content=b"x" * n).text for n in (0, 1, 100_000)]

    assert answers == ["POST /0 ", "POST /1 x", "POST /100000 " + "x" * 100_000]


def test_pipelined_requests_are_answered_in_order(serve: Serve) -> None:
    answer = serve().ask(post(b"1") + GET + post(b"3") + chunked(b"4", b"5"))

    assert statuses(answer) == [200] * 4
    assert re.findall(rb"\r\n\r\n(\w+ /\w \d*)", answer) == [
        b"POST /b 1",
        b"GET /a ",
        b"POST /b 3",
        b"POST /c 45",
    ]


def test_more_pipelined_requests_than_are_kept_end_in_a_refusal(serve: Serve) -> None:
    answer = serve().ask(GET * 100)

    assert statuses(answer) == [*[200] * 33, 429]


def test_what_is_no_http_is_refused_after_what_came_before_it(serve: Serve) -> None:
    assert statuses(serve().ask(GET + b"nonsense\r\n\r\n")) == [200, 400]


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(post(b"x", b"content-length: 2"), id="two lengths"),
        pytest.param(post(b"x", b"transfer-encoding: chunked"), id="length and chunks"),
        pytest.param(b"GET /a HTTP/1.1\r\nhost : x\r\n\r\n", id="space before the colon"),
        pytest.param(b"GET /a HTTP/1.1\r\n folded: x\r\n\r\n", id="folded header"),
        pytest.param(b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", id="negative length"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="TLS"),
        pytest.param(
            b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n", id="no chunk size"
        ),
    ],
)
def test_what_two_parsers_may_read_differently_is_refused(serve: Serve, bad: bytes) -> None:
    answer = serve().ask(bad)

    assert statuses(answer) == [400]
    assert b"connection: close" in answer


def test_a_head_too_large_is_refused_complete_or_not(serve: Serve) -> None:
    running = serve(head_bytes=2000)
    large = b"GET /a HTTP/1.1\r\nx: " + b"y" * 4000

    assert statuses(running.ask(large + b"\r\n\r\n")) == [431]
    assert statuses(running.ask(large)) == [431]
    assert statuses(running.ask(b"GET /a HTTP/1.1\r\n" + b"a: b\r\n" * 100 + b"\r\n")) == [431]


def test_a_body_too_large_is_refused_before_it_is_read(serve: Serve) -> None:
    running = serve(body_bytes=1000)

    with running.connect() as client:
        client.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\n")
        answer = client.recv(10_000)

    assert statuses(answer) == [413]
    assert statuses(running.ask(chunked(*[b"x" * 500] * 3))) == [413]
    assert statuses(running.ask(post(b"x" * 1000))) == [200]


def test_bodies_together_are_bounded(serve: Serve) -> None:
    running = serve(bodies_bytes=150_000)
    half = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 120000\r\n\r\n" + b"x" * 100_000

    with running.connect() as first:
        first.sendall(half)
        time.sleep(0.2)
        refused = running.ask(half)
        first.sendall(b"x" * 20_000)
        answered = first.recv(10)

    assert statuses(refused) == [429]
    assert b"retry-after" in refused
    assert answered.startswith(b"HTTP/1.1 2")
    assert running.server.budget.left == 150_000


def test_tiny_chunks_cannot_cost_more_than_they_carry(serve: Serve) -> None:
    assert statuses(serve(head_bytes=2000).ask(chunked(*[b"x"] * 100_000))) == [400]


def test_a_client_that_asks_first_is_told_to_go_on(serve: Serve) -> None:
    with serve().connect() as client:
        client.sendall(post(b"", b"expect: 100-continue").replace(b"length: 0", b"length: 2"))
        told = client.recv(100)
        client.sendall(b"ok")
        answer = client.recv(1000)

    assert told == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answer.endswith(b"POST /b ok")


def test_http_1_0_is_answered_and_closed(serve: Serve) -> None:
    answer = serve().ask(b"GET /a HTTP/1.0\r\n\r\n")

    assert statuses(answer) == [200]
    assert b"connection: close" in answer


def test_paths_are_decoded_and_queries_cut(serve: Serve) -> None:
    running = serve()

    assert b"GET /a b " in running.ask(b"GET /a%20b?c=d HTTP/1.1\r\nhost: x\r\n\r\n")
    assert b"GET /p " in running.ask(b"GET http://x/p?q HTTP/1.1\r\nhost: x\r\n\r\n")


def slow_clients() -> list[object]:
    return [
        pytest.param(b"", 0, id="says nothing"),
        pytest.param(b"GET /a HTTP/1.1\r\nho", 408, id="half a head"),
        pytest.param(b"POST /a HTTP/1.1\r\ncontent-length: 9\r\n\r\nx", 408, id="half a body"),
        pytest.param(GET, 200, id="idle after an answer"),
    ]


@pytest.mark.parametrize(("data", "status"), slow_clients())
def test_who_keeps_us_waiting_is_let_go(serve: Serve, data: bytes, status: int) -> None:
    running = serve(head_seconds=0.2, body_seconds=0.2, idle_seconds=0.2, linger_seconds=0.1)

    with running.connect() as client:
        client.sendall(data)
        client.settimeout(5)
        answer = read(client)

    assert statuses(answer) == ([status] if status else [])
    assert running.server.connections == 0


def test_a_head_that_drips_is_not_waited_for(serve: Serve) -> None:
    running = serve(head_seconds=0.5)

    with running.connect() as client:
        started, answer = time.monotonic(), b""
        client.settimeout(0.05)
        client.sendall(b"GET /a HTTP/1.1\r\n")
        while not answer and time.monotonic() - started < 5:
            client.sendall(b"a: b\r\n")
            try:
                answer = client.recv(1000)
            except TimeoutError:
                continue

    assert statuses(answer) == [408]


def test_a_client_that_reads_nothing_is_let_go(serve: Serve) -> None:
    async def much(request: Request) -> Reply:
        return Reply(200, b"x" * 20_000_000)

    running = serve(much, write_seconds=0.3)

    with running.connect() as client:
        client.sendall(GET * 20)
        assert client.recv(1, socket.MSG_PEEK)  # the server has begun to answer
        deadline = time.monotonic() + 5
        while running.server.connections and time.monotonic() < deadline:
            time.sleep(0.05)

        assert running.server.connections == 0


@pytest.mark.parametrize("seed", range(8))
def test_bodies_cut_anywhere_come_whole_and_in_order(serve: Serve, seed: int) -> None:
    """What is received at once ends anywhere: in a head, in a body, in the next request."""
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    bodies = [chance.randbytes(chance.choice([0, 1, 500, 70_000, 300_000])) for _ in range(5)]
    sent = b"".join(map(post, bodies))
    running, answers = serve(), b""

    with running.connect() as client:
        while sent:
            size = chance.choice([1, 7, 100, 4_000, 65_536, 262_144, 400_000])
            client.sendall(sent[:size])
            sent = sent[size:]
        client.settimeout(0.5)
        answers = read(client)

    assert statuses(answers) == [200] * len(bodies)
    for body in bodies:
        _, _, answers = answers.partition(b"POST /b ")
        assert answers.startswith(body)
        answers = answers[len(body) :]


@pytest.mark.parametrize("at", [0, 1, 77, 5_000])
def test_a_large_body_lies_where_an_array_may_begin(serve: Serve, at: int) -> None:
    async def address(request: Request) -> Reply:
        body = np.frombuffer(await request.body(aligned_at=at), np.uint8)
        return Reply(200, b"%d %d" % (body[at:].ctypes.data % 64, body.sum(dtype=np.int64)))

    body, running = bytes(range(251)) * 2_000, serve(address)

    with running.connect() as client:
        client.sendall(post(body)[:300_000])
        time.sleep(0.1)
        client.sendall(post(body)[300_000:])
        answer = client.recv(10_000)

    assert answer.endswith(b"\r\n\r\n0 %d" % sum(body))


def test_answers_that_nobody_reads_take_no_more_memory_than_allowed(serve: Serve) -> None:
    async def much(request: Request) -> Reply:
        return Reply(200, b"x" * 20_000_000)

    running = serve(much, bodies_bytes=30_000_000, write_seconds=1.0)

    with running.connect() as stalled, running.connect() as second:
        stalled.sendall(GET)
        assert stalled.recv(1, socket.MSG_PEEK)
        second.settimeout(0.5)
        second.sendall(GET)
        refused = read(second)
        while running.server.connections > 1:  # until the first is let go
            time.sleep(0.05)
        second.sendall(GET)
        answered = read(second)

    assert statuses(refused) == [429]
    assert b"too many answers wait to be read" in refused
    assert statuses(answered) == [200]
    assert running.server.budget.left == 30_000_000


def test_more_connections_than_allowed_are_closed(serve: Serve) -> None:
    running = serve(connections=2)

    with running.connect() as one, running.connect() as two:
        one.sendall(GET)
        two.sendall(GET)
        assert one.recv(10)
        assert two.recv(10)
        with running.connect() as three:
            assert read(three) == b""


def test_a_handler_whose_client_goes_away_is_cancelled(serve: Serve) -> None:
    told: list[str] = []

    async def wait(request: Request) -> Reply:
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            told.append(request.path)
            raise
        return Reply(200)

    running = serve(wait)
    with running.connect() as client:
        client.sendall(GET)
        time.sleep(0.1)
    time.sleep(0.2)

    assert told == ["/a"]


@pytest.mark.parametrize("error", [ValueError("secret"), Rejected(418, "tea")], ids=["any", "ours"])
def test_a_failing_handler_tells_its_client_only_a_number(serve: Serve, error: Exception) -> None:
    async def fail(request: Request) -> Reply:
        raise error

    answer = serve(fail).ask(GET)

    assert statuses(answer) == [418 if isinstance(error, Rejected) else 500]
    assert b"secret" not in answer


def test_drained_it_answers_what_is_under_way_and_takes_no_more(serve: Serve) -> None:
    async def late(request: Request) -> Reply:
        await asyncio.sleep(0.4)
        return Reply(200, b"late")

    running: Running = serve(late)
    with running.connect() as busy, running.connect() as idle:
        busy.sendall(GET)
        time.sleep(0.1)
        running.end()
        assert read(busy).endswith(b"late")
        assert read(idle) == b""
    with pytest.raises(ConnectionRefusedError):
        running.connect()
