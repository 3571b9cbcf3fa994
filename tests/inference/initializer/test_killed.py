"""Killed at every change to its folder, the initializer goes on where it was."""

import itertools
import pathlib
import random
import signal
import subprocess
import sys

import pytest

from components.foundation import digests
from components.foundation.sealing import release
from components.foundation.sealing.keys import KeyRing
from components.foundation.storage import ObjectStore

SIZES = {"model.onnx": 1_500_000, "weights/0.bin": 500_000, "empty": 0}


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    chance = random.Random(1)  # noqa: S311 - nothing secret
    for name, size in SIZES.items():
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(size))
    return tmp_path / "folder"


@pytest.fixture
def uri(
    environment: None,
    store: ObjectStore,
    folder: pathlib.Path,
    tmp_path: pathlib.Path,
    unique: str,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    keys = KeyRing.create(tmp_path / "keys")
    monkeypatch.setenv("FALAJ_KEYS", str(tmp_path / "keys"))
    return release.seal(folder, model=unique, facts={}, store=store, keys=keys).uri


def run(module: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def whole(out: pathlib.Path, folder: pathlib.Path) -> dict[str, int]:
    """Return when each file that is whole was written last, in place or about to be put there."""
    found = {}
    for name, base in itertools.product(SIZES, (out, out / ".unsealing")):
        path = base / name
        if path.exists() and digests.of_file(path) == digests.of_file(folder / name):
            found[name] = path.stat().st_mtime_ns
    return found


@pytest.mark.slow
def test_killed_at_every_change_it_goes_on_and_fetches_no_whole_file_twice(
    uri: str, folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    kept = 0

    for number in itertools.count():
        out = tmp_path / f"out{number}"
        died = run("tests.inference.initializer.dying", str(number), uri, str(out))
        if died.returncode == 0:
            break
        assert died.returncode == -signal.SIGKILL, died.stderr
        in_place = [name for name in SIZES if (out / name).exists()]
        assert not (out / "release.json").exists() or len(in_place) == len(SIZES)
        assert all((out / n).read_bytes() == (folder / n).read_bytes() for n in in_place)
        before = whole(out, folder)

        done = run("inference.initializer", uri, str(out))

        assert done.returncode == 0, done.stderr
        assert whole(out, folder) == whole(out, folder) | before
        assert whole(out, folder).keys() == SIZES.keys()
        assert (out / "release.json").exists()
        assert not (out / ".unsealing").exists()
        kept += len(before)

    assert number > 20
    assert kept > 20
