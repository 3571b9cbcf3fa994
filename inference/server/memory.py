"""The allocator's habits: memory that bodies lay in is kept for the next ones.

Left to itself, glibc gives much of it back after each large request, and has it zeroed by the
kernel, page by page, for the next: a fifth of the time of a request of 6 MB.
"""

import ctypes
from typing import Final

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # by the numbers that mallopt(3) has for them
_KEPT: Final = 48 << 20  # bytes that are free at most before any are given back
_MAPPED: Final = 17 << 20  # a block from this size on is given back at once: more than any room


def keep() -> None:
    """Keep what was freed, within bounds; does nothing where the C library has no mallopt."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, _KEPT)
        mallopt(_MMAP_THRESHOLD, _MAPPED)
