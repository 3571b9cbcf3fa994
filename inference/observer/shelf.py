"""Where parts wait for the sink: what a disk and memory have in common.

The writer appends rows to the open part and seals it; the uploader asks for the oldest sealed
part and says when it is done. Each is one thread.
"""

import collections
import threading
import time
import uuid
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Part:
    """A sealed part: its name is that of the object that it becomes, however often it is sent."""

    name: str
    rows: int


@dataclass(frozen=True, slots=True)
class Opened:
    """The part that is being written: bytes, rows, and seconds since it was begun."""

    size: int = 0
    rows: int = 0
    age: float = 0.0


@dataclass(frozen=True, slots=True)
class Left:
    """How many rows are not sent at the end: lost with the process, or kept for the next one."""

    lost: int = 0
    kept: int = 0


class Shelf(Protocol):
    """Bounded; raises nothing but OSError, where a disk does."""

    def append(self, data: bytes, *, rows: int) -> bool:
        """Add whole lines to the open part; False, and nothing added, where there is no room."""

    def opened(self) -> Opened:
        """Say how far the open part is; nothing in it if there is none."""

    def seal(self) -> None:
        """Close the open part, if there is one; the next rows begin another."""

    def oldest(self) -> Part | None:
        """Return the part that has waited longest, if one waits."""

    def read(self, part: Part) -> bytes: ...

    def done(self, part: Part) -> None:
        """Forget a part that has been sent."""

    def adopt(self) -> int:
        """Take over what dead processes left; return how many of their rows were torn."""

    def left(self) -> Left:
        """Count what has not been sent."""

    def release(self) -> None:
        """Let other processes have what is left; nothing may be asked any more."""


def part_name(begun_ns: int, unique: str, rows: int) -> str:
    """Name a part; names of one length sort by when their parts were begun."""
    return f"part-{begun_ns}-{unique}-{rows}.jsonl"


def rows_in(name: str) -> int:
    """Read from a sealed part's name how many rows it has: `rows_in(part_name(t, u, n)) == n`."""
    rows = name.removesuffix(".jsonl").rpartition("-")[2]
    return int(rows) if rows.isdigit() else 0


class Memory:
    """A shelf without a disk: what is on it dies with the process."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._open: list[bytes] = []
        self._begun_ns = self._rows = 0
        self._sealed: collections.OrderedDict[Part, bytes] = collections.OrderedDict()

    def append(self, data: bytes, *, rows: int) -> bool:
        with self._lock:
            held = sum(map(len, self._sealed.values())) + sum(map(len, self._open))
            if held + len(data) > self._limit:
                return False
            if not self._open:
                self._begun_ns = time.time_ns()
            self._open.append(data)
            self._rows += rows
            return True

    def opened(self) -> Opened:
        if not self._open:
            return Opened()
        age = (time.time_ns() - self._begun_ns) / 1e9
        return Opened(sum(map(len, self._open)), self._rows, age)

    def seal(self) -> None:
        with self._lock:
            if not self._open:
                return
            data = b"".join(self._open)
            name = part_name(self._begun_ns, uuid.uuid4().hex[:12], self._rows)
            self._sealed[Part(name, self._rows)] = data
            self._open, self._rows = [], 0

    def oldest(self) -> Part | None:
        with self._lock:
            return next(iter(self._sealed), None)

    def read(self, part: Part) -> bytes:
        return self._sealed[part]

    def done(self, part: Part) -> None:
        with self._lock:
            del self._sealed[part]

    def adopt(self) -> int:
        return 0

    def left(self) -> Left:
        with self._lock:
            return Left(lost=sum(part.rows for part in self._sealed) + self._rows)

    def release(self) -> None:
        pass
