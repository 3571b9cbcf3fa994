"""`falaj runs` and `falaj explain`: what ran here, and why it was decided so."""

import pathlib

import pytest

from components.foundation.audit import Entry
from components.foundation.verdict import Decision, Verdict
from pipelines.__main__ import main
from pipelines.commands import explain
from pipelines.laptop import seaweedfs
from pipelines.records import RUNNING, Failure, Records, RunRecord, StepRecord


@pytest.fixture
def state(tmp_path: pathlib.Path) -> pathlib.Path:
    records = Records(tmp_path / "runs")
    step = StepRecord("v", "Validate", 1.5, False, {"peak_bytes": 2e8}, {"verdict": JUDGED})
    records.runs.write(RunRecord("r-1", "training", "2026-01-01T00:00:00Z", steps=(step,)))
    failure = Failure("no", "gate-refused")
    late = RunRecord("r-2", "deployment", "2026-01-02T00:00:00Z", state="refused", error=failure)
    records.runs.write(late)
    return tmp_path


VERDICT = Verdict("contract flights", Decision.REFUSE, "no", {"x": 1}, time="2026-01-01T00:00:00Z")
JUDGED = VERDICT.to_dict()
ENTRIES = [
    Entry(1, "t", "verdict", "contract flights", {**JUDGED, "reason": "an earlier one"}, ""),
    Entry(2, "t", "verdict", "contract flights", JUDGED, ""),
    Entry(3, "t", "verdict", "drift delays", {**JUDGED, "subject": "drift delays"}, ""),
]


def test_runs_are_a_table_with_the_newest_last(
    state: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", "--state", str(state)]) == 0

    head, first, last = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["started", "(UTC)", "pipeline"]
    assert first.split() == [
        *("2026-01-01", "00:00:00", "training", "succeeded", "1+0", "0.0", "200", "r-1")
    ]
    assert "gate-refused" in last


def test_a_run_that_was_killed_is_listed_as_interrupted(
    state: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    late = RunRecord("r-3", "deployment", "2026-01-03T00:00:00Z", state=RUNNING)
    Records(state / "runs").begun.write(late)

    with seaweedfs.alone(state):
        main(["runs", "--last", "1", "--state", str(state)])
    main(["runs", "--last", "1", "--state", str(state)])

    _, under_way, _, killed = capsys.readouterr().out.splitlines()
    assert under_way.split()[3] == "running"
    assert killed.split()[3] == "interrupted"


def test_runs_for_machines_are_whole_records(
    state: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", "--last", "1", "--log", "json", "--state", str(state)]) == 0

    (line,) = capsys.readouterr().out.splitlines()
    assert RunRecord.from_json(line) == Records(state / "runs").runs.read("r-2")


def test_no_runs_yet_is_no_error(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", "--state", str(tmp_path)]) == 0
    assert "nothing has run here yet" in capsys.readouterr().out


def test_a_subject_finds_its_newest_verdict() -> None:
    assert explain.find("contract flights", ENTRIES).number == 2


def test_the_start_of_a_digest_finds_its_verdict() -> None:
    digest = str(VERDICT.digest())

    assert explain.find(digest[:15], ENTRIES).number == 2
    assert explain.find(digest.removeprefix("sha256:")[:6], ENTRIES).number == 2


def test_an_unknown_verdict_is_answered_with_the_nearest(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from components.foundation.errors import UserError

    with pytest.raises(UserError, match="did you mean 'contract flights'"):
        explain.find("contract flihgts", ENTRIES)


def test_explain_names_the_run_and_the_step(state: pathlib.Path) -> None:
    told = list(explain._told(ENTRIES[1], Records(state / "runs")))

    assert told[0] == "contract flights: refuse (no gate lets it through)"
    assert "  run       r-1, step Validate" in told
    assert "  entry     2 of the audit log" in told
