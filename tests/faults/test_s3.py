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
STAGES = (
    "ingestion",
    "preparation",
    "features",
    "training",
    "evaluation",
    "monitoring",
    "release",
    "governance",
    "deployment",
)
# The tests that call faces; those of cores would only take time.
CALLING_FACES = (
    "face",
    "Face",
    "applying_twice",
    "what_is_loaded_is",
    "rows_out_are_rows_in",
    "writes_a_model_folder",
    "a_sound_folder_is_accepted",
    "a_killed_step_goes_on",
    "writes_a_saved_model",
    "goes_on_from_a_checkpoint",
    "a_release_holds",
    "a_channel_points",
    "opens_the_profile",
    "the_exported_model",
    "a_sound_candidate",
    "every_row_is_scored",
    "newer_rows",
    "writes_report_evaluation",
    "a_sealed_champion",
    "lets_a_run_pass",
    "a_healthy_release",
)
WITH_PODS = {"deploy", "roll_out"}  # what lasts for them is in test_serving.py
LASTING = {Fault.REFUSED, Fault.ERROR, Fault.SLOW_DOWN, Fault.STALL, Fault.CUT_ANSWER}
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


@pytest.fixture(scope="module", autouse=True)
def table(stages: dict[str, Stage], request: pytest.FixtureRequest) -> None:
    """Print fault x strength x component, with how many requests were hit."""
    hits: dict[tuple[str, str], int] = collections.Counter()
    ends: dict[tuple[str, str], set[str]] = collections.defaultdict(set)
    for stage in stages.values():
        for one in stage.outcomes:
            row = (f"{one['component']} {one['strength']}", one["fault"])
            hits[row] += int(one["hits"])
            ends[row].add(one["outcome"])
    lines = [" ".join([f"{'hits, outcome':<30}", *(f"{fault:<15}" for fault in Fault)])]
    for name in sorted({name for name, _ in hits}):
        cells = (
            f"{hits[name, fault]} {','.join(sorted(ends[name, fault]))}"[:15]
            if (name, fault) in hits
            else "-"
            for fault in Fault
        )
        lines.append(" ".join([f"{name:<30}", *(f"{cell:<15}" for cell in cells)]))
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print("\n" + "\n".join(lines), file=sys.stderr, flush=True)  # a worker has no other


def _begin(stage: str, folder: pathlib.Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.faults.s3_through"]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "FALAJ_OUTCOMES": str(folder / f"{stage}.jsonl"),
        "FALAJ_FAULTY": stage,
    }
    return subprocess.Popen(
        [
            *command,
            "-k",
            " or ".join(CALLING_FACES),
            f"--basetemp={folder / stage}",
            f"{_TESTS}/{stage}",
        ],
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

    assert faces <= set(met)
    for name, pairs in met.items():
        assert "passing" in {strength for strength, _ in pairs}, name
        assert (
            name in WITH_PODS
            or {fault for strength, fault in pairs if strength == "lasting"} >= LASTING
        ), name
