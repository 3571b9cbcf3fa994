"""Seal whole releases into a laptop's object store and open them: what that took, as JSON.

    python -m tests.benchmarks.sealing.releases MIB ROUNDS SCRATCH

One file and four files of the same size in all; from the store and from a folder; and parts of a
file. Uses every core there is, and the store's server uses them too: its seconds are its own.
"""

import json
import os
import pathlib
import random
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from components.foundation.sealing import release
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.source import Files
from components.foundation.sealing.uri import BUCKET, ReleaseUri
from components.foundation.storage import ObjectStore
from pipelines.laptop import seaweedfs
from tests.benchmarks.sealing.worker import measured

_MIB = 1 << 20
_PARTS = 100
Found = dict[str, dict[str, float]]


def main() -> None:
    size, rounds, scratch = int(sys.argv[1]), int(sys.argv[2]), pathlib.Path(sys.argv[3])
    with _sealer(scratch) as sealer:
        found = [sealer.turn(size, number) for number in range(rounds)]
    print(json.dumps(found))


@contextmanager
def _sealer(scratch: pathlib.Path) -> Iterator["Sealer"]:
    with seaweedfs.running(scratch / "s3", buckets=[BUCKET]) as settings:
        yield Sealer(scratch, ObjectStore(settings), KeyRing.create(scratch / "keys"))


class Sealer:
    """Where releases come from and go to."""

    def __init__(self, scratch: pathlib.Path, store: ObjectStore, keys: KeyRing) -> None:
        self._scratch, self._store, self._keys = scratch, store, keys

    def turn(self, size: int, number: int) -> Found:
        """Seal and open so many MiB as one file and as four."""
        one, uri = self._release(size, 1, number)
        four, _ = self._release(size, 4, number)
        named = {f"one file, {step}": took for step, took in one.items()}
        named |= {f"four files, {step}": took for step, took in four.items()}
        return named | {"1 MiB of a file, from the store": self._parts(uri, size)}

    def _release(self, size: int, files: int, number: int) -> tuple[Found, str]:
        folder, copy, to = (self._scratch / name for name in ("model", "copy", "opened"))
        _fill(folder, size, files)
        uri = list[str]()
        steps = {
            "to the store": lambda: uri.append(self._seal(folder, number)),
            "from the store": lambda: self._open(uri[0], to / "s3", self._store),
        }
        found = {name: measured(step) for name, step in steps.items()}
        local = self._copied(uri[0], copy)
        found["from a folder"] = measured(lambda: self._open(local, to / "file", Files.mounted()))
        for path in (folder, copy, to):
            shutil.rmtree(path)
        return found, uri[0]

    def _seal(self, folder: pathlib.Path, number: int) -> str:
        facts = {"round": number}
        return release.seal(
            folder, model="model", facts=facts, store=self._store, keys=self._keys
        ).uri

    def _open(self, uri: str, to: pathlib.Path, source: Any) -> None:
        release.unseal(uri, to, store=source, keys=self._keys)

    def _copied(self, uri: str, copy: pathlib.Path) -> str:
        """Copy a release's objects to a folder; return what it is called there."""
        of = ReleaseUri.parse(uri)
        for item in self._store.list(of.address):
            self._store.get_file(item.address, copy / item.address.key)
        return f"sealed+file://{copy}/{of.model}/{of.version}"

    def _parts(self, uri: str, size: int) -> dict[str, float]:
        """Read parts at random places; each checks the statement and unwraps the key anew."""
        places = random.Random(7)  # noqa: S311 - any places will do
        part = partial(release.read_file, uri, "0", store=self._store, keys=self._keys, length=_MIB)
        began = time.perf_counter()
        for _ in range(_PARTS):
            part(offset=places.randrange((size - 1) * _MIB))
        return {"each": (time.perf_counter() - began) / _PARTS}


def _fill(folder: pathlib.Path, size: int, files: int) -> None:
    folder.mkdir()
    for number in range(files):
        with (folder / str(number)).open("wb") as file:
            for _ in range(size // files):
                file.write(os.urandom(_MIB))


if __name__ == "__main__":
    main()
