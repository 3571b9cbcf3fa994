"""A small HTTP server that plays what an API server does when it does not do it.

A script is a list of steps, one a request; the last is played again for every further request.
"""

import http.server
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from kubernetes import client

from components.foundation.kubernetes.client import Cluster
from components.foundation.kubernetes.retries import Retries

Step = Callable[["Player"], None]


class Player(http.server.BaseHTTPRequestHandler):
    """Plays one step a request."""

    script: "Script"
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def play(self) -> None:
        length = int(self.headers.get("content-length", 0))
        body = json.loads(self.rfile.read(length) or "null")
        self.script.asked.append((self.command, self.path, body))
        self.script.next()(self)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = play  # noqa: N815 - http.server's names


@dataclass
class Script:
    """What is played, and what was asked: (verb, path, body)."""

    steps: list[Step]
    asked: list[tuple[str, str, Any]] = field(default_factory=list)

    def next(self) -> Step:
        return self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]

    @property
    def verbs(self) -> list[str]:
        return [verb for verb, _, _ in self.asked]


def says(code: int, body: Any = None, **headers: str) -> Step:
    """Answer whole."""

    def step(player: Player) -> None:
        text = json.dumps(body if body is not None else {"message": "the reason"}).encode()
        player.send_response(code)
        for name, value in headers.items():
            player.send_header(name.replace("_", "-"), value)
        player.send_header("content-length", str(len(text)))
        player.end_headers()
        player.wfile.write(text)

    return step


def cut(player: Player) -> None:
    """Take a request and close the connection without a word."""
    player.close_connection = True


def events(*told: Any, then: str = "ends") -> Step:
    """Send watch events, one a line; then end well, be cut within a line, or fall silent."""

    def step(player: Player) -> None:
        player.send_response(200)
        player.send_header("content-type", "application/json")
        player.send_header("transfer-encoding", "chunked")
        player.end_headers()
        for event in told:
            _chunk(player, json.dumps(event).encode() + b"\n")
        match then:
            case "ends":
                player.wfile.write(b"0\r\n\r\n")
            case "is cut":
                _chunk(player, b'{"type": "MODIF')
                player.close_connection = True
            case "is silent":
                time.sleep(3)
                player.close_connection = True

    return step


def _chunk(player: Player, text: bytes) -> None:
    player.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))


@contextmanager
def playing(
    *steps: Step, patience: Retries | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[tuple[Cluster, Script]]:
    """Give a cluster whose API plays a script, and the script."""
    script = Script(list(steps))
    handler = type("Here", (Player,), {"script": script})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield reaching(server.server_port, patience), script
        server.shutdown()


def reaching(port: int, patience: Retries | None = None) -> Cluster:
    settings = client.Configuration()
    settings.host = f"http://127.0.0.1:{port}"
    patience = patience or Retries(sleep=lambda _: None)
    return Cluster(client.ApiClient(settings), "team", retries=patience)
