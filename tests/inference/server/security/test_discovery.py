"""What an issuer answers is read within bounds, over connections that are what they claim."""

import contextlib
import http.server
import json
import pathlib
import ssl
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from components.foundation.errors import InfrastructureError, UserError
from inference.server.security.discovery import Issuer
from tests.inference.transport.pki import Authority

Answer = Callable[[http.server.BaseHTTPRequestHandler], None]
KEYS = {"keys": [{"kty": "oct"}]}


@contextlib.contextmanager
def answering(keys: Answer, *, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Stand for an issuer whose discovery document is right; `keys` answers for its key set."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/.well-known/openid-configuration":
                say(json.dumps({"issuer": url, "jwks_uri": f"{url}/keys"}).encode())(self)
            elif self.path == "/keys":
                keys(self)
            else:
                say(json.dumps(KEYS).encode())(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}"
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield url
        finally:
            server.shutdown()


def say(body: bytes, status: int = 200, **headers: str) -> Answer:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        with contextlib.suppress(OSError):  # the client may have enough
            handler.wfile.write(body)

    return answer


def trickle(handler: http.server.BaseHTTPRequestHandler) -> None:
    say(b"{")(handler)
    with contextlib.suppress(OSError):
        for _ in range(100):
            handler.wfile.write(b" ")
            time.sleep(0.03)


def test_reads_the_key_set_that_the_document_names() -> None:
    with answering(say(json.dumps(KEYS).encode())) as url:
        assert Issuer(url).jwks() == KEYS


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (say(b"", 302, location="/elsewhere"), "answered 302"),
        (say(b"", 500), "answered 500"),
        (say(b"x" * (600 << 10)), "is larger than"),
        (trickle, "came too slowly"),
        (say(b"<html>"), "is no JSON"),
        (say(b"[" * 100_000), "is no JSON"),
        (say(b"[]"), "is no JSON object"),
    ],
    ids=["redirect", "failure", "large", "trickle", "html", "deep", "list"],
)
def test_an_answer_that_is_no_key_set_is_refused(keys: Answer, said: str) -> None:
    with answering(keys) as url, pytest.raises(InfrastructureError, match=said) as caught:
        Issuer(url, seconds=0.2).jwks()

    assert caught.value.code == "issuer-unreachable"


def test_an_issuer_that_is_down_is_named() -> None:
    with answering(trickle) as url:
        pass

    with pytest.raises(InfrastructureError, match=f"{url}.* did not answer"):
        Issuer(url).jwks()


def test_only_the_named_authority_is_trusted(tmp_path: pathlib.Path) -> None:
    ours, theirs = Authority("ours"), Authority("theirs")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*ours.issue("issuer").write(tmp_path))
    files = {name: tmp_path / name for name in ("ours", "theirs")}
    files["ours"].write_bytes(ours.cert)
    files["theirs"].write_bytes(theirs.cert)

    with answering(say(json.dumps(KEYS).encode()), tls=tls) as url:
        assert Issuer(url, files["ours"]).jwks() == KEYS
        for ca in (files["theirs"], None):
            with pytest.raises(InfrastructureError, match="CERTIFICATE_VERIFY_FAILED"):
                Issuer(url, ca).jwks()


def test_an_authority_that_cannot_be_read_ends_the_start(tmp_path: pathlib.Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("")

    for ca, said in ((tmp_path / "none", "No such file"), (empty, "holds no certificate")):
        with pytest.raises(UserError, match=said) as caught:
            Issuer("https://issuer.example", ca)
        assert caught.value.code == "issuer-ca"
