"""Take bodies off a socket, whole and each to its place in memory: as fast as they come at all.

    python raw_socket.py NAME MODEL.ONNX HTTP_PORT [predict]

With `predict`, ONNX Runtime is given what lies behind the JSON, and its answer is sent back raw:
what a single model costs where nothing is checked, and where one request holds up every other.
"""

import re
import selectors
import socket
import sys
from collections.abc import Callable

import numpy as np
import onnxruntime

HEAD = 64 << 10  # bytes that are received first: a whole head, and where a body begins
OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
JSON_LENGTH = re.compile(rb"\r\ninference-header-content-length: *(\d+)", re.IGNORECASE)
Answer = Callable[[memoryview], bytes]


class Connection:
    """Fills one body after the other; whoever sends waits for an answer before the next."""

    def __init__(self, connection: socket.socket, answer: Answer) -> None:
        self.socket, self.answer = connection, answer
        self.head = memoryview(bytearray(HEAD))
        self.room = memoryview(bytearray())
        self.skipped = self.filled = self.length = 0

    def receive(self) -> bool:
        """Take what has come, and answer at a body's end; False once the client has gone."""
        body = self.room[self.filled : self.length]
        try:
            if not (size := self.socket.recv_into(body or self.head)):
                return False
            self.filled += size if body else self._begun(self.head[:size])
            if self.filled == self.length:
                self._answered()
        except OSError:
            return False
        return True

    def _begun(self, data: memoryview) -> int:
        """Make room for a body; return how much of it is there."""
        head, _, body = bytes(data).partition(b"\r\n\r\n")
        length, skipped = LENGTH.search(head), JSON_LENGTH.search(head)
        self.length, self.filled = int(length[1]) if length else 0, 0
        self.skipped = int(skipped[1]) if skipped else 0
        if len(self.room) < self.length:
            self.room = memoryview(bytearray(self.length))
        self.room[: len(body)] = body
        return len(body)

    def _answered(self) -> None:
        answer = self.answer(self.room[self.skipped : self.length])
        self.socket.sendall(OK % len(answer) + answer)
        self.filled = self.length = 0


def predict(path: str) -> Answer:
    """Return what answers by a model of one input."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options)
    [given] = session.get_inputs()

    def answer(body: memoryview) -> bytes:
        if not body:  # whether we are ready
            return b"{}"
        values = np.require(np.frombuffer(body, "<f4"), requirements="A")
        [found] = session.run(None, {given.name: values.reshape(-1, given.shape[1])})
        return bytes(found)

    return answer


def serve(listener: socket.socket, answer: Answer) -> None:
    """Answer whoever has sent something."""
    with selectors.DefaultSelector() as waiting:
        waiting.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in waiting.select():
                if key.data is None:
                    accepted = listener.accept()[0]
                    waiting.register(accepted, selectors.EVENT_READ, Connection(accepted, answer))
                elif not key.data.receive():
                    waiting.unregister(key.data.socket)
                    key.data.socket.close()


if __name__ == "__main__":
    told = predict(sys.argv[2]) if sys.argv[4:] == ["predict"] else lambda _: b"{}"
    with socket.create_server(("127.0.0.1", int(sys.argv[3])), backlog=2048) as opened:
        serve(opened, told)
