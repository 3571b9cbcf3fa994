"""No process outlives the one that started it, however that one ends."""

import ctypes
import signal
import sys

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with_parent(number: signal.Signals = signal.SIGTERM) -> None:
    """Ask Linux for a signal when the thread that started this process ends; elsewhere nothing.

    To be called in the new process, by itself or between fork and exec.
    """
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, number)
