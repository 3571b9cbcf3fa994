"""A job's story is what its records say, as far as the evidence bears it out."""

import dataclasses
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

from components.foundation import digests
from components.foundation.audit import Entry
from components.foundation.cost import Cost
from components.foundation.errors import FalajError, InfrastructureError, Refused
from components.foundation.verdict import Decision, Verdict
from components.governance.report.story import Effect, Quarantined, Story
from pipelines import story
from pipelines.proof import Proof, Sealed
from pipelines.records import Failure, JobRecord, RunRecord, StageRecord, StepRecord

FIRST, BETTER, FAULTY, TAMPERED = (f"sealed+s3://falaj-models/delays/{c * 12}" for c in "abcd")


def verdict(decision: str, subject: str = "delays", **evidence: Any) -> dict[str, Any]:
    return Verdict(subject, Decision(decision), "because", evidence).to_dict()


def artifact(path: pathlib.Path, content: Any) -> dict[str, Any]:
    """An artifact as a step leaves and describes it."""
    path.write_text(json.dumps(content))
    return {"path": str(path), "digest": str(digests.of_file(path))}


@dataclasses.dataclass
class Job:
    """A job as its records tell it, run by run, with every verdict in the audit log."""

    stages: list[StageRecord] = dataclasses.field(default_factory=list)
    runs: list[RunRecord] = dataclasses.field(default_factory=list)
    sealed: dict[str, Sealed] = dataclasses.field(default_factory=dict)
    sources: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)

    def add(
        self,
        title: str,
        outputs: dict[str, Any],
        pipeline: str = "training-torch",
        *,
        cached: bool = False,
        skipped: bool = False,
        facts: dict[str, Any] | None = None,
        **about: Any,
    ) -> "Job":
        id = f"run-{len(self.runs)}"
        steps = tuple(
            StepRecord(name, name.capitalize(), 2.5, cached, {}, given)
            for name, given in outputs.items()
        )
        self.runs.append(RunRecord(id, pipeline, "2026", steps=steps, project="mine", **about))
        self.stages.append(StageRecord(title, (id,), 5.0, skipped, facts or {}))
        return self

    def deployed(self, title: str, release: str, decision: str, **facts: Any) -> "Job":
        outputs = {
            "deploy": {"release": release, "verdict": verdict("accept", f"deploy {release}")},
            "roll-out": {"verdict": verdict(decision, f"rollout {release}")},
        }
        if decision == "refuse":
            outputs = {"deploy": {"release": release, "verdict": verdict("refuse")}}
        return self.add(title, outputs, "deployment", facts=facts)

    def monitored(
        self, drift: dict[str, Any], *windows: dict[str, Any], **parameters: str
    ) -> "Job":
        outputs = {
            "detect-drift": {"verdict": drift},
            "measure-performance": {
                "metrics": {"windows": list(windows)},
                "verdict": verdict("stable", f"performance {len(self.runs)}"),
            },
        }
        return self.add("Monitor", outputs, "monitoring", parameters=parameters)

    def entries(self) -> Iterator[Entry]:
        bodies = {
            json.dumps(given["verdict"]): given["verdict"]
            for run in self.runs
            for given in run.outputs.values()
            if "verdict" in given
        }
        for number, body in enumerate(bodies.values(), 1):
            yield Entry(number, body["time"], "verdict", body["subject"], body, "")

    def proof(self) -> Proof:
        return Proof(tuple(self.entries()), self.sources, self.sealed)

    def tell(self) -> Story:
        job = JobRecord("mine-1", "Mine", "2026-01-02T11:58:30+00:00", 90.0, tuple(self.stages))
        return story.tell(job, self.runs, self.proof())


def test_a_job_of_nothing_is_a_story_too() -> None:
    told = Job().tell()

    assert Story.from_json(told.to_json()) == told
    assert (told.stages, told.blessing, told.releases, told.seconds) == ((), None, (), 90.0)


def test_a_step_that_writes_rows_makes_a_version_of_a_table() -> None:
    job = Job(sources={"s3://falaj-curated/b@2": ("s3://falaj-raw/a@1",)}).add(
        "Train",
        {
            "ingest": {"rows": 3, "total": 10, "table": "s3://falaj-raw/a@1", "torn": 2},
            "curate": {
                "rows_in": 10,
                "rows_out": 7,
                "table": "s3://falaj-curated/b@2",
                "quarantined": {"a: key": 2.0, "a: x": 1.0},
            },
            "split": {
                "train": "s3://falaj-features/t@0",
                "test": "s3://falaj-features/e@0",
                "rows": {"train": 5.0, "test": 2.0},
            },
            "evaluate-2": {"scored": "s3://falaj-features/s@0", "summary": {"rows": 2.0}},
            "register": {"Output": "s3://falaj-models/delays/channel/champion@2"},
        },
    )

    tables = job.tell().tables
    assert [(t.ref.rpartition("/")[2], t.rows, t.kept_back, t.sources) for t in tables] == [
        ("a@1", 10, 2, ()),
        ("b@2", 7, 3, ("s3://falaj-raw/a@1",)),
        ("t@0", 5, 0, ()),
        ("e@0", 2, 0, ()),
        ("s@0", 2, 0, ()),
    ]


def test_what_was_not_done_again_is_told_as_such() -> None:
    skipped, again = (
        Job().add("A", {"x": {}}, skipped=True).add("B", {"x": {}}, cached=True).tell().stages
    )

    assert (skipped.skipped, again.skipped) == (True, False)
    assert [step.cached for step in (*skipped.steps, *again.steps)] == [False, True]


def test_a_step_is_told_with_its_cost_as_far_as_it_was_measured() -> None:
    paid = Cost(1.5, 0.5, 2**20, 3, 4, 5, 6)
    job = Job().add("A", {"x": {}, "y": {}})
    measured, unknown = job.runs[0].steps
    read = {name: float(value) for name, value in paid.to_dict().items()}  # as JSON is read
    steps = (dataclasses.replace(measured, cost=read), unknown)
    job.runs[0] = dataclasses.replace(job.runs[0], steps=steps)

    told = job.tell()

    costs = [step.cost for step in told.stages[0].steps]
    assert list(map(repr, costs)) == [repr(paid), "None"], "counts are whole numbers again"
    assert Story.from_json(told.to_json()) == told


def test_of_quarantine_counted_twice_the_newer_count_is_told() -> None:
    earlier = {"quarantined": {"flights: key id": 21.0}, "table": "s3://c/flights@0"}
    later = {"quarantined": {"flights: key id": 24.0}, "table": "s3://c/flights@1"}
    torn = {"torn": 5, "rows": 1, "total": 1, "table": "s3://falaj-raw/planes@0"}

    told = Job().add("7", {"curate": earlier, "i": torn}).add("8", {"curate": later}).tell()

    assert told.quarantine == (
        Quarantined("flights", "key id", 24, "s3://c/flights@1"),
        Quarantined("planes", "torn line", 5, "s3://falaj-raw/planes@0"),
    )


def test_every_verdict_is_told_once_with_its_entry_where_it_was_first_given() -> None:
    one, two = verdict("accept", "one"), verdict("drift", "two")

    told = (
        Job()
        .add("A", {"x": {"verdict": one}})
        .add("B", {"x": {"verdict": one}, "z": {"verdict": two}})
        .tell()
    )

    assert [(j.entry, j.verdict.subject, j.stage) for j in told.verdicts] == [
        (1, "one", "A"),
        (2, "two", "B"),
    ]
    assert told.audit
    assert (told.audit.entries, told.audit.checked) == (2, 2)


@pytest.mark.parametrize(
    "change",
    [
        {"reason": "nicer"},
        {"decision": "accept"},
        {"evidence": {"auc": 0.9}},
        {"measured": {"ms": 1}},
    ],
)
def test_a_verdict_that_is_not_the_audit_logs_is_refused_by_name(change: dict[str, Any]) -> None:
    job = Job().add("A", {"x": {"verdict": verdict("refuse", "bless delays")}})
    proof, (given,) = job.proof(), job.runs[0].outputs.values()
    given["verdict"] = {**given["verdict"], **change}

    with pytest.raises(Refused, match=r"'bless delays'.*entry 1 of the audit log holds") as caught:
        story.tell(JobRecord("m", "M", "2026", 1.0, tuple(job.stages)), job.runs, proof)

    assert caught.value.code == "verdict-unproven"


def test_a_verdict_that_the_audit_log_lacks_is_refused_by_name() -> None:
    job = Job().add("A", {"x": {"verdict": verdict("accept", "bless delays")}})

    with pytest.raises(Refused, match=r"'bless delays'.*the audit log has none"):
        story.tell(JobRecord("m", "M", "2026", 1.0, tuple(job.stages)), job.runs, Proof())


def test_numbers_that_kfp_made_floats_are_the_same_verdict() -> None:
    job = Job().add("A", {"x": {"verdict": verdict("accept", rows=3)}})
    proof, (given,) = job.proof(), job.runs[0].outputs.values()
    given["verdict"] = {**given["verdict"], "evidence": {"rows": 3.0}}

    told = story.tell(JobRecord("m", "M", "2026", 1.0, tuple(job.stages)), job.runs, proof)

    assert told.verdicts[0].entry == 1


def test_the_last_blessing_is_the_one_that_counts() -> None:
    first, last = verdict("accept", "first"), verdict("refuse", "last")

    told = (
        Job().add("A", {"bless": {"verdict": first}}).add("B", {"bless": {"verdict": last}}).tell()
    )

    assert told.blessing == Verdict.from_dict(last)
    assert [judged.verdict.subject for judged in told.blessings] == ["first", "last"]


@pytest.mark.parametrize("names", [("auc", "log_loss"), ("rmse", "mae", "r2")], ids=str)
def test_measures_are_called_what_evaluation_called_them(
    names: tuple[str, ...], tmp_path: pathlib.Path
) -> None:
    interval = {"estimate": 0.7, "low": 0.6, "high": 0.8}
    found = {
        "table": "s3://falaj-features/test@0",
        "metrics": {"rows": 50.0},
        "intervals": dict.fromkeys(names, interval),
        "slices": [
            {"slice": "at=JFK", names[0]: 0.71, "rows": 20},
            {"slice": "at=LGA", names[0]: None, "rows": 2},
        ],
    }
    outputs = {
        "evaluate": {"evaluation": artifact(tmp_path / "evaluation", found)},
        "bless": {"verdict": verdict("accept")},
    }

    told = Job().add("Train", outputs).tell()

    assert [(m.metric, m.slice, m.value, m.low, m.rows, m.entry) for m in told.evaluations] == [
        *((name, "all", 0.7, 0.6, 50, 1) for name in names),
        (names[0], "at=JFK", 0.71, None, 20, 1),
    ]
    assert {(m.model, m.table) for m in told.evaluations} == {
        ("torch", "s3://falaj-features/test@0")
    }


@pytest.mark.parametrize(
    ("spoil", "error", "says"),
    [
        (lambda path: path.write_text('{"metrics": 1}'), Refused, "it was changed"),
        (lambda path: path.unlink(), InfrastructureError, "is gone"),
    ],
    ids=["changed", "gone"],
)
def test_an_artifact_that_is_not_what_its_step_wrote_is_refused(
    spoil: Any, error: type[FalajError], says: str, tmp_path: pathlib.Path
) -> None:
    given = artifact(tmp_path / "evaluation", {"metrics": {}})
    spoil(tmp_path / "evaluation")

    with pytest.raises(error, match=says):
        Job().add("Train", {"evaluate": {"evaluation": given}}).tell()


def test_a_curve_has_a_value_of_every_series_for_each_epoch() -> None:
    epochs = [
        {"epoch": 1.0, "training loss": 0.6, "validation loss": 0.5, "best": False},
        {"epoch": 2.0, "training loss": 0.5, "validation loss": None, "best": True},
    ]

    (curve,) = Job().add("Train", {"train-torch": {"curve": {"epochs": epochs}}}).tell().curves

    assert (curve.model, curve.epochs, curve.best) == ("torch", (1, 2), 2)
    assert curve.series == {"training loss": (0.6, 0.5), "validation loss": (0.5, None)}


def test_a_rollout_has_its_verdict_its_clients_and_shares_of_errors_over_time(
    tmp_path: pathlib.Path,
) -> None:
    moment = {"seconds": 0.5, "requests": 100, "weight": 10, "e_value": 2.0}
    arms = {"champion_requests": 90, "champion_errors": 0}
    arms |= {"candidate_requests": 10, "candidate_errors": 2}
    nobody = {**moment, **dict.fromkeys(arms, 0)}
    seen = {"answers": {"200": 98, "500": 2}, "after_decision": {"200": 9.0}}
    seen |= {"latency_ms": {"median": 1.5, "p99": 4}}
    job = Job().deployed("Roll out a faulty candidate", FAULTY, "roll back", **seen)
    history = artifact(tmp_path / "history", [nobody, {**moment, **arms}])
    job.runs[0].outputs["roll-out"]["history"] = history

    (told,) = job.tell().rollouts

    assert (told.name, told.verdict.decision, told.release) == (
        "a faulty candidate",
        "roll back",
        FAULTY,
    )
    assert [(p.champion_errors, p.candidate_errors) for p in told.points] == [
        (None, None),
        (0.0, 0.2),
    ]
    assert [(p.requests, p.weight, p.e_value) for p in told.points] == [(100, 10, 2.0)] * 2
    assert (told.answers, told.after) == ({"200": 98, "500": 2}, {"200": 9})
    assert told.latency_ms == {"median": 1.5, "p99": 4.0}


def test_a_rollout_that_never_began_has_the_deployments_verdict() -> None:
    (told,) = Job().deployed("Roll out a tampered candidate", TAMPERED, "refuse").tell().rollouts

    assert (told.verdict.decision, told.points) == ("refuse", ())


def finding(column: str, effect: float, *, drifted: bool = True) -> dict[str, Any]:
    return {"column": column, "effect": effect, "drifted": drifted}


def test_a_window_tells_what_drifted_once_and_the_farthest_first() -> None:
    findings = [
        finding("temp", 0.2),
        finding("score", 0.4),
        finding("temp", 0.9),
        finding("wind", 0.7, drifted=False),
    ]
    drift = verdict("drift", findings=findings)

    (window,) = Job().monitored(drift, since="2013-08-01", until="2013-09-01").tell().windows

    assert (window.name, window.decision, window.drift_entry) == ("2013-08", "drift", 1)
    assert window.drifted == (Effect("temp", 0.9), Effect("score", 0.4))


def test_labels_that_came_later_are_told_of_the_window_they_are_about() -> None:
    late = {"auc": 0.7, "auc_low": 0.6, "auc_high": 0.8, "labelled": 90, "coverage": 0.9}
    empty = {"labelled": 0, "coverage": 0.0, "auc": 0.5, "auc_low": None, "auc_high": None}
    told = (
        Job()
        .monitored(
            verdict("drift", "a"),
            {"window": "2013-08", **empty},
            since="2013-08-01",
            until="2013-09-01",
        )
        .monitored(
            verdict("stable", "b"),
            {"window": "2013-08", **late},
            {"window": "2013-09", **empty},
            since="2013-09-01",
            until="2013-10-01",
        )
        .tell()
    )

    august, september = told.windows

    assert (august.metric, august.value, august.low, august.coverage) == ("auc", 0.7, 0.6, 0.9)
    assert august.performance_entry == 4, "of the verdict that knew the labels"
    assert (september.metric, september.value, september.coverage) == ("", None, 0.0)


def test_the_live_endpoint_is_a_window_too_and_comes_last() -> None:
    measured = {"window": "2026-11", "rmse": 1.5, "rmse_low": 1.0, "rmse_high": 2.0, "labelled": 5}
    seen = "s3://falaj-curated/live/delays@latest"
    told = (
        Job()
        .monitored(verdict("drift", "live"), measured, observations=seen)
        .monitored(verdict("stable", "b"), since="2013-08-01", until="2013-08-08")
        .tell()
    )

    week, live = told.windows

    assert (week.name, week.dated) == ("2013-08-01 to 2013-08-08", True)
    assert (live.name, live.dated, live.metric, live.value) == ("live/delays", False, "rmse", 1.5)


def test_releases_are_told_with_what_became_of_them() -> None:
    job = Job().add("Train", {"seal": {"Output": BETTER}})
    job.deployed("Deploy the first champion", FIRST, "stable")
    job.deployed("Roll out a better candidate", BETTER, "promote")
    job.deployed("Roll out a faulty candidate", FAULTY, "roll back")
    job.deployed("Roll out a tampered candidate", TAMPERED, "refuse")
    job.add("Train again", {"seal": {"Output": "sealed+s3://falaj-models/delays/eeeeeeeeeeee"}})

    told = job.tell()

    assert [(r.uri[-1], r.fate) for r in told.releases] == [
        ("b", "champion"),
        ("a", "champion until replaced"),
        ("c", "rolled back"),
        ("d", "never started"),
        ("e", "sealed, not deployed"),
    ]
    assert told.champion == told.releases[0]
    assert told.releases[0].made_by == "run-0"
    assert [rollout.release for rollout in told.rollouts] == [BETTER, FAULTY, TAMPERED]


def test_a_rollout_that_did_not_end_is_told_as_undecided() -> None:
    told = Job().deployed("Roll out a better candidate", BETTER, "inconclusive").tell()

    assert [r.fate for r in told.releases] == ["undecided (inconclusive)"]


def test_a_run_that_ended_its_job_is_told_with_its_error() -> None:
    job = Job().add("Set up", {})
    error = Failure("ingest: the database is down", "database-down")
    broken = RunRecord(
        "x", "training", "2026", job="mine-1", title="mine: train", state="failed", error=error
    )
    other = dataclasses.replace(broken, run_id="y", job="another")
    job.runs += [broken, other]

    first, last = job.tell().stages

    assert (first.state, first.error) == ("succeeded", "")
    assert (last.title, last.state, last.error) == (
        "mine: train",
        "failed",
        "ingest: the database is down",
    )


def test_a_run_by_itself_is_a_job_of_one_stage() -> None:
    run = RunRecord("r-1", "training", "2026", title="mine: train", seconds=3.0)

    assert story.job_of([run]) == JobRecord(
        "r-1", "mine: train", "2026", 3.0, (StageRecord("mine: train", ("r-1",), 3.0),)
    )


def test_runs_by_hand_are_one_job_in_their_order() -> None:
    first, second = (
        RunRecord(id, id, "2026", title=id, seconds=2.0, project="mine")
        for id in ("train", "deploy")
    )

    job = story.job_of([first, second])

    assert [stage.run_ids for stage in job.stages] == [("train",), ("deploy",)]
    assert (job.id, job.title, job.seconds) == ("deploy", "mine: 2 runs", 4.0)
