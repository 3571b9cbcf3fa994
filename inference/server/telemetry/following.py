"""A request followed from its head to its answer: its trace, and its line in the access log.

A request is followed where it brings a traceparent or where there is an access log. Who answers
notes on the way what the line is to say, on whatever `current` gives; for a request that nobody
follows that is None.
"""

import asyncio
import time
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Final

from inference.server.telemetry import trace
from inference.server.telemetry.access_log import AccessLog, Entry
from inference.transport.messages import Rejected

_CURRENT: Final = ContextVar["Followed | None"]("followed", default=None)
current = _CURRENT.get  # the request that this task answers, where it is followed
_GONE: Final = 499  # its client went away


class Followed:
    """A request on its way; as a context it lasts until its answer, and is logged then.

    Attributes:
        trace: our span.
        status: of the answer; a refusal that leaves the context says its own.
    """

    __slots__ = (
        "_began",
        "_log",
        "_method",
        "_path",
        "_since",
        "_token",
        "_variant",
        "bytes_in",
        "bytes_out",
        "model",
        "request_id",
        "rows",
        "status",
        "trace",
        "version",
    )

    def __init__(
        self, span: trace.Trace, log: AccessLog | None, *, method: str, path: str, variant: str
    ) -> None:
        self.trace, self._log = span, log
        self._method, self._path, self._variant = method, path, variant
        self._began, self._since = time.time(), time.perf_counter()
        self._token: Token[Followed | None]
        self.status = self.bytes_in = self.bytes_out = self.rows = 0
        self.model = self.version = self.request_id = ""

    @property
    def header(self) -> bytes:
        """The value of the traceparent that goes back."""
        return self.trace.header()

    def answered(self, status: int, size: int) -> None:
        """Note the answer, and how many bytes its body has."""
        self.status, self.bytes_out = status, size

    def __enter__(self) -> "Followed":
        self._token = _CURRENT.set(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        _CURRENT.reset(self._token)
        if error is not None:
            self.status = _status(error)
        if self._log is not None and self._log.wants(self.trace):
            self._log.add(self._entry())

    def _entry(self) -> Entry:
        return Entry(
            time=self._began,
            trace=self.trace,
            request_id=self.request_id,
            method=self._method,
            path=self._path,
            status=self.status,
            seconds=time.perf_counter() - self._since,
            bytes_in=self.bytes_in,
            bytes_out=self.bytes_out,
            model=self.model,
            version=self.version,
            variant=self._variant,
            rows=self.rows,
        )


class Follower:
    """Says which requests are followed; one for all wires of a worker."""

    def __init__(self, log: AccessLog, *, variant: str) -> None:
        self._log, self._variant = log if log.on else None, variant

    def wants(self, parent: bytes | str | None) -> bool:
        """Say whether a request is to be followed, by its traceparent."""
        return parent is not None or self._log is not None

    def follow(self, parent: bytes | None, state: bytes, *, method: str, path: str) -> Followed:
        """Follow a request, in the trace that it brings or in a new one."""
        span = trace.received(parent, state)
        return Followed(span, self._log, method=method, path=path, variant=self._variant)


def _status(error: BaseException) -> int:
    if isinstance(error, Rejected):
        return error.status
    return _GONE if isinstance(error, asyncio.CancelledError) else 500
