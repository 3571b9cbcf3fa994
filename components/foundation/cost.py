"""What a step costs: seconds, processor, memory, and what it read and wrote.

Whatever reads or writes a dataset notes it; outside of a metered block that does nothing. A
process runs one step at a time, so the block is the process's and its threads note to it too.
"""

import contextlib
import pathlib
import resource
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

_KILOBYTE = 1024
_RUSAGE_UNIT = 1 if sys.platform == "darwin" else _KILOBYTE
_STATUS, _CLEAR = pathlib.Path("/proc/self/status"), pathlib.Path("/proc/self/clear_refs")
_CLEAR_PEAK = "5"  # proc_pid_clear_refs(5): let the peak be what is resident now


@dataclass(frozen=True, slots=True)
class Amount:
    """How much of a dataset was read or written; bytes as they are stored."""

    rows: int = 0
    bytes: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.rows + other.rows, self.bytes + other.bytes)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a step took; `Cost.from_dict(c.to_dict()) == c`.

    Attributes:
        seconds: from the start of its work to the end, without starting the interpreter.
        cpu_seconds: of all its threads and of the programs it ran.
        peak_bytes: the most memory that it, or one program it ran, had in use meanwhile; where the
            system cannot start a peak anew (no /proc, or one that is read-only), since its
            process began.
        rows_read: rows of tables and of sources read, torn lines too; what is read twice counts
            twice.
        bytes_read: data files of tables, objects, and bodies that a service sent; of a database
            the values as Arrow holds them, for how it stores them nobody tells us.
        rows_written: rows of the files it committed.
        bytes_written: those files, and its output artifacts.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    rows_read: int = 0
    bytes_read: int = 0
    rows_written: int = 0
    bytes_written: int = 0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        return cls(**{name: value[name] for name in cls.__dataclass_fields__})


@dataclass
class Meter:
    """One step being metered."""

    read: dict[str, Amount] = field(default_factory=dict)
    written: dict[str, Amount] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._began, self._cpu = time.monotonic(), _cpu_seconds()
        self._peak, self._ran_before = 0, _peak_of_programs()
        self._lock = threading.Lock()

    def note(self, into: dict[str, Amount], name: str, amount: Amount) -> None:
        with self._lock:
            into[name] = into.get(name, Amount()) + amount

    def keep_peak(self) -> None:
        """Remember the peak so far, before another block starts it anew."""
        self._peak = max(self._peak, own_peak_bytes())

    def _peak_bytes(self) -> int:
        """Return the highest peak; a program's counts if it is above all that ran before."""
        ran = _peak_of_programs()
        return max(self._peak, own_peak_bytes(), ran if ran > self._ran_before else 0)

    def cost(self) -> Cost:
        """Return what it has cost so far."""
        read, written = (sum(one.values(), Amount()) for one in (self.read, self.written))
        return Cost(
            seconds=round(time.monotonic() - self._began, 3),
            cpu_seconds=round(_cpu_seconds() - self._cpu, 3),
            peak_bytes=self._peak_bytes(),
            rows_read=read.rows,
            bytes_read=read.bytes,
            rows_written=written.rows,
            bytes_written=written.bytes,
        )


_open: list[Meter] = []


@contextlib.contextmanager
def metered() -> Iterator[Meter]:
    """Meter the block; the innermost of nested ones is what is noted to."""
    meter = Meter()
    for outer in _open:
        outer.keep_peak()
    _start_peak_anew()
    _open.append(meter)
    try:
        yield meter
    finally:
        _open.remove(meter)


def reads(name: object, *, rows: int = 0, bytes: int = 0) -> None:
    """Note that a dataset was read."""
    if _open:
        _open[-1].note(_open[-1].read, str(name), Amount(rows, bytes))


def writes(name: object, *, rows: int = 0, bytes: int = 0) -> None:
    """Note that a dataset was written."""
    if _open:
        _open[-1].note(_open[-1].written, str(name), Amount(rows, bytes))


def own_peak_bytes() -> int:
    """Return the most memory that this program had in use, since it began or was last metered.

    What getrusage gives on Linux is at least what started the program had in use itself, for
    the kernel carries that figure over exec. VmHWM begins anew with exec, and at a fork with
    what is resident then.
    """
    for line in _status():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * _KILOBYTE
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RUSAGE_UNIT


def _status() -> list[str]:
    """Return what the kernel says of this process, nothing where there is no such file."""
    try:
        return _STATUS.read_text().splitlines()
    except OSError:
        return []


def _start_peak_anew() -> None:
    """Let the peak be what is in use now, where the kernel can."""
    with contextlib.suppress(OSError):
        _CLEAR.write_text(_CLEAR_PEAK)


def _peak_of_programs() -> int:
    """Return the highest peak of programs that were run and have ended.

    A program's own counts from what ran it had in use then, which is never above the caller's.
    """
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * _RUSAGE_UNIT


def _usage() -> list[resource.struct_rusage]:
    return [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]


def _cpu_seconds() -> float:
    return sum(one.ru_utime + one.ru_stime for one in _usage())
