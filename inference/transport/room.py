"""Memory for a body of known length, which is received straight into it."""

from typing import Final

_LEAST: Final = 64 << 10
_MOST: Final = 16 << 20  # larger ones grow as they come
_LINE: Final = 64  # bytes; arrays of any type may begin at a multiple


def room(size: int, *, aligned_at: int) -> memoryview | None:
    """Return a buffer of so many bytes, of which one begins a cache line.

    It takes no memory before something is written to it. None where it is not worth while, or
    where the system grants no such thing.
    """
    if not _LEAST <= size <= _MOST:
        return None
    import numpy as np

    try:
        whole = np.empty(size + _LINE, np.uint8)
    except MemoryError:
        return None
    start = -(whole.ctypes.data + aligned_at) % _LINE
    return whole.data[start : start + size]
