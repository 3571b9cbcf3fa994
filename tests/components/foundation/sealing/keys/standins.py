"""Servers that stand in for others: they answer as they are told, on the loopback."""

import base64
import contextlib
import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

Answer = Callable[[Any], None]
SIGNATURE = "signed-by-the-cluster"


@contextlib.contextmanager
def serving(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[int]:
    """Serve until the block ends; yield the port."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        poll = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        poll.start()
        yield server.server_port
        server.shutdown()


class Told(http.server.BaseHTTPRequestHandler):
    """Answers every request as its class is told, and remembers the tokens it was shown."""

    answer: ClassVar[Answer]
    asked: ClassVar[list[str]]
    tokens: ClassVar[list[str | None]]

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.asked.append(f"{self.command} {self.path}")
        self.tokens.append(self.headers.get("x-vault-token", self.headers.get("authorization")))
        self.answer()

    do_GET = do_PUT = do_POST  # noqa: N815 - http.server's names


def told(answer: Answer) -> Any:
    """Return a handler of its own."""
    return type("Here", (Told,), {"answer": answer, "asked": [], "tokens": []})


def status(code: int, body: object, **headers: str) -> Answer:
    """Answer with a page for text, and with JSON for anything else."""

    def answer(handler: Any) -> None:
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        kind = "text/html" if isinstance(body, str) else "application/json"
        handler.send_response(code)
        for name, value in {"content-type": kind, **headers}.items():
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def hang(handler: Any) -> None:
    time.sleep(3)


def cut(handler: Any) -> None:
    handler.connection.close()


class Reviews(http.server.BaseHTTPRequestHandler):
    """The Kubernetes API's TokenReview: a token is real when it ends as `token_of` ends one."""

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        _, claims, signature = body["spec"]["token"].split(".")
        said = json.loads(base64.urlsafe_b64decode(claims + "=="))
        user = {"username": said["sub"], "uid": "u-1"}
        known = signature == _part(SIGNATURE)
        status(201, {**body, "status": {"authenticated": known, "user": user}})(self)


def token_of(namespace: str, name: str, signature: str = SIGNATURE) -> str:
    """Return what looks like the token of a service account."""
    account, now = {"name": name, "uid": "u-1"}, int(time.time())
    claims = {
        "sub": f"system:serviceaccount:{namespace}:{name}",
        **{"iat": now, "nbf": now, "exp": now + 600},
        "kubernetes.io": {"namespace": namespace, "serviceaccount": account},
    }
    header = json.dumps({"alg": "RS256"})
    return ".".join(map(_part, (header, json.dumps(claims), signature)))


def _part(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
