"""What tests upload."""


class Stream:
    """A stream that ends after so many bytes."""

    def __init__(self, size: int) -> None:
        self.left = size

    def read(self, size: int, /) -> bytes:
        piece = min(size, self.left)
        self.left -= piece
        return b"x" * piece
