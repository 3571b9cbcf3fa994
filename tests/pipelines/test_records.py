"""What runs leave behind: whole, without secrets, found again by the first letters."""

import pathlib
import signal
import subprocess
import sys
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from kfp import dsl

from components.foundation.errors import InfrastructureError, Refused, UserError
from pipelines.laptop import seaweedfs, session
from pipelines.plain import plain, without_secrets
from pipelines.records import (
    Failure,
    JobRecord,
    Records,
    RunRecord,
    StageRecord,
    StepRecord,
    new_id,
)

RUN = RunRecord(
    run_id="flights-training-1",
    pipeline="training",
    started="2026-01-01T00:00:00+00:00",
    job="flights-1",
    title="flights: train",
    project="flights",
    code="abc",
    parameters={"until": "2013-07-01", "steps": [10, 50]},
    seconds=2.5,
    state="refused",
    error=Failure("the gate said no", "gate-closed"),
    steps=(StepRecord("curate", "Curate", 1.25, False, {"rows": 3.0}, {"table": "s3://a/b@1"}),),
)
JOB = JobRecord(
    "flights-1",
    "Flights",
    "2026-01-01T00:00:00+00:00",
    9.0,
    (StageRecord("Train", ("flights-training-1",), 2.5, False, {"answers": {"200": 5}}),),
)


@dataclass
class Step:
    name: str = "curate"
    title: str = "Curate"
    seconds: float = 1.0
    cached: bool = False
    outputs: dict[str, Any] = field(default_factory=dict)


@pytest.fixture
def records(tmp_path: pathlib.Path) -> Records:
    return Records(tmp_path / "runs")


def test_a_record_survives_json() -> None:
    assert RunRecord.from_json(RUN.to_json()) == RUN
    assert JobRecord.from_json(JOB.to_json()) == JOB


def test_records_are_listed_the_oldest_first(records: Records) -> None:
    later = replace(RUN, run_id="a-later-one", started="2026-01-02T00:00:00+00:00")
    for record in (later, RUN):
        records.runs.write(record)

    assert records.runs.list() == [RUN, later]
    assert records.runs.latest() == later
    assert sorted(path.name for path in (records.folder / "records").iterdir()) == [
        "a-later-one.json",
        "flights-training-1.json",
    ]


def test_a_job_or_a_run_is_found_by_how_its_id_begins(records: Records) -> None:
    records.runs.write(RUN)
    records.jobs.write(JOB)

    assert records.find("flights-t") == RUN
    assert records.find("flights-1") == JOB
    assert records.runs.find("f") == RUN


@pytest.mark.parametrize(
    ("prefix", "says", "code"),
    [
        ("flights-", "2 begin so: flights-1, flights-training-1", "run-ambiguous"),
        ("flihts-1", "did you mean 'flights-1'?", "run-unknown"),
    ],
)
def test_an_id_that_names_no_one_record_says_what_there_is(
    records: Records, prefix: str, says: str, code: str
) -> None:
    records.runs.write(RUN)
    records.jobs.write(JOB)

    with pytest.raises(UserError, match=r"begin so|mean") as caught:
        records.find(prefix)

    assert says in str(caught.value)
    assert caught.value.code == code


def test_an_id_is_whole_when_it_is_anothers_beginning_too(records: Records) -> None:
    longer = replace(RUN, run_id="flights-training-12")
    records.runs.write(RUN)
    records.runs.write(longer)

    assert records.runs.find("flights-training-1") == RUN


def test_where_nothing_ran_it_says_so(records: Records) -> None:
    with pytest.raises(UserError, match="`make run`"):
        records.find("x")
    with pytest.raises(UserError, match="no run yet"):
        records.runs.latest()


def test_a_file_that_is_no_record_is_named(records: Records) -> None:
    records.runs.write(RUN)
    path = records.folder / "records" / "flights-training-1.json"
    path.write_text(path.read_text()[:200])

    with pytest.raises(UserError, match=r"flights-training-1\.json: record"):
        records.runs.read("flights-training-1")


@pytest.mark.parametrize(
    ("error", "state", "failure"),
    [
        (Refused("no", code="gate-closed"), "refused", Failure("no", "gate-closed")),
        (InfrastructureError("down", code="x"), "failed", Failure("down", "x")),
        (KeyboardInterrupt(), "interrupted", Failure("interrupted")),
        (ZeroDivisionError("by 0"), "failed", Failure("ZeroDivisionError: by 0")),
    ],
    ids=["refused", "failed", "interrupted", "crashed"],
)
def test_a_run_is_recorded_however_it_ends(
    records: Records, error: BaseException, state: str, failure: Failure
) -> None:
    steps = [Step(outputs={"rows": 3})]

    with pytest.raises(type(error)), records.recording(RUN, steps):
        raise error

    found = records.runs.latest()
    assert (found.state, found.error) == (state, failure)
    assert found.steps == (StepRecord("curate", "Curate", 1.0, False, {}, {"rows": 3}),)


def test_a_run_that_ends_well_has_no_error(records: Records) -> None:
    with records.recording(RUN, []):
        pass

    assert (records.runs.latest().state, records.runs.latest().error) == ("succeeded", None)


_KILLED = """
import os, pathlib, signal, sys
from pipelines.records import Records, RunRecord, StepRecord

begun = RunRecord("r-1", "training", "2026-01-01T00:00:00Z", parameters={"token": "hunter2"})
steps = []
with Records(pathlib.Path(sys.argv[1])).recording(begun, steps) as keep:
    steps.append(StepRecord("curate", "Curate", 1.0, False, outputs={"rows": 3}))
    keep()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def killed(records: Records) -> Records:
    """What a run leaves that was killed after its first step."""
    root = pathlib.Path(__file__).parents[2]
    command = [sys.executable, "-c", _KILLED, str(records.folder)]
    ended = subprocess.run(command, cwd=root, check=False)
    assert ended.returncode == -signal.SIGKILL
    return records


def test_a_run_that_was_killed_is_recorded_as_interrupted_with_its_steps(killed: Records) -> None:
    assert killed.runs.ids() == []
    assert killed.begun.read("r-1").state == "running"

    killed.settle()

    found = killed.runs.latest()
    assert (found.run_id, found.state) == ("r-1", "interrupted")
    assert found.error == Failure("killed before it could say how it ended")
    assert [step.title for step in found.steps] == ["Curate"]
    assert found.parameters == {"token": "***"}
    assert killed.begun.ids() == []


def test_a_run_killed_after_its_record_was_written_keeps_it(killed: Records) -> None:
    killed.runs.write(replace(RUN, run_id="r-1"))

    killed.settle()

    assert killed.runs.read("r-1") == replace(RUN, run_id="r-1")
    assert killed.begun.ids() == []


def test_a_folder_tells_a_killed_run_from_one_that_is_under_way(killed: Records) -> None:
    state = killed.folder.parent
    with seaweedfs.alone(state):
        assert session.records(state).runs.ids() == []

    assert session.records(state).runs.latest().state == "interrupted"


def test_the_next_start_of_a_folder_records_what_was_killed(killed: Records) -> None:
    session.begin(killed.folder.parent, "code")

    assert killed.runs.latest().state == "interrupted"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"sql": "postgres://me:p%40ss@db:5432/a"}, {"sql": "postgres://me@db:5432/a"}),
        ({"sql": "postgres://me:p@ss@db/a?sslpassword=x"}, {"sql": "postgres://me@db/a"}),
        ({"url": "https://host/rows?sig=abc#x"}, {"url": "https://host/rows"}),
        ({"api_token": "abc", "password": ""}, {"api_token": "***", "password": ""}),
        ({"many": ["amqp://a:b@c"], "in": {"db": "x://a:b@c"}}, None),
        ({"where": "a >= TIMESTAMPTZ '2013-01-01 00:00:00+00' AND b = '?'"}, None),
        ({"ref": "s3://falaj-curated/flights@7", "n": 3}, None),
    ],
)
def test_no_secret_is_kept(given: dict[str, Any], kept: dict[str, Any] | None) -> None:
    expected = kept or given
    if "many" in given:
        expected = {"many": ["amqp://a@c"], "in": {"db": "x://a@c"}}

    assert without_secrets(given) == expected


def test_no_secret_is_in_the_file_nor_in_its_error(records: Records) -> None:
    begun = replace(RUN, parameters={"sql": "postgres://me:hunter2@db/a"})

    with pytest.raises(InfrastructureError), records.recording(begun, []):
        raise InfrastructureError("postgres://me:hunter2@db/a: is down", code="database-down")

    (file,) = (records.folder / "records").iterdir()
    assert "hunter2" not in file.read_text()
    assert "postgres://me@db/a" in file.read_text()


def test_what_a_step_gave_is_kept_as_json(tmp_path: pathlib.Path) -> None:
    artifact = dsl.Artifact(uri=str(tmp_path / "x"), metadata={"rows": 3, "auc": float("nan")})

    assert plain({"report": artifact, "n": (1, float("inf")), "p": pathlib.Path("a")}) == {
        "report": {"path": str(tmp_path / "x"), "rows": 3, "auc": None},
        "n": [1, None],
        "p": "a",
    }


def test_no_two_runs_have_one_id() -> None:
    assert len({new_id("a") for _ in range(50)}) > 45
