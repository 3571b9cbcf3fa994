"""Everything a laptop starts, and stops: object store, keys, serving."""

import contextlib
import dataclasses
import os
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from components.foundation import undumpable
from components.foundation.buckets import names
from components.foundation.errors import UserError
from components.foundation.sealing.keys import KeyRing
from components.foundation.storage import ObjectStore, Settings
from components.foundation.tables import Tables
from inference.plane import launch
from pipelines.laptop import processes, seaweedfs
from pipelines.records import Records

BUCKETS = names.BUCKETS
_LOCK, _MARKER = "lock", "code"
_TMP, _RUNS = "tmp", "runs"


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

    @property
    def keys(self) -> KeyRing:
        return KeyRing.from_environment(self.environment)


def host(model: str) -> str:
    """Return the name that the gateway knows a model's route by."""
    return f"{model}.default.localhost"


def begin(folder: pathlib.Path, code: str) -> bool:
    """Make ready for a run of this code; return whether an earlier code's state was dropped.

    What other code made is not built upon: its champion would judge this one's candidates.
    The marker goes last, so that a killed run's half is dropped by the next.
    """
    marker = folder / _MARKER
    with _alone(folder):
        changed = marker.exists() and marker.read_text() != code
        if changed:
            _empty(folder)
        partial = marker.with_suffix(".part")
        partial.write_text(code)
        os.replace(partial, marker)
    return changed


@contextlib.contextmanager
def storing(folder: pathlib.Path) -> Iterator[Session]:
    """Start the object store alone; stop it, and all steps, however the block ends.

    Raises:
        UserError: another run uses the folder now.
    """
    folder = folder.resolve()
    with (
        _alone(folder),
        _scratch(folder / _TMP),
        processes.interruptible(folder),
        seaweedfs.running(folder / "s3", buckets=BUCKETS, owner=folder) as settings,
    ):
        environment = {**settings.environment(), **_places(folder), **processes.mark(folder)}
        try:
            yield Session(folder, settings, environment, "")
        finally:
            processes.end(folder, among=processes.steps)


@contextlib.contextmanager
def running(folder: pathlib.Path) -> Iterator[Session]:
    """Start everything a laptop lacks, hand it over, and stop it however the block ends.

    Raises:
        UserError: another run uses the folder now.
    """
    with (
        storing(folder) as laptop,
        launch.running(laptop.folder / "plane", laptop.environment) as plane,
    ):
        environment = {**laptop.environment, **plane.environment()}
        yield dataclasses.replace(laptop, environment=environment, gateway=plane.gateway)


def records(folder: pathlib.Path) -> Records:
    """Return what runs left here; those that were killed are told from one that is under way."""
    found = Records(folder / _RUNS)
    if found.begun.ids():
        with contextlib.suppress(UserError), seaweedfs.alone(folder):  # else a run holds it
            found.settle()
    return found


@contextlib.contextmanager
def _alone(folder: pathlib.Path) -> Iterator[None]:
    """Hold a folder, and end what a killed run left behind in it: it is nobody's now."""
    with seaweedfs.alone(folder):
        processes.end(folder)
        Records(folder / _RUNS).settle()
        yield


@contextlib.contextmanager
def _scratch(folder: pathlib.Path) -> Iterator[None]:
    """Empty a folder before and after: what killed steps left in it may be a model in the clear."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(mode=0o700)
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _empty(folder: pathlib.Path) -> None:
    """Remove everything but the lock, which is held, and the marker, which says that it is old."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in {_LOCK, _MARKER}:
            path.unlink()


def _make_keys(folder: pathlib.Path) -> None:
    """Make a key ring unless there is one; whole or not at all."""
    if folder.exists():
        return
    partial = folder.with_name("keys.part")
    if partial.exists():
        shutil.rmtree(partial)
    KeyRing.create(partial)
    os.replace(partial, folder)


def _places(folder: pathlib.Path) -> dict[str, str]:
    _make_keys(folder / "keys")
    return {
        "FALAJ_CACHE": str(folder / "cache"),
        "FALAJ_KEYS": str(folder / "keys"),
        "FALAJ_ONLINE_STORE": str(folder / "online.db"),
        "FALAJ_NAMESPACE": "default",
        "KUBECONFIG": str(folder / "plane" / "kubeconfig"),
        "FEAST_USAGE": "False",
        undumpable.HATCH: "1",  # else its processes hide the mark that they are found by
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": str(folder / _TMP),
    }
