"""A request on its way in: its head first, its body when the handler asks for it."""

import asyncio
import urllib.parse
from collections.abc import Callable
from typing import Final

from inference.transport.limits import Budget, Limits
from inference.transport.messages import RETRY_SOON, Buffer, Rejected
from inference.transport.room import room

PREFETCH: Final = 32 << 10  # of a body, before anybody has asked for it
_HEADER: Final = 32  # what a header costs beyond its bytes


class Incoming:
    """A request whose body may still be coming; one is made for every head."""

    __slots__ = (
        "_budget",
        "_chunk",
        "_limits",
        "_room",
        "_taken",
        "_wake",
        "_wanted",
        "aligned_at",
        "asked_at",
        "broken",
        "complete",
        "head_size",
        "headers",
        "keep_alive",
        "method",
        "size",
        "target",
    )

    def __init__(self, limits: Limits, budget: Budget) -> None:
        self.method = ""
        self.target = b""
        self.headers: dict[bytes, bytes] = {}
        self.keep_alive = False
        self.complete = False
        self.broken: Rejected | None = None
        self.head_size = 0
        self.size = 0
        self.asked_at = 0.0  # loop time since when the handler waits for the body; 0 if it does not
        self._limits, self._budget, self._taken = limits, budget, 0
        self._chunk: Buffer = b""
        self._room: memoryview | None = None
        self.aligned_at = 0
        self._wanted: asyncio.Future[None] | None = None
        self._wake: Callable[[], None] | None = None

    @property
    def path(self) -> str:
        """The path, percent-decoded, without a query."""
        path = self.target.partition(b"?")[0].decode("latin-1")
        return urllib.parse.unquote(path) if "%" in path else path

    @property
    def query(self) -> str:
        return self.target.partition(b"?")[2].decode("latin-1")

    @property
    def prefetched(self) -> bool:
        """Whether enough of a body that nobody has asked for is here."""
        return not self.complete and not self.asked_at and self.size > PREFETCH

    def add_target(self, piece: bytes) -> None:
        self.target += piece
        self.head_size += len(piece)

    def add_header(self, name: bytes, value: bytes) -> None:
        self.head_size += len(name) + len(value) + _HEADER
        known = self.headers.get(name)
        self.headers[name] = value if known is None else known + b", " + value

    def on_demand(self, wake: Callable[[], None]) -> None:
        """Name what to call when the handler starts to wait for the body."""
        self._wake = wake

    async def body(self, *, aligned_at: int = 0) -> Buffer:
        """Read the body; raises Rejected 400, 408, 413 or 429 where a limit says so."""
        self._check_declared()
        self.aligned_at = aligned_at
        if not self.complete and self.broken is None:
            loop = asyncio.get_running_loop()
            self.asked_at, self._wanted = loop.time(), loop.create_future()
            if self._wake is not None:
                self._wake()
            await self._wanted
        if self.broken is not None:
            raise self.broken
        return self._chunk

    def _check_declared(self) -> None:
        length = self.headers.get(b"content-length")
        if length is not None and int(length) > self._limits.body_bytes:
            raise self._too_large()

    def make_room(self, left: int) -> None:
        """Prepare to receive the rest of the body, of so many bytes, into its place."""
        made = room(self.size + left, aligned_at=self.aligned_at)
        if made is not None and self.broken is None:
            made[: self.size] = self._chunk
            self._chunk, self._room = b"", made

    @property
    def vacant(self) -> memoryview | None:
        """Where the rest of the body goes, if there is a place for it."""
        return None if self._room is None else self._room[self.size :]

    def add(self, chunk: bytes | memoryview) -> None:
        """Take a piece of the body; where a limit refuses it, all of it is forgotten."""
        at = self.size
        self.count(len(chunk))
        if self.broken is not None:
            return
        if self._room is None:
            self._keep(chunk)
        else:
            self._room[at : self.size] = chunk

    def count(self, size: int) -> None:
        """Count a piece of the body that is in its place already, or will be."""
        if self.broken is not None:
            return
        self.size += size
        if self.size > self._limits.body_bytes:
            self.break_off(self._too_large())
        elif not self._budget.take(size):
            message = "too many large bodies at once; try again"
            self.break_off(Rejected(429, message, headers=RETRY_SOON))
        else:
            self._taken += size

    def _keep(self, chunk: bytes | memoryview) -> None:
        """Keep a piece; a view is of a buffer that others receive into next."""
        if not self._chunk:
            self._chunk = chunk if isinstance(chunk, bytes) else bytearray(chunk)
        elif isinstance(self._chunk, bytearray):
            self._chunk += chunk
        else:
            self._chunk = bytearray(self._chunk)
            self._chunk += chunk

    def finish(self) -> None:
        self.complete = True
        if self._room is not None:
            self._chunk, self._room = self._room, None
        self._settle()

    def break_off(self, why: Rejected) -> None:
        """End the request for a reason that its handler, or its client, is told."""
        self.broken = self.broken or why
        self.keep_alive = False
        self.release()
        self._settle()

    def release(self) -> None:
        """Give the memory of the body back."""
        self._chunk, self._room = b"", None
        self._budget.give(self._taken)
        self._taken = 0

    def _settle(self) -> None:
        if self._wanted is not None and not self._wanted.done():
            self._wanted.set_result(None)

    def _too_large(self) -> Rejected:
        most = self._limits.body_bytes
        return Rejected(413, f"the body is larger than {most} bytes; send fewer rows a request")
