"""A REST service that misbehaves in one way, on a real socket."""

import contextlib
import http.server
import threading
from collections.abc import Iterator, Mapping
from typing import ClassVar


@contextlib.contextmanager
def answering(
    status: int, body: bytes, headers: Mapping[str, str], *, cut: int = 0
) -> Iterator[str]:
    """Answer every request alike; yield the address of the collection.

    Args:
        status: of every answer.
        body: of every answer.
        headers: of every answer.
        cut: bytes of the body that are promised and never sent.
    """

    class Answer(http.server.BaseHTTPRequestHandler):
        sent: ClassVar[Mapping[str, str]] = headers

        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body) + cut))
            for name, value in self.sent.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/rows"
        finally:
            server.shutdown()
            thread.join()
