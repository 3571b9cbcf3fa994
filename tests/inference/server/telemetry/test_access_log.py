import fcntl
import io
import json
import os
import threading
import time
from collections.abc import Iterator

import pytest

from inference.server.telemetry.access_log import AccessLog, Entry
from inference.server.telemetry.trace import Trace, received

TRACE = Trace("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
ENTRY = Entry(
    time=1735689600.1234,
    trace=TRACE,
    request_id="r-1",
    method="POST",
    path="/v2/models/delays/infer?token=secret",
    status=200,
    seconds=0.00123456,
    bytes_in=120,
    bytes_out=80,
    model="delays",
    version="7",
    variant="a",
    rows=3,
)


Pipe = tuple[io.FileIO, io.FileIO]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """A small pipe; an end that is closed twice is closed once, as its number is soon another's."""
    reading, writing = (io.FileIO(end, mode) for end, mode in zip(os.pipe(), "rw", strict=True))
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    with reading, writing:
        yield reading, writing


class Lost:
    """How many lines were lost."""

    def __init__(self) -> None:
        self.lines, self._lock = 0, threading.Lock()

    def __call__(self, lines: int) -> None:
        with self._lock:
            self.lines += lines


def test_a_line_says_how_a_request_went_and_not_what_was_in_it(pipe: Pipe) -> None:
    log = AccessLog(1.0, dropped=Lost(), file=pipe[1].fileno())

    log.add(ENTRY)
    log.close()

    line = pipe[0].read(4096) or b""
    assert line.endswith(b"\n")
    assert json.loads(line) == {
        "time": "2025-01-01T00:00:00.123+00:00",
        "trace_id": TRACE.trace_id,
        "span_id": TRACE.span_id,
        "request_id": "r-1",
        "method": "POST",
        "path": "/v2/models/delays/infer",
        "status": 200,
        "seconds": 0.001235,
        "bytes_in": 120,
        "bytes_out": 80,
        "model": "delays",
        "version": "7",
        "variant": "a",
        "rows": 3,
    }


def test_what_a_client_says_cannot_make_lines_or_long_ones() -> None:
    line = ENTRY._replace(request_id="\n\x00" * 5000, path="/" + "\xe9" * 9000).line()

    assert line.count(b"\n") == 1
    assert len(line) < 4096
    assert json.loads(line)["request_id"] == "\n\x00" * 128


def test_a_blocked_reader_blocks_no_request_and_what_is_lost_is_counted(
    pipe: Pipe,
) -> None:
    lost = Lost()
    log = AccessLog(1.0, dropped=lost, file=pipe[1].fileno(), capacity=50)
    longest = 0.0

    for _ in range(500):
        started = time.perf_counter()
        log.add(ENTRY)
        longest = max(longest, time.perf_counter() - started)

    assert longest < 1.0  # a blocked write would never end
    assert lost.lines > 300
    lines = list[bytes]()
    reader = threading.Thread(target=_drain, args=(pipe[0].fileno(), lines))
    reader.start()
    log.close()
    pipe[1].close()
    reader.join(10)
    assert len(lines) + lost.lines == 500
    assert all(json.loads(line)["request_id"] == "r-1" for line in lines)


def _drain(file: int, lines: list[bytes]) -> None:
    with os.fdopen(os.dup(file), "rb") as stream:
        lines.extend(stream)


def test_closing_waits_for_nobody_who_does_not_read(pipe: Pipe) -> None:
    lost = Lost()
    log = AccessLog(1.0, dropped=lost, file=pipe[1].fileno())
    for _ in range(200):
        log.add(ENTRY)

    started = time.monotonic()
    log.close()

    assert time.monotonic() - started < 5
    kept = (pipe[0].read(1 << 16) or b"").count(b"\n")
    assert 150 < lost.lines <= 200 - kept + 1
    pipe[0].close()
    log._writer.join(5)  # before the number of its file is another's


def test_a_reader_that_has_gone_costs_lines_and_nothing_else(pipe: Pipe) -> None:
    lost = Lost()
    pipe[0].close()
    log = AccessLog(1.0, dropped=lost, file=pipe[1].fileno())

    log.add(ENTRY)
    log.add(ENTRY)
    log.close()

    assert lost.lines == 2


def test_a_file_that_does_not_block_loses_nothing(pipe: Pipe) -> None:
    lost, lines = Lost(), list[bytes]()
    os.set_blocking(pipe[1].fileno(), False)
    log = AccessLog(1.0, dropped=lost, file=pipe[1].fileno())
    for _ in range(100):
        log.add(ENTRY)

    reader = threading.Thread(target=_drain, args=(pipe[0].fileno(), lines))
    reader.start()
    log.close()
    pipe[1].close()
    reader.join(10)

    assert (len(lines), lost.lines) == (100, 0)


def test_a_sample_is_of_traces() -> None:
    log = AccessLog(0.5, dropped=Lost(), file=1)
    traces = [received(None) for _ in range(1000)]

    wanted = [trace for trace in traces if log.wants(trace)]
    log.close()

    assert 400 < len(wanted) < 600
    assert all(log.wants(trace.child()) for trace in wanted)


def test_off_means_no_thread_and_no_line() -> None:
    before = threading.active_count()

    log = AccessLog(0.0, dropped=Lost())

    assert not log.wants(TRACE)
    assert threading.active_count() == before
    log.close()
