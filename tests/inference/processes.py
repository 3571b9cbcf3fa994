"""The server as a process of its own, on ports of its own."""

import contextlib
import http.client
import pathlib
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tests import ports

_START_SECONDS = 30.0
_OPEN = ("--allow_plaintext", "--allow_anonymous")


@dataclass(frozen=True, slots=True)
class Process:
    """A server that runs."""

    process: "subprocess.Popen[bytes]"
    http: int
    grpc: int
    log: pathlib.Path

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def resident(self) -> float:
        """Return the MiB of memory that it holds."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        [line] = [line for line in status.splitlines() if line.startswith("VmRSS:")]
        return int(line.split()[1]) / 1024


def free_ports(count: int) -> list[int]:
    """Return ports that nothing listens on now."""
    return [ports.free() for _ in range(count)]


@contextlib.contextmanager
def served(folder: pathlib.Path, *more: str, name: str) -> Iterator[Process]:
    """Serve a folder over HTTP and gRPC; wait until it is ready."""
    http_port, grpc_port = free_ports(2)
    command = [sys.executable, "-m", "inference.server", "--model_name", name]
    command += ["--model_dir", str(folder), "--http_port", str(http_port)]
    command += ["--grpc_port", str(grpc_port), *_OPEN, *more]
    log = folder.parent / f"{name}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    server = Process(process, http_port, grpc_port, log)
    try:
        _wait(server)
        yield server
    finally:
        process.kill()
        process.wait()


def _wait(server: Process) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and server.alive:
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection("127.0.0.1", server.http, timeout=5)
            with contextlib.closing(connection):
                connection.request("GET", "/v2/health/ready")
                if connection.getresponse().status == 200:
                    return
        time.sleep(0.02)
    raise AssertionError(f"not ready: {server.log.read_text()[-3000:]}")
