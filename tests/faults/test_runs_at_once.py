"""Two runs of one whole pipeline at once, against one store: as if there had been one."""

import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence

import pytest

from components.foundation.audit import AuditLog
from components.foundation.sealing import channel, release
from components.foundation.storage import Address
from components.foundation.tables import TableRef
from pipelines.laptop import session
from pipelines.laptop.session import Session
from pipelines.skeleton.writing import Skeleton, write
from tests.faults import killed_state

pytestmark = pytest.mark.faults
ROOT = pathlib.Path(__file__).parents[2]
PROGRAM = pathlib.Path(__file__).with_name("whole_run.py")
LOST = re.compile(r"run the step again \[\w+-raced\]$")


@pytest.fixture
def project(tmp_path: pathlib.Path) -> pathlib.Path:
    write(Skeleton("demand"), tmp_path)
    command = [sys.executable, "-m", "demand.sample", "--until", "2024-11"]
    subprocess.run(command, cwd=tmp_path, check=True)
    return tmp_path / "demand"


@pytest.fixture
def laptop(tmp_path: pathlib.Path, project: pathlib.Path) -> Iterator[Session]:
    with session.running(tmp_path / "laptop") as running:
        for file in (project / "sample").iterdir():
            place = Address("falaj-raw", f"landing/demand/{file.name}")
            running.store.put(place, file.read_bytes())
        yield running


def _start(laptop: Session, project: pathlib.Path, name: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, PROGRAM, project, "training-torch", project.parent / name],
        env={**os.environ, **laptop.environment, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


def _ended(runs: Sequence["subprocess.Popen[str]"]) -> list[str]:
    """Wait for runs; return what each said, "done" or why it stopped with 75."""
    said = [run.communicate(timeout=200)[0].strip() for run in runs]
    assert {run.returncode for run in runs} <= {0, 75}, said
    return [words if run.returncode else "done" for run, words in zip(runs, said, strict=True)]


def _lines(project: pathlib.Path) -> int:
    """Count the sample's rows, which have a line each below a file's header."""
    files = (project / "sample").iterdir()
    return sum(len(file.read_text().splitlines()) - 1 for file in files)


@pytest.mark.timeout(500)
def test_two_runs_of_a_pipeline_at_once_leave_what_one_would(
    laptop: Session, project: pathlib.Path
) -> None:
    said = _ended([_start(laptop, project, name) for name in ("first", "second")])
    again = _ended([_start(laptop, project, "again")])

    print(*said, sep="\n")
    assert "done" in said
    assert all(words == "done" or LOST.search(words) for words in said), said
    assert again == ["done"]
    found = killed_state.tables(laptop)
    assert {laptop.tables.resolve(ref).version for ref in found} == {0}, "nothing was made twice"
    assert laptop.tables.rows(TableRef("falaj-raw", "readings")) == _lines(project)
    (sealed,) = release.releases(store=laptop.store)
    pointer = channel.current("demand", store=laptop.store, keys=laptop.keys, channel="candidate")
    assert pointer
    assert [move.uri for move in pointer.history] == [sealed]
    assert AuditLog(laptop.store).verify() > 0
    assert killed_state.broken(laptop)[1] == []
