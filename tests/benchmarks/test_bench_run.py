"""The comparison refuses to compare what is not the same work, and adds up what it prints."""

import pytest

from pipelines.records import JobRecord, RunRecord, StageRecord, StepRecord
from tests.benchmarks import bench_run
from tests.benchmarks.by_hand import Taken

SPLIT = {"rows": {"train": 5, "validation": 3, "test": 2}}
FOUND = {"train": 5, "validation": 3, "test": 2, "scored 7": 9, "auc torch": 0.7}
FOUND |= {"auc tensorflow": 0.71}
COST = {"seconds": 1.0, "cpu_seconds": 2.0}


def run(seconds: float, **outputs: object) -> RunRecord:
    steps = (
        StepRecord(name.replace("_", "-"), name.title(), seconds, False, dict(COST), given)  # type: ignore[arg-type]
        for name, given in outputs.items()
    )
    return RunRecord("r", "p", "2026-01-01T00:00:00Z", seconds=seconds, steps=tuple(steps))


RUNS = {
    "Train with tensorflow": [run(8.0, split=SPLIT, evaluate={"summary": {"auc": 0.7}})],
    "Train with torch": [run(4.0, evaluate={"summary": {"auc": 0.7}})],
    "Score month 7": [run(3.0, score_batch={"rows": 9})],
    "Monitor month 8": [run(1.0, detect_drift={})],
    "Deploy": [run(2.0, deploy={})],
}


def test_the_same_rows_and_models_within_noise_pass() -> None:
    bench_run.check(RUNS, FOUND, months=7)


@pytest.mark.parametrize(
    ("name", "got"),
    [("test", 1), ("scored 7", 8), ("auc torch", 0.6)],
    ids=["rows", "month", "auc"],
)
def test_other_rows_or_another_model_are_refused(name: str, got: float) -> None:
    with pytest.raises(AssertionError, match=f"{name.removeprefix('auc ')}: .*by hand"):
        bench_run.check(RUNS, {**FOUND, name: got}, months=7)


def test_stages_are_added_up_and_those_without_a_counterpart_are_apart() -> None:
    stages = tuple(StageRecord(title, ("r",), seconds=2.5) for title in RUNS)
    taken = dict.fromkeys(bench_run._STAGES, Taken(2.0, 1.0))

    lines = bench_run.report(JobRecord("j", "t", "now", stages=stages), RUNS, taken)

    whole = next(line for line in lines if line.startswith("whole"))
    assert [float(word) for word in whole.split()[1:]] == [16.0, 8.0, 2.0, 10.0, 4.0, 2.5]
    assert "own share: 50% of the time, 60% of the steps' cpu time" in "\n".join(lines)
    assert "of the whole job, with what has no counterpart (18.5 s): 43%" in lines
    assert "Deploy                                   2.5" in lines
