"""Memory is bounded by what the command line says: ten thousand connections, bodies of 1 GB."""

import contextlib
import pathlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.inference.models import write_model
from tests.inference.server.test_process import INFER, ask, served

pytestmark = [pytest.mark.slow]
KIB, MIB = 1 << 10, 1 << 20
GIB = 1 << 30
LIVE = b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\n\r\n"
HALF = f"POST {INFER} HTTP/1.1\r\nhost: x\r\nx-padding: {'p' * 300}\r\n".encode()
PIECE = b" " * MIB
CONNECTIONS = 10_000
PER_CONNECTION = 10 * KIB  # as docs/serving.md has it, when idle
REST = 24 * MIB  # what is no connection and no body: buffers of the loop, the allocator's slack


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return write_model(tmp_path_factory.mktemp("bounds") / "model")


def memory(pid: int, field: str = "VmRSS") -> int:
    """Return a process's memory in bytes; VmHWM is its peak."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * KIB
    raise AssertionError(f"no {field}")


@contextlib.contextmanager
def connected(port: int, count: int) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
            for _ in range(count)
        ]


def head(*headers: str) -> bytes:
    lines = [f"POST {INFER} HTTP/1.1", "host: x", "content-type: application/json", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def pour(client: socket.socket, size: int, *, chunked: bool = False) -> bytes:
    """Send a body piece by piece until all is sent or an answer comes; return the answer."""
    piece = b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if chunked else PIECE
    client.settimeout(20)
    with contextlib.suppress(ConnectionError):
        for _ in range(size // MIB):
            client.sendall(piece)
            if client in _readable(client):
                break
    client.settimeout(3)
    with contextlib.suppress(ConnectionError, TimeoutError):
        return client.recv(4096)
    return b""


def _readable(client: socket.socket) -> list[socket.socket]:
    import select

    return select.select([client], [], [], 0)[0]


def test_ten_thousand_connections_take_what_is_documented_and_leave_it(
    folder: pathlib.Path,
) -> None:
    """Half say nothing, half have begun a request; one of them asks whether the server lives."""
    with served(folder, "--head_s", "60") as (server, port):
        ask(port, "/v2/health/live")
        before, peaks = memory(server.pid), []
        for _ in range(2):
            with connected(port, CONNECTIONS) as clients:
                for client in clients[::2]:
                    client.sendall(HALF)
                clients[1].sendall(LIVE)
                alive = clients[1].recv(4096)
                time.sleep(0.5)
                peaks.append(memory(server.pid))
                with socket.create_connection(("127.0.0.1", port), timeout=20) as beyond:
                    refused = _closed(beyond)
            _until_closed(port)

    assert alive.startswith(b"HTTP/1.1 200")
    assert refused
    assert peaks[0] - before < CONNECTIONS * PER_CONNECTION + REST
    assert peaks[1] - peaks[0] < REST


def _closed(client: socket.socket) -> bool:
    """Say whether the other side has closed, without an answer."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def _until_closed(port: int) -> None:
    """Wait until there is room for connections again."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if ask(port, "/v2/health/live")[0] == 200:
                return
        time.sleep(0.1)
    raise AssertionError("connections stayed")


def test_a_body_of_a_gigabyte_is_refused_at_once_where_it_is_declared(
    folder: pathlib.Path,
) -> None:
    with served(folder) as (server, port), connected(port, 20) as clients:
        before = memory(server.pid)
        for client in clients:
            client.sendall(head(f"content-length: {GIB}") + b"{")
        answers = [client.recv(4096) for client in clients]

        assert all(answer.startswith(b"HTTP/1.1 413") for answer in answers)
        assert memory(server.pid, "VmHWM") - before < REST


def test_a_body_that_never_ends_is_refused_at_its_limit(folder: pathlib.Path) -> None:
    with served(folder, "--max_body_mib", "64") as (server, port), connected(port, 1) as [client]:
        before = memory(server.pid)
        client.sendall(head("transfer-encoding: chunked"))
        answer = pour(client, GIB, chunked=True)

        assert answer.startswith(b"HTTP/1.1 413")
        assert memory(server.pid, "VmHWM") - before < 64 * MIB * 9 // 8 + REST
        assert ask(port, "/v2/health/live")[0] == 200


def test_gigabyte_bodies_together_take_no_more_than_all_bodies_may(folder: pathlib.Path) -> None:
    """Four come at once, where one has room; the others are told so, and nothing is kept."""
    flags = ("--max_body_mib", "1024", "--bodies_mib", "1024")
    with served(folder, *flags) as (server, port), connected(port, 4) as clients:
        before, answers = memory(server.pid), dict[int, bytes]()

        def send(number: int) -> None:
            clients[number].sendall(head(f"content-length: {GIB}"))
            answers[number] = pour(clients[number], GIB - MIB)

        senders = [threading.Thread(target=send, args=(number,)) for number in range(4)]
        for sender in senders:
            sender.start()
        while any(sender.is_alive() for sender in senders):
            assert ask(port, "/v2/health/live")[0] == 200
            time.sleep(0.2)
        peak = memory(server.pid, "VmHWM") - before
        told = [answer for answer in answers.values() if answer.startswith(b"HTTP/1.1 429")]

        assert len(told) >= 2
        assert 512 * MIB < peak < GIB * 9 // 8 + 4 * REST
    assert all(b"too many large bodies at once" in answer for answer in told)
