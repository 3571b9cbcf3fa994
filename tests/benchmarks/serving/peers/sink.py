"""Take bodies off a socket and drop them: as fast as bytes can come in at all.

    python sink.py NAME MODEL.ONNX HTTP_PORT

The other arguments are those of the other peers. What arrives is acknowledged at once: else a
client that holds the end of a body back until then (Nagle) waits 40 ms for it, now and then.
"""

import re
import selectors
import socket
import sys

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: application/json\r\n\r\n{}"
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
BUFFER = memoryview(bytearray(1 << 20))


class Connection:
    """Counts down the bytes of a body."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.head = b""
        self.left = 0

    def receive(self) -> bool:
        """Take what has come, and answer at a body's end; False once the client has gone."""
        try:
            size = self.socket.recv_into(BUFFER)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            self._count(BUFFER[:size])
        except OSError:
            return False
        return size > 0

    def _count(self, data: memoryview) -> None:
        if not self.left:
            self.head += data
            head, end, body = self.head.partition(b"\r\n\r\n")
            if not end:
                return
            found = LENGTH.search(head)
            self.head, self.left = b"", int(found[1]) if found else 0
            data = memoryview(body)
        self.left -= len(data)
        if self.left <= 0:
            self.left = 0
            self.socket.sendall(ANSWER)


def serve(listener: socket.socket) -> None:
    """Answer whoever has sent something."""
    with selectors.DefaultSelector() as waiting:
        waiting.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in waiting.select():
                if key.data is None:
                    accepted = listener.accept()[0]
                    waiting.register(accepted, selectors.EVENT_READ, Connection(accepted))
                elif not key.data.receive():
                    waiting.unregister(key.data.socket)
                    key.data.socket.close()


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", int(sys.argv[3])), backlog=2048) as opened:
        serve(opened)
