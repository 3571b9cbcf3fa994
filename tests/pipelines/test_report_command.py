"""`falaj report` makes a job's page again, and refuses what the audit log does not bear out."""

import json
import pathlib

import pytest

from components.foundation.audit import AuditLog
from components.foundation.verdict import Decision, Verdict
from pipelines.__main__ import main
from pipelines.laptop import session
from pipelines.records import JobRecord, Records, RunRecord, StageRecord, StepRecord

RUN, JOB = "mine-training-1", "mine-1"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """What a job with one verdict left behind; its store is stopped."""
    folder = tmp_path_factory.mktemp("state")
    verdict = Verdict("bless prices", Decision.ACCEPT, "better than the mean")
    with session.storing(folder) as laptop:
        AuditLog(laptop.store).append("verdict", verdict.subject, verdict.to_dict())
    step = StepRecord("bless", "Bless", 1.0, False, {}, {"verdict": verdict.to_dict()})
    records = Records(folder / "runs")
    records.runs.write(RunRecord(RUN, "training", "2026-01-01", JOB, "mine: train", steps=(step,)))
    stage = StageRecord("Train", (RUN,), 1.0)
    records.jobs.write(JobRecord(JOB, "Prices of houses", "2026-01-01", 1.0, (stage,)))
    return folder


def report(state: pathlib.Path, out: pathlib.Path, *words: str) -> int:
    return main(["report", *words, "--state", str(state), "--out", str(out)])


@pytest.mark.parametrize(
    ("words", "title"),
    [((), "Prices of houses"), ((JOB,), "Prices of houses"), (("mine-t",), "mine: train")],
    ids=["newest", "job", "run by how it begins"],
)
def test_makes_the_page_of_a_job_or_a_run_again(
    state: pathlib.Path, tmp_path: pathlib.Path, words: tuple[str, ...], title: str
) -> None:
    out = tmp_path / "out" / "report.html"

    assert report(state, out, *words) == 0

    page = out.read_text()
    assert f"<h1>{title}</h1>" in page
    assert "better than the mean" in page
    assert "1 verdict of this job was compared with the log" in page


def test_makes_the_same_page_every_time(state: pathlib.Path, tmp_path: pathlib.Path) -> None:
    first, second = tmp_path / "1.html", tmp_path / "2.html"

    assert [report(state, path) for path in (first, second)] == [0, 0]

    assert first.read_bytes() == second.read_bytes()


def test_refuses_a_record_whose_verdict_was_changed(
    state: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = state / "runs" / "records" / f"{RUN}.json"
    kept, out = record.read_text(), tmp_path / "report.html"
    record.write_text(kept.replace("better than the mean", "better than anything"))

    try:
        assert report(state, out) == 3
    finally:
        record.write_text(kept)

    assert "verdict 'bless prices'" in capsys.readouterr().err
    assert not out.exists()


def test_a_run_that_is_not_there_is_an_input_that_is_wrong(
    state: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(state, tmp_path / "report.html", "mien-1") == 2
    assert "did you mean 'mine-1'?" in capsys.readouterr().err


def test_the_story_lies_beside_the_page(state: pathlib.Path, tmp_path: pathlib.Path) -> None:
    assert report(state, tmp_path / "report.html") == 0

    story = json.loads((tmp_path / "report.json").read_text())
    assert [one["entry"] for one in story["verdicts"]] == [1]
