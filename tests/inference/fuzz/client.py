"""One connection's story: bytes out, whatever comes back, and how it ended."""

import contextlib
import enum
import re
import socket
from dataclasses import dataclass

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_PATIENCE = 8.0  # seconds without a byte after which a connection counts as hanging
_QUIET = 0.05  # seconds in which an answer comes, if one comes to what was sent
_ANSWERED = 0.005  # the same once there was one


class End(enum.Enum):
    """How a connection ended."""

    CLOSED = "closed"
    RESET = "reset"
    HUNG = "hung"


@dataclass(frozen=True, slots=True)
class Story:
    """What came back on one connection."""

    statuses: tuple[int, ...]
    end: End
    rest: bytes = b""


def told(port: int, wire: bytes) -> Story:
    """Send bytes and read until the server closes; say that no more comes once it is quiet."""
    received, end = bytearray(), End.CLOSED
    with socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE) as connection:
        try:
            connection.sendall(wire)
            _listen(connection, received)
        except ConnectionError:
            end = End.RESET
            _rest(connection, received)
        except TimeoutError:
            end = End.HUNG
    statuses, rest = read(bytes(received))
    return Story(statuses, end, rest)


def _listen(connection: socket.socket, received: bytearray) -> None:
    connection.settimeout(_QUIET)
    try:
        _until_quiet(connection, received)
    except TimeoutError:
        connection.settimeout(_PATIENCE)
        connection.shutdown(socket.SHUT_WR)
        while piece := connection.recv(1 << 16):
            received += piece


def _until_quiet(connection: socket.socket, received: bytearray) -> None:
    """Read until nothing came for a while."""
    while piece := connection.recv(1 << 16):
        received += piece
        connection.settimeout(_ANSWERED)


def _rest(connection: socket.socket, received: bytearray) -> None:
    """Read what came before a server closed without having taken everything."""
    connection.settimeout(_QUIET)
    with contextlib.suppress(OSError):
        while piece := connection.recv(1 << 16):
            received += piece


def read(received: bytes) -> tuple[tuple[int, ...], bytes]:
    """Take answers off the front; return their statuses, and what is left that is none."""
    statuses: list[int] = []
    while found := _STATUS.match(received):
        head, _, rest = received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        status = int(found[1])
        size = int(length[1]) if length and status >= 200 else 0
        statuses.append(status)
        if len(rest) < size:
            return tuple(statuses), b"" if not rest else rest[:100]
        received = rest[size:]
    return tuple(statuses), received
