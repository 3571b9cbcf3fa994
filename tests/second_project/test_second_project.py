"""A second project, of other data and another task, through the whole channel by commands alone.

`falaj new` makes the folder; `written/` holds the files that its user writes over it; the
commands below are all that is typed.
"""

import difflib
import json
import pathlib
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from components.foundation.sealing import channel
from components.foundation.tables import TableRef
from pipelines.laptop import session
from pipelines.laptop.session import Session
from tests.second_project import rents

WRITTEN = pathlib.Path(__file__).parent / "written"
LANDING = "s3://falaj-raw/landing/rents"
UNTIL = "until=2024-11-01T00:00:00Z"
TEST_MONTHS = ["2024-09", "2024-10"]  # the model is judged on these


@dataclass(frozen=True)
class Desk:
    """A folder that a user works in, and what came out there."""

    folder: pathlib.Path

    def falaj(self, *words: str, code: int = 0) -> str:
        """Type a command; return what it said."""
        command = [str(pathlib.Path(sys.executable).with_name("falaj")), *words]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True)
        assert done.returncode == code, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
        print(done.stdout)
        return done.stdout + done.stderr

    def run(self, pipeline: str, *values: str, more: tuple[str, ...] = (), code: int = 0) -> str:
        sets = [word for value in values for word in ("--set", value)]
        return self.falaj("run", pipeline, "--project", "rents", *sets, *more, code=code)

    def bring(self, *, until: str, known_until: str) -> None:
        rents.write(self.folder / "files", until=until, known_until=known_until)
        self.falaj("put", "files", LANDING)

    def verdicts(self, subject: str) -> list[dict[str, Any]]:
        """Read from the audit log what was judged of a subject, in order."""
        with session.storing(self.folder / "out/laptop") as laptop:
            return [body for kind, name, body in _audited(laptop) if name.startswith(subject)]

    def lines_written(self) -> int:
        """Count the lines that differ from the skeleton, and print them by file."""
        total = 0
        for path in sorted(p for p in WRITTEN.rglob("*") if p.is_file()):
            name = path.relative_to(WRITTEN)
            before = self.folder / "skeleton" / name
            old = before.read_text().splitlines() if before.exists() else []
            new = path.read_text().splitlines()
            added = sum(line.startswith("+ ") for line in difflib.ndiff(old, new))
            print(f"{added:>4} of {len(new):>3} lines written in {name}")
            total += added
        return total


def _audited(laptop: Session) -> list[tuple[str, str, dict[str, Any]]]:
    from components.foundation.audit import AuditLog

    return [(e.kind, e.subject, dict(e.body)) for e in AuditLog(laptop.store).entries()]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A skeleton with the user's files over it, and files brought to the store."""
    desk = Desk(tmp_path_factory.mktemp("desk"))
    desk.falaj("new", "rents", "--task", "regression")
    shutil.copytree(desk.folder / "rents", desk.folder / "skeleton")
    for name in ("sample.py", "contracts/readings.yaml"):
        (desk.folder / "rents" / name).unlink()
    for path in (desk.folder / "rents/sql").iterdir():
        path.unlink()
    shutil.copytree(WRITTEN, desk.folder / "rents", dirs_exist_ok=True)
    return desk


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_second_project_runs_the_whole_channel(desk: Desk) -> None:
    desk.bring(until="2024-12", known_until="2024-11")

    _a_plain_model_becomes_champion(desk)
    _a_better_one_is_blessed_by_its_errors_and_promoted_under_traffic(desk)
    _a_month_that_drifted_is_noticed(desk)
    _nothing_is_left_of_the_worked_example(desk)

    written = desk.lines_written()
    print(f"a user writes {written} lines")
    assert written < 250


def _a_plain_model_becomes_champion(desk: Desk) -> None:
    desk.run("training-torch", "epochs=1", UNTIL)
    desk.run("deployment")

    (blessed,) = desk.verdicts("bless rents")
    assert blessed["decision"] == "accept"
    assert blessed["reason"].startswith("better than the mean: mean absolute error -")


def _a_better_one_is_blessed_by_its_errors_and_promoted_under_traffic(desk: Desk) -> None:
    desk.run("training-torch", UNTIL)
    since = "listed >= TIMESTAMPTZ '2024-11-01 00:00:00+00'"
    desk.run("batch-inference", f"where={since}")
    quick = ("min_requests=100", "interval_s=0.5", "bake_s=1.0", "max_seconds=120.0")
    said = desk.run("deployment", *quick, more=("--traffic", "s3://falaj-features/rents/scoring"))

    assert "clients saw" in said
    assert " x 200" in said
    _, blessed = desk.verdicts("bless rents")
    best = rents.ceiling(TEST_MONTHS)
    found = blessed["evidence"]["challenger"]
    assert best - 0.05 < found["r2"] < best + 0.02, "it knows what can be known, and no more"
    assert rents.NOISE * 0.9 < found["rmse"] < rents.NOISE * 1.35
    assert abs(found["bias"]) < rents.NOISE / 3
    assert blessed["evidence"]["difference"]["mae"]["high"] < 0
    assert blessed["evidence"]["decides"] == "mae"


def _a_month_that_drifted_is_noticed(desk: Desk) -> None:
    desk.bring(until="2025-01", known_until="2025-01")
    since = "listed >= TIMESTAMPTZ '2024-11-01 00:00:00+00'"
    desk.run("batch-inference", f"where={since}")
    quiet, loud = ("since=2024-11-01", "until=2024-12-01"), ("since=2024-12-01", "until=2025-01-01")
    desk.run("monitoring", *quiet, "max_rmse=15000.0")
    desk.run("monitoring", *loud, "max_rmse=15000.0")

    before, after = desk.verdicts("drift rents")
    moved, moved_later = (set(one["evidence"]["drifted"]) for one in (before, after))
    assert moved <= {"district_rent"}, "what districts let for lately moves in any month"
    assert after["decision"] == "drift"
    assert {"score", "area"} <= moved_later
    first, second = desk.verdicts("performance observations/rents")
    assert first["decision"] == "stable", first["reason"]
    assert second["decision"] == "drift"
    assert "realised RMSE is above 15000 in 1 of 2 windows; worst: 2024-12" in second["reason"]


def _nothing_is_left_of_the_worked_example(desk: Desk) -> None:
    from tests.second_project.test_words import WORDS

    desk.falaj("compile", "--project", "rents", "--out", "build")
    compiled = sorted((desk.folder / "build/pipelines").glob("*.yaml"))
    assert [path.stem for path in compiled] == [
        "batch-inference",
        "collection",
        "deployment",
        "monitoring",
        "training-torch",
    ]
    with session.storing(desk.folder / "out/laptop") as laptop:
        pointer = channel.current("rents", store=laptop.store, keys=laptop.keys)
        homes = laptop.tables.read(TableRef("falaj-curated", "homes"))
    assert pointer is not None
    assert pointer.uri.startswith("sealed+s3://falaj-models/rents/")
    assert homes.num_rows > 10_000
    for path in desk.folder.rglob("out/laptop/runs/*.json"):
        assert not WORDS.search(json.dumps(json.loads(path.read_text()))), path
