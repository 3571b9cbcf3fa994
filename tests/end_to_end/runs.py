"""The worked example as its users run it, and what is there afterwards."""

import os
import pathlib
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

from components.foundation import audit
from components.foundation.sealing import channel
from components.foundation.sealing.keys import KeyRing
from components.foundation.storage import Address
from components.foundation.tables import TableRef
from pipelines import project
from pipelines.laptop import session

ROOT = pathlib.Path(__file__).parents[2]
MODEL = project.load(ROOT / "examples" / "flights").model.name


@dataclass(frozen=True)
class Command:
    """A command that has ended."""

    code: int
    output: str
    seconds: float

    @property
    def lines(self) -> list[str]:
        return self.output.splitlines()


def command(module: str, *arguments: object) -> list[str]:
    return [sys.executable, "-m", module, *map(str, arguments)]


def call(module: str, *arguments: object) -> Command:
    began = time.monotonic()
    done = subprocess.run(
        command(module, *arguments),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Command(done.returncode, done.stdout, time.monotonic() - began)


@dataclass(frozen=True)
class Kept:
    """What a run left in its object store."""

    objects: dict[str, str]  # address -> ETag
    observed: list[dict[str, Any]]
    champion: channel.Pointer
    audited: list[audit.Entry]


def look(folder: pathlib.Path) -> Kept:
    """Look into a run's object store, which is stopped."""
    with session.storing(folder) as laptop:
        store, keys = laptop.store, KeyRing.from_environment(laptop.environment)
        champion = channel.current(MODEL, store=store, keys=keys)
        assert champion, "the model has no champion"
        observed = laptop.tables.read(
            TableRef("falaj-curated", f"observations/{MODEL}"),
            ["id", "time", "version", "variant"],
        )
        return Kept(
            {
                str(item.address): item.etag
                for bucket in session.BUCKETS
                for item in store.list(Address(bucket, ""))
            },
            observed.to_pylist(),
            champion,
            list(audit.AuditLog(store).entries()),
        )


def holders(folder: pathlib.Path) -> list[str]:
    """Return the command lines of processes that have to do with a folder."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode(errors="replace")
            places = [os.readlink(process / "cwd")]
            places += [os.readlink(link) for link in (process / "fd").iterdir()]
        except OSError:  # ended meanwhile, or somebody else's
            continue
        if process.name != str(os.getpid()) and (
            str(folder) in words or any(place.startswith(str(folder)) for place in places)
        ):
            found.append(words.replace("\0", " "))
    return found
