"""Start a plane as a child process, for a laptop's site and for tests."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from components.foundation.errors import InfrastructureError

_READY_S = 30
_STOP_S = 20
_ROOT = pathlib.Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Plane:
    """A running plane.

    Attributes:
        api: its Kubernetes API, and /federate as a metrics source.
        gateway: where models answer, by Host header.
    """

    api: str
    gateway: str
    kubeconfig: pathlib.Path
    pid: int

    def environment(self) -> dict[str, str]:
        """Return what a step needs to see."""
        return {"KUBECONFIG": str(self.kubeconfig), "PROMETHEUS_URL": self.api}


@contextlib.contextmanager
def running(
    folder: pathlib.Path, environment: Mapping[str, str], *, options: Sequence[str] = ()
) -> Iterator[Plane]:
    """Run a plane over a folder until the block ends.

    Args:
        folder: its state; objects in it live on over a restart.
        environment: what pods need, such as AWS_* and FALAJ_KEYS, over our own.
        options: further command line options, such as `--gateway-port`.

    Raises:
        InfrastructureError: it ended or did not answer in time; the log is named.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ports.json").unlink(missing_ok=True)
    process = _start(folder, environment, options)
    try:
        ports = _ports(process, folder)
        urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
        yield Plane(urls["api"], urls["gateway"], folder / "kubeconfig", process.pid)
    finally:
        _stop(process)


def _start(
    folder: pathlib.Path, environment: Mapping[str, str], options: Sequence[str]
) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "inference.plane", f"--state={folder}"]
    command += [f"--kubeconfig={folder / 'kubeconfig'}", "--until-eof", *options]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,  # its end tells the plane that we are gone
            stdout=log,
            stderr=log,
            cwd=_ROOT,
            env={**os.environ, **environment},
            start_new_session=True,  # Ctrl-C reaches us first; we stop it in order
        )


def _ports(process: "subprocess.Popen[bytes]", folder: pathlib.Path) -> dict[str, int]:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(FileNotFoundError):
            found: dict[str, int] = json.loads((folder / "ports.json").read_text())
            return found
        time.sleep(0.02)
    raise InfrastructureError(
        f"the plane did not start; its log is {folder / 'log'}", code="plane-did-not-start"
    )


def _stop(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
