"""A way to an API server that can be cut in the middle of an answer."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_CHUNK = 65536


@dataclass
class Way:
    """Passes bytes on both ways, TLS and all.

    Attributes:
        cuts: how often connections were cut.
    """

    target: tuple[str, int]
    cuts: int = 0
    _open: list[socket.socket] = field(default_factory=list)

    def cut(self) -> None:
        """Close every connection that is open now; new ones may be made."""
        self.cuts += 1
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def serve(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # closed: that is the end
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(self.target)
                self._open += [near, far]
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=_pass, args=ends, daemon=True).start()


def _pass(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(_CHUNK):
            sink.sendall(chunk)
    for one in (source, sink):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def way_to(url: str) -> Iterator[tuple[str, Way]]:
    """Give another address of an API server, and the way that leads there."""
    parts = urlsplit(url)
    way = Way((str(parts.hostname), int(parts.port or 443)))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=way.serve, args=(listener,), daemon=True).start()
        yield f"{parts.scheme}://127.0.0.1:{listener.getsockname()[1]}", way
        way.cut()
        listener.shutdown(socket.SHUT_RDWR)
