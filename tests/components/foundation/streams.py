"""What tests upload."""

from blake3 import blake3

from components.foundation.digests import BLAKE3, Digest


class Stream:
    """A stream that ends after so many bytes."""

    def __init__(self, size: int) -> None:
        self.left = size
        self._read = blake3()

    def read(self, size: int, /) -> bytes:
        piece = b"x" * min(size, self.left)
        self.left -= len(piece)
        self._read.update(piece)
        return piece

    def digest(self) -> Digest:
        return Digest(self._read.hexdigest(), BLAKE3)
