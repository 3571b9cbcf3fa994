"""What a process uses of the machine, from /proc."""

import contextlib
import os
import time
from dataclasses import dataclass

_TICK = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
# Of /proc/PID/stat, counted after the name, which may hold blanks and parentheses itself.
_USER, _SYSTEM, _STARTED, _RESIDENT = 11, 12, 19, 21


@dataclass(frozen=True, slots=True)
class Usage:
    """Memory, time and files of one process."""

    resident_bytes: int
    cpu_seconds: float
    open_fds: int
    started: float


def usage(pid: int) -> Usage | None:
    """Return what a process uses, or None where it cannot be seen."""
    with contextlib.suppress(OSError, IndexError):
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        ticks = int(fields[_USER]) + int(fields[_SYSTEM])
        booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        return Usage(
            resident_bytes=int(fields[_RESIDENT]) * _PAGE,
            cpu_seconds=ticks * _TICK,
            open_fds=_open_fds(f"/proc/{pid}/fd"),
            started=booted + int(fields[_STARTED]) * _TICK,
        )
    return None


def _open_fds(folder: str) -> int:
    """Ask for the folder's size, which kernels since 6.2 know; list it on older ones."""
    return os.stat(folder).st_size or len(os.listdir(folder))
