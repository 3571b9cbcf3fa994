"""No pickle is ever loaded: after each test the file that it would write is not there."""

import io
import pathlib
import pickle
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from components.release.scan_model import pickles
from tests.components.release import scan_samples as samples
from tests.components.release.scan_samples import refusals, scanned

SAMPLES = samples.pickles(pathlib.Path("/nowhere"))
CONTAINERS = samples.archives(b"")


@pytest.fixture
def canary(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Where a program leaves a trace; that there is none is part of every test."""
    path = tmp_path / "canary"
    yield path
    assert not path.exists()


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "model"
    path.mkdir()
    return path


@pytest.mark.parametrize("name", SAMPLES)
def test_a_hostile_pickle_is_refused_declared_or_not(
    name: str, folder: pathlib.Path, canary: pathlib.Path
) -> None:
    (folder / "model.pkl").write_bytes(samples.pickles(canary)[name])

    assert any("model.pkl: pickle: is a pickle" in line for line in refusals(folder))
    assert refusals(folder, pickles={"model.pkl": frozenset({"os.system", "posix.system"})})


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_pickle_is_found_wherever_it_lies(
    name: str, folder: pathlib.Path, canary: pathlib.Path
) -> None:
    inner = samples.stack_global("os", "system", f"touch {canary}")
    (folder / name).write_bytes(samples.archives(inner)[name])

    for declared in ({}, {name: frozenset({"os.system"})}):
        found = refusals(folder, pickles=declared)
        assert any("os.system, which can run code" in line for line in found), found
        assert all(line.startswith(name) for line in found)


def test_a_text_pickle_is_found_in_every_archive(
    folder: pathlib.Path, canary: pathlib.Path
) -> None:
    inner = samples.calling("os", "system", f"touch {canary}")
    (folder / "model.zip").write_bytes(samples.zipped({"deep/data.pkl": inner}))

    assert any("model.zip!deep/data.pkl" in line for line in refusals(folder))


def test_what_a_declared_pickle_may_ask_for_is_let_through(folder: pathlib.Path) -> None:
    (folder / "arrays.pkl").write_bytes(pickle.dumps({"w": np.ones(3)}, protocol=4))
    (folder / "other.pkl").write_bytes(samples.calling("some_package.models", "Estimator", "x"))
    estimator = frozenset({"some_package.models.Estimator"})
    known = {"arrays.pkl": frozenset[str](), "other.pkl": estimator}

    found = scanned(folder, pickles=known)

    assert found.refused == []
    assert [note.file for note in found.notes] == ["arrays.pkl", "other.pkl"]
    assert found.counts["pickles"] == 2


def test_a_declaration_holds_for_one_file_and_its_names_only(folder: pathlib.Path) -> None:
    known = {"other.pkl": frozenset({"some_package.models.Other"})}
    for name in ("model.pkl", "other.pkl"):
        content = samples.calling("some_package.models", "Estimator", "x")
        (folder / name).write_bytes(content)

    found = refusals(folder, pickles=known)

    assert any("model.pkl: pickle: is a pickle" in line for line in found)
    asked = "other.pkl: pickle: asks for some_package.models.Estimator"
    assert any(asked in line for line in found)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\x80\x04r\x00\x00\x00\x00.", "the stack is empty"),
        (b"\x80\x04K\x01r\xff\xff\xff\x7f.", "memo entry 2147483647 after"),
        (b"\x80\x04h\x05.", "memo entry 5 is not there"),
        (b"\x80\x04R.", "too little on the stack"),
        (b"\x80\x04t.", "a mark is missing"),
        (b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f", "cannot be followed"),
        (b"I" + b"9" * 5000 + b"\n.", "cannot be followed"),
        (b"\x80\x04N.\xff\xff", "bytes that are no pickle after pickle 1"),
        (b"", "cannot be followed"),
    ],
    ids=["no value", "memo", "no memo", "stack", "mark", "length", "number", "tail", "empty"],
)
def test_a_pickle_that_cannot_be_followed_is_refused(content: bytes, says: str) -> None:
    found = list(pickles.walk(io.BytesIO(content)).complaints())

    assert says in " ".join(found)


def test_walking_is_bounded_by_opcodes_and_by_depth() -> None:
    deep = samples.calling("os", "system", "x")
    for _ in range(8):
        deep = samples.nested(deep)

    assert "deeper or larger" in " ".join(pickles.walk(io.BytesIO(deep)).complaints())
    many = b"\x80\x04" + b"N0" * 1_500_000 + b"N."
    assert "opcodes" in " ".join(pickles.walk(io.BytesIO(many)).complaints())


def test_a_program_that_scans_every_sample_starts_no_other(tmp_path: pathlib.Path) -> None:
    canary = tmp_path / "canary"
    for index, content in enumerate(samples.pickles(canary).values()):
        (tmp_path / f"{index}.pkl").write_bytes(content)
    program = (
        "import os, pathlib, sys\n"
        "from components.release.scan_model.declared import Declared\n"
        "from components.release.scan_model.scan import scan\n"
        "seen = []\n"
        "watched = ('os.system', 'os.exec', 'subprocess.Popen', 'pickle.find_class', 'exec')\n"
        "scan(pathlib.Path(sys.argv[1]), Declared())\n"
        "sys.addaudithook(lambda event, args: seen.append(event) if event in watched else None)\n"
        "scan(pathlib.Path(sys.argv[1]), Declared())\n"
        "print(seen)\n"
    )

    ran = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )

    assert ran.stdout == "[]\n"
    assert not canary.exists()
