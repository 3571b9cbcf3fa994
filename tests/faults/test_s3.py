"""Every component under every fault of the object store, in passing and lasting.

The tests of the components are run again, each call of a face through a proxy that breaks
requests; `s3_through` says how. The table of outcomes is printed at the end.
"""

import collections
import json
import os
import pathlib
import subprocess
import sys
from dataclasses import dataclass

import pytest

from tests.faults.proxy import Fault

ROOT = pathlib.Path(__file__).parents[2]
_TESTS = "tests/components"
STAGES = {
    "ingestion": ["ingestion"],
    "preparation": ["preparation"],
    "features": ["features"],
    "training": ["training"],
    "evaluation": ["evaluation", "monitoring"],
    "release": ["release", "governance"],
    "deployment": ["deployment"],
}
pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]


@dataclass(frozen=True)
class Stage:
    """What the tests of a stage came to."""

    name: str
    code: int
    said: str
    outcomes: list[dict[str, str]]


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Stage]:
    """Run all stages at once: most of their time is waiting."""
    folder = tmp_path_factory.mktemp("outcomes")
    begun = {name: _begin(name, folder) for name in STAGES}
    return {name: _ended(name, process, folder) for name, process in begun.items()}


def _begin(stage: str, folder: pathlib.Path) -> "subprocess.Popen[str]":
    places = [f"{_TESTS}/{name}" for name in STAGES[stage]]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.faults.s3_through"]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "FALAJ_OUTCOMES": str(folder / f"{stage}.jsonl"),
    }
    return subprocess.Popen(
        [*command, "-m", "not slow and not faults", f"--basetemp={folder / stage}", *places],
        cwd=ROOT,
        env=environment,
        stdout=(folder / f"{stage}.log").open("w"),
        stderr=subprocess.STDOUT,
        text=True,
    )


def _ended(name: str, process: "subprocess.Popen[str]", folder: pathlib.Path) -> Stage:
    code = process.wait()
    noted = folder / f"{name}.jsonl"
    lines = noted.read_text().splitlines() if noted.exists() else []
    return Stage(name, code, (folder / f"{name}.log").read_text(), [*map(json.loads, lines)])


@pytest.mark.parametrize("stage", STAGES)
def test_the_tests_of_a_stage_hold_although_requests_fail(
    stages: dict[str, Stage], stage: str
) -> None:
    assert stages[stage].code == 0, stages[stage].said[-3000:]


@pytest.mark.parametrize("stage", STAGES)
def test_what_lasts_ends_clearly_and_what_passes_is_no_matter(
    stages: dict[str, Stage], stage: str
) -> None:
    wrong = [
        outcome
        for outcome in stages[stage].outcomes
        if outcome["outcome"] not in {"exit 75", "went on"}
        or (outcome["strength"], outcome["outcome"]) == ("passing", "exit 75")
    ]

    assert wrong == []


def test_every_component_met_faults_of_both_strengths(stages: dict[str, Stage]) -> None:
    met = collections.defaultdict(set)
    for stage in stages.values():
        for outcome in stage.outcomes:
            met[outcome["component"]].add((outcome["strength"], outcome["fault"]))
    faces = {path.parent.name for path in (ROOT / "components").glob("*/*/component.py")}

    assert faces - _WITHOUT_DATA <= set(met)
    assert [name for name, pairs in met.items() if len(pairs) < len(Fault)] == []


_WITHOUT_DATA: set[str] = set()
