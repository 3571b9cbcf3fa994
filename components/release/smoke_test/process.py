"""The real server as a child process, and a client on one kept connection."""

import contextlib
import http.client
import json
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from components.foundation import ports
from components.foundation.errors import InfrastructureError, UserError
from components.foundation.orphans import die_with_parent
from components.foundation.programs import PROGRAMS, Framework

_READY_SECONDS = 60
_STOP_SECONDS = 30
_SECRET = ("AWS_", "FALAJ_", "KUBECONFIG")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server answered, and after how long."""

    status: int
    body: bytes
    seconds: float

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """Requests over one connection, opened again when the server closes it."""

    port: int
    _connection: http.client.HTTPConnection | None = field(default=None, init=False)

    def send(
        self, method: str, path: str, body: bytes | None = None, kind: str = "application/json"
    ) -> Answer:
        started = time.perf_counter()
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        self._connection.request(method, path, body, {"content-type": kind})
        response = self._connection.getresponse()
        answer = Answer(response.status, response.read(), time.perf_counter() - started)
        if response.will_close:
            self.close()
        return answer

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


class DidNotStart(UserError):
    """The server refused the candidate; the message is its last line."""


@contextlib.contextmanager
def serving(
    folder: pathlib.Path, *, model: str, environment: Mapping[str, str]
) -> Iterator[Client]:
    """Serve a candidate until the block ends.

    Raises:
        DidNotStart: the server refused the candidate.
        InfrastructureError: it was not ready in time.
    """
    with tempfile.TemporaryFile() as log:
        port = ports.free()
        process = subprocess.Popen(
            _command(folder, model, port),
            stdin=subprocess.DEVNULL,
            stdout=log,  # not the step's: whoever reads that would wait for this to end too
            stderr=log,
            env=without_secrets(environment),
            preexec_fn=die_with_parent,
        )
        client = Client(port)
        try:
            _wait_ready(process, client, log)
            yield client
        finally:
            client.close()
            _stop(process)


def _command(folder: pathlib.Path, model: str, port: int) -> list[str]:
    server = [sys.executable, "-m", "inference.server", "--allow_plaintext", "--allow_anonymous"]
    server += ["--model_name", model, "--model_dir", str(folder), "--http_port", str(port)]
    return [*server, *_unsealed(folder)]


def _unsealed(folder: pathlib.Path) -> list[str]:
    """Let the server take a framework's program that is not sealed yet: this step is before it."""
    graphs = (name for name, framework in PROGRAMS.items() if framework is Framework.ONNX)
    others = PROGRAMS.keys() - set(graphs)
    return ["--unsafe_unsealed_program"] if any((folder / name).exists() for name in others) else []


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what a candidate under test may see: no keys, no credentials."""
    return {name: v for name, v in environment.items() if not name.startswith(_SECRET)}


def _wait_ready(process: "subprocess.Popen[bytes]", client: Client, log: Any) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise DidNotStart(
                _last_line(log) or f"exit code {process.returncode}", code="server-did-not-start"
            )
        try:
            if client.send("GET", "/v2/health/ready").status == 200:
                return
        except OSError:
            client.close()
        time.sleep(0.05)
    raise InfrastructureError(
        f"the server was not ready in {_READY_SECONDS} s; run the step again", code="server-slow"
    )


def _last_line(log: Any) -> str:
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
