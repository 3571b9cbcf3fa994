"""What a client may take of the server: bytes, connections and time."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on everything that is read.

    Attributes:
        head_bytes: request line and headers together; 431 beyond.
        body_bytes: one body; 413 beyond.
        bodies_bytes: all bodies under way together, and large answers that clients have not
            taken yet; 429 beyond.
        connections: open at once; the next is closed without an answer.
        head_seconds: from the first byte of a request to the end of its head; 408 beyond.
        body_seconds: between two pieces of a body; 408 beyond.
        body_rate: bytes a second that a body must bring in the long run; 408 below.
        idle_seconds: between requests; above the 60 s after which gateways close commonly.
        write_seconds: for a client to take what was sent.
        linger_seconds: to discard what still comes of a request that was refused.
    """

    head_bytes: int = 16 << 10
    body_bytes: int = 64 << 20
    bodies_bytes: int = 256 << 20
    connections: int = 10_000
    head_seconds: float = 10.0
    body_seconds: float = 20.0
    body_rate: int = 10_000
    idle_seconds: float = 75.0
    write_seconds: float = 30.0
    linger_seconds: float = 2.0


class Budget:
    """Bytes that all connections share."""

    __slots__ = ("left",)

    def __init__(self, total: int) -> None:
        self.left = total

    def take(self, size: int) -> bool:
        """Take bytes if there are as many."""
        if size > self.left:
            return False
        self.left -= size
        return True

    def give(self, size: int) -> None:
        """Give back what was taken."""
        self.left += size
