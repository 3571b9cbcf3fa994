"""A process that holds keys leaves none behind: no core file, nobody attaches to it."""

import ctypes
import resource
import sys
from collections.abc import Mapping

HATCH = "FALAJ_UNSAFE_TRACEABLE"
_PR_SET_DUMPABLE = 4  # prctl(2)


def become(environment: Mapping[str, str]) -> None:
    """Let this process leave no core file and, on Linux, hide its memory from its user.

    A process that is not dumpable hides its environment, too. A laptop finds its steps by that,
    so its session opens the hatch; there the keys are files of the same user anyway.

    Args:
        environment: the hatch is read from it.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if sys.platform == "linux" and environment.get(HATCH) != "1":
        set_dumpable(False)


def set_dumpable(dumpable: bool) -> None:
    """Say whether a core may be taken; raises OSError where the kernel refuses."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, int(dumpable), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE)")
