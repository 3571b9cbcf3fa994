"""A line of JSON a request, for a sample of the traces; off unless it is asked for.

A line says who asked for what and how it went, never what was in it: no feature, no query
string, no token. A thread writes; who logs only puts a line in a queue, and where that is full
the line is dropped and counted. So a reader that has stopped holds nobody up but the thread.
"""

import datetime
import os
import queue
import select
import threading
from collections.abc import Callable
from typing import NamedTuple

import orjson

from inference.server.telemetry.trace import Trace

_TEXT = 256  # characters of one field: a line stays below what a pipe takes in one piece
_PATIENCE_S = 1.0  # for lines that wait when the log is closed


class Entry(NamedTuple):
    """One request, as it is logged; a tuple, because one is made for every line.

    Attributes:
        time: when it came, in seconds since 1970.
        path: without its query; what follows a question mark is cut off.
        seconds: from its head to its answer.
    """

    time: float
    trace: Trace
    request_id: str
    method: str
    path: str
    status: int
    seconds: float
    bytes_in: int
    bytes_out: int
    model: str
    version: str
    variant: str
    rows: int

    def line(self) -> bytes:
        """Return the entry as a line of JSON."""
        when = datetime.datetime.fromtimestamp(self.time, datetime.UTC)
        fields = {
            "time": when.isoformat(timespec="milliseconds"),
            "trace_id": self.trace.trace_id,
            "span_id": self.trace.span_id,
            "request_id": _cut(self.request_id),
            "method": _cut(self.method),
            "path": _cut(self.path.partition("?")[0]),
            "status": self.status,
            "seconds": round(self.seconds, 6),
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "model": _cut(self.model),
            "version": _cut(self.version),
            "variant": _cut(self.variant),
            "rows": self.rows,
        }
        return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)


class AccessLog:
    """Lines on their way to a file; made in the process that logs, as it has a thread.

    Args:
        share: of the traces, 0 to 1; 0 makes no thread.
        dropped: is told how many lines were lost, from any thread.
        file: descriptor to write to.
        capacity: lines that may wait.
    """

    def __init__(
        self,
        share: float,
        *,
        dropped: Callable[[int], None],
        file: int = 2,
        capacity: int = 4096,
    ) -> None:
        self._share, self._dropped, self._file, self._capacity = share, dropped, file, capacity
        self._entries: queue.SimpleQueue[Entry | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write_all, name="access-log", daemon=True)
        if self.on:
            self._writer.start()

    @property
    def on(self) -> bool:
        return self._share > 0

    def wants(self, trace: Trace) -> bool:
        """Say whether a trace is in the sample; ask before making an entry."""
        return self.on and trace.within(self._share)

    def add(self, entry: Entry) -> None:
        """Have an entry written, or dropped where too many wait already; never waits."""
        if self._entries.qsize() >= self._capacity:
            self._dropped(1)
        else:
            self._entries.put(entry)

    def close(self) -> None:
        """Write what waits, for as long as a moment; called once, when nobody logs any more."""
        if not self.on:
            return
        self._entries.put(None)
        self._writer.join(_PATIENCE_S)
        if self._writer.is_alive():  # one line it has in hand; the last in the queue is our None
            self._dropped(self._entries.qsize())

    def _write_all(self) -> None:
        """Write entries one by one: lines of several processes do not mix in a pipe."""
        while (entry := self._entries.get()) is not None:
            try:
                self._write(entry.line())
            except (OSError, ValueError, TypeError):  # nobody reads, or text that is no text
                self._dropped(1)

    def _write(self, line: bytes) -> None:
        while line:
            try:
                line = line[os.write(self._file, line) :]
            except BlockingIOError:  # somebody made the file non-blocking; we may wait here
                waiting = select.poll()
                waiting.register(self._file, select.POLLOUT)
                waiting.poll()


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT else text[:_TEXT]
