"""Everything a laptop starts, and stops: object store, keys, serving."""

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from components.foundation.errors import InfrastructureError
from components.foundation.storage import ObjectStore, Settings
from components.foundation.tables import Tables
from pipelines.laptop import seaweedfs

BUCKETS = (
    "falaj-raw",
    "falaj-curated",
    "falaj-quarantine",
    "falaj-features",
    "falaj-models",
    "falaj-runs",
    "falaj-evidence",
)
_READY_SECONDS = 30
_STOP_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Session:
    """A laptop with everything running, and the environment that its steps see."""

    folder: pathlib.Path
    settings: Settings
    environment: Mapping[str, str]
    gateway: str  # http://127.0.0.1:port, in front of every HTTPRoute

    @property
    def store(self) -> ObjectStore:
        return ObjectStore(self.settings)

    @property
    def tables(self) -> Tables:
        return Tables(self.settings)


def host(model: str) -> str:
    """Return the name that the gateway knows a model's route by."""
    return f"{model}.default.localhost"


def begin(folder: pathlib.Path, code: str) -> bool:
    """Make ready for a run of this code; return whether an earlier code's state was dropped.

    What other code made is not built upon: its champion would judge this one's candidates.
    """
    marker = folder / "code"
    with seaweedfs.alone(folder / "s3"):
        changed = marker.exists() and marker.read_text() != code
        if changed:
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        marker.write_text(code)
    return changed


@contextlib.contextmanager
def storing(folder: pathlib.Path) -> Iterator[Session]:
    """Start the object store alone; stop it however the block ends."""
    folder = folder.resolve()
    with _terminable(), seaweedfs.running(folder / "s3", buckets=BUCKETS) as settings:
        yield Session(folder, settings, {**settings.environment(), **_places(folder)}, "")


@contextlib.contextmanager
def running(folder: pathlib.Path) -> Iterator[Session]:
    """Start everything a laptop lacks, hand it over, and stop it however the block ends."""
    with storing(folder) as laptop:
        environment = dict(laptop.environment)
        with _plane(laptop.folder / "plane", {**os.environ, **environment}) as urls:
            environment["PROMETHEUS_URL"] = urls["api"]
            yield dataclasses.replace(laptop, environment=environment, gateway=urls["gateway"])


def _places(folder: pathlib.Path) -> dict[str, str]:
    from components.foundation.sealing.keys import KeyRing

    if not (folder / "keys").exists():
        KeyRing.create(folder / "keys")
    return {
        "FALAJ_CACHE": str(folder / "cache"),
        "FALAJ_KEYS": str(folder / "keys"),
        "FALAJ_ONLINE_STORE": str(folder / "online.db"),
        "FALAJ_NAMESPACE": "default",
        "KUBECONFIG": str(folder / "plane" / "kubeconfig"),
        "FEAST_USAGE": "False",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONUNBUFFERED": "1",
    }


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM unwind like Ctrl-C, so that everything started is stopped."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _plane(folder: pathlib.Path, environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Run the plane; it ends with us, since its standard input then does."""
    folder.mkdir(parents=True, exist_ok=True)
    ports = folder / "ports.json"
    ports.unlink(missing_ok=True)
    command = [sys.executable, "-m", "inference.plane", "--until-eof", f"--state={folder}"]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [*command, f"--kubeconfig={environment['KUBECONFIG']}"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=environment,
        )
    try:
        yield _wait_ready(process, ports, folder / "log")
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_ready(
    process: "subprocess.Popen[bytes]", ports: pathlib.Path, log: pathlib.Path
) -> dict[str, str]:
    """The plane writes its ports once both answer."""
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if ports.exists():
            numbers: dict[str, int] = json.loads(ports.read_text())
            return {name: f"http://127.0.0.1:{port}" for name, port in numbers.items()}
        time.sleep(0.05)
    raise InfrastructureError(f"the plane did not become ready; its log: {log}")
