"""Bytes that come and go a piece at a time, in bounded memory."""

from collections.abc import Iterator
from typing import Any, Protocol

from components.foundation.digests import Digest

PIECE = 2**20  # bytes read at a time


class Reader(Protocol):
    """What can be read a piece at a time."""

    def read(self, size: int, /) -> bytes: ...


class Digested(Reader, Protocol):
    """What knows the digest of all that was read of it."""

    def digest(self) -> Digest: ...


class Filler(Protocol):
    """What fills a buffer with what comes next, and says how much that was; 0 at its end."""

    def readinto(self, buffer: memoryview, /) -> int | None: ...


class Pieces:
    """Read a stream of pieces by sizes of one's own."""

    def __init__(self, pieces: Iterator[Any]) -> None:
        self._pieces, self._left = pieces, memoryview(b"")

    def read(self, size: int, /) -> bytes:
        if not self._left:
            self._left = memoryview(next(self._pieces, b""))
        piece, self._left = self._left[:size], self._left[size:]
        return bytes(piece)

    def readinto(self, buffer: memoryview, /) -> int:
        """Copy what comes next to a buffer; return how much, 0 at the end."""
        if not self._left:
            self._left = memoryview(next(self._pieces, b""))
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size


class Counted:
    """Read exactly so many bytes of a source, and know how far that went."""

    def __init__(self, source: Reader, size: int, *, name: str) -> None:
        self._source, self._name, self._left, self._size = source, name, size, size

    @property
    def begun(self) -> bool:
        return self._left < self._size

    @property
    def whole(self) -> bool:
        return self._left == 0

    def pieces(self) -> Iterator[bytes]:
        """Yield the bytes; raises OSError when the source ends early."""
        while self._left:
            piece = self._source.read(min(PIECE, self._left))
            if not piece:
                raise OSError(f"{self._name}: its source ended {self._left} bytes early")
            self._left -= len(piece)
            yield piece
