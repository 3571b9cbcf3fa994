"""On a real tmpfs: what does not fit is refused whole, and no release needs twice its room."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

from components.foundation.sealing import release
from components.foundation.sealing.keys import KeyRing
from components.foundation.storage import ObjectStore

OWN = ["unshare", "--map-root-user", "--mount"]
SIZE = 4 << 20
ROOM = SIZE + SIZE // 2


def mounts() -> bool:
    try:
        return subprocess.run([*OWN, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


pytestmark = pytest.mark.skipif(not mounts(), reason="this user may not mount a tmpfs of its own")


@pytest.fixture
def uri(
    environment: None,
    store: ObjectStore,
    tmp_path: pathlib.Path,
    unique: str,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/model.onnx").write_bytes(os.urandom(SIZE))
    keys = KeyRing.create(tmp_path / "keys")
    monkeypatch.setenv("FALAJ_KEYS", str(tmp_path / "keys"))
    return release.seal(tmp_path / "folder", model=unique, facts={}, store=store, keys=keys).uri


def run(size: int, dies: str, uri: str, out: pathlib.Path) -> "subprocess.CompletedProcess[str]":
    module = [sys.executable, "-m", "tests.inference.initializer.on_tmpfs"]
    command = [*OWN, *module, str(size), dies, uri, str(out)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_what_does_not_fit_is_refused_and_nothing_is_fetched(
    uri: str, tmp_path: pathlib.Path
) -> None:
    done = run(SIZE, "never", uri, tmp_path / "out")

    assert done.returncode == 2, done.stderr
    said = done.stderr.splitlines()[-1]
    assert f"out: the release needs {SIZE + (1 << 20)} bytes, {SIZE} are free" in said
    assert "sizeLimit" in said


def test_one_and_a_half_times_its_size_is_enough(uri: str, tmp_path: pathlib.Path) -> None:
    done = run(ROOM, "never", uri, tmp_path / "out")

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("dies", ["7", "8", "10"])
def test_it_is_enough_for_whoever_comes_after_one_that_was_killed(
    uri: str, tmp_path: pathlib.Path, dies: str
) -> None:
    done = run(ROOM, dies, uri, tmp_path / "out")

    [left] = re.findall(r"(\d+) bytes were left", done.stdout)
    assert int(left) > SIZE // 2
    assert done.returncode == 0, done.stderr
