"""An HTTP proxy, small and real: it tunnels, passes plain requests on, and may want a password.

Whatever host is asked for, it connects to one server: so a name that no resolver knows is reached
through it, and through nothing else.
"""

import base64
import contextlib
import http.server
import select
import socket
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Passing:
    """What a proxy does, and what it was asked.

    Attributes:
        port: of the server on loopback that it connects to.
        password: `user:password` that it wants; nothing if it asks for none.
        refuses: the status that it answers instead of passing on; 0 passes on.
    """

    port: int
    password: str = ""
    refuses: int = 0
    asked: list[str] = field(default_factory=list)
    seen: list[dict[str, str]] = field(default_factory=list)

    def refusal(self, given: str) -> int:
        wanted = f"Basic {base64.b64encode(self.password.encode()).decode()}"
        return 407 if self.password and given != wanted else self.refuses


@contextlib.contextmanager
def passing(proxy: Passing) -> Iterator[str]:
    """Run a proxy on a free port of loopback; yield its address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(proxy))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _handler(proxy: Passing) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            if self.allowed():
                with socket.create_connection(("127.0.0.1", proxy.port)) as there:
                    self.send_response(200)
                    self.end_headers()
                    _carry(self.connection, there)
            self.close_connection = True

        def do_GET(self) -> None:
            if not self.allowed():
                return
            path = urllib.parse.urlsplit(self.path)._replace(
                scheme="http", netloc=f"127.0.0.1:{proxy.port}"
            )
            with urllib.request.urlopen(path.geturl()) as answer:  # noqa: S310 - loopback
                content = answer.read()
            self.send_response(200)
            self.send_header("Content-Type", answer.headers["Content-Type"])
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def allowed(self) -> bool:
            proxy.asked.append(f"{self.command} {self.path}")
            proxy.seen.append(dict(self.headers))
            status = proxy.refusal(self.headers.get("Proxy-Authorization", ""))
            if status:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
            return not status

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing; a test sees what was asked in `asked`."""

    return Handler


def _carry(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes both ways until either end closes."""
    ends = {one: other, other: one}
    while True:
        for end in select.select(list(ends), [], [])[0]:
            content = end.recv(65_536)
            if not content:
                return
            ends[end].sendall(content)
