"""Take bodies off a socket and drop them: as fast as bytes can come in at all.

    python sink.py NAME MODEL.ONNX HTTP_PORT

The other arguments are those of the other peers; one thread a connection.
"""

import contextlib
import re
import socket
import sys
import threading

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: application/json\r\n\r\n{}"
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


def serve(connection: socket.socket) -> None:
    """Answer requests until the client has gone."""
    buffer = memoryview(bytearray(1 << 20))
    head = b""
    with connection, contextlib.suppress(OSError):
        while True:
            while b"\r\n\r\n" not in head:
                if not (size := connection.recv_into(buffer)):
                    return
                head += buffer[:size]
            start, _, body = head.partition(b"\r\n\r\n")
            found = LENGTH.search(start)
            head = _drop(connection, buffer, body, int(found[1]) if found else 0)
            connection.sendall(ANSWER)


def _drop(connection: socket.socket, buffer: memoryview, body: bytes, length: int) -> bytes:
    left = length - len(body)
    while left > 0:
        size = connection.recv_into(buffer, min(left, len(buffer)))
        if not size:
            raise OSError("the client has gone")
        left -= size
    return body[length:]


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", int(sys.argv[3])), backlog=2048) as listener:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection,), daemon=True).start()
