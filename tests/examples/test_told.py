import datetime
import json
import pathlib
from typing import Any

import pytest

from components.foundation.verdict import Decision, Verdict
from components.governance.report.story import Effect, Quarantined, Story
from examples.flights import told
from pipelines.laptop.memo import Outcome

NOON = datetime.datetime(2026, 1, 2, 12, tzinfo=datetime.UTC)
FIRST, BETTER, FAULTY, TAMPERED = (f"sealed+s3://falaj-models/delays/{c * 12}" for c in "abcd")


def outcome(title: str, outputs: dict[str, Any], *, skipped: bool = False, **more: Any) -> Outcome:
    steps = [{"name": n, "title": n.title(), "seconds": 2.5, "cached": False} for n in outputs]
    return Outcome(title, {"outputs": outputs, "steps": steps, **more}, 9.0, skipped)


def verdict(decision: str, *, subject: str = "delays", **evidence: Any) -> dict[str, Any]:
    return Verdict(subject, Decision(decision), "because", evidence).to_dict()


def tell(*outcomes: Outcome, seconds: float = 60.0) -> Story:
    return told.tell(outcomes, seconds, ended=NOON)


def rollout(kind: str, release: str, decision: str, points: pathlib.Path) -> Outcome:
    points.write_text("[]")
    judged = {"verdict": verdict(decision), "history": {"path": str(points)}}
    deployed = {"release": release, "verdict": verdict("accept")}
    return outcome(kind, {"deploy": deployed, "roll-out": judged})


def monitored(month: str, drift: dict[str, Any], *windows: dict[str, Any]) -> Outcome:
    measured = {"metrics": {"windows": list(windows)}}
    return outcome(
        f"Monitor month {int(month[-2:])}",
        {"detect-drift": {"verdict": drift}, "measure-performance": measured},
        month=month,
    )


def finding(column: str, effect: float, *, drifted: bool = True) -> dict[str, Any]:
    return {"column": column, "effect": effect, "drifted": drifted}


def test_a_run_began_as_long_ago_as_it_took() -> None:
    story = tell(seconds=90)

    assert (story.seconds, story.started) == (90, "2026-01-02T11:58:30+00:00")
    assert story.run_id == "flights-20260102T115830"


def test_a_run_of_nothing_is_a_story_too() -> None:
    story = tell()

    assert Story.from_json(story.to_json()) == story
    assert (story.stages, story.blessing, story.releases) == ((), None, ())


def test_a_step_that_moves_rows_is_a_stage() -> None:
    ingested = {"rows": 3, "total": 10, "table": "s3://falaj-raw/planes@1", "torn": 2}
    curated = {"rows_in": 10, "rows_out": 7, "quarantined": {"planes: key": 2.0, "planes: x": 1.0}}
    joined = {"rows": 7, "table": "s3://falaj-features/training@0"}
    story = tell(
        outcome("Train", {"ingest": ingested, "curate": curated, "join": joined, "gate": {}})
    )

    told_of = [(s.name, s.rows_in, s.rows_out, s.quarantined) for s in story.stages]

    assert told_of == [("Ingest", None, 3, 2), ("Curate", 10, 7, 3), ("Join", 7, 7, 0)]
    assert {(s.stage, s.seconds) for s in story.stages} == {("Train", 2.5)}


@pytest.mark.parametrize(
    ("stage_skipped", "step_cached"), [(True, False), (False, True)], ids=["stage", "step"]
)
def test_what_was_not_done_again_is_told_as_skipped(stage_skipped: bool, step_cached: bool) -> None:
    done = outcome("Train", {"join": {"rows": 1, "table": "s3://t/t@0"}}, skipped=stage_skipped)
    done.result["steps"][0]["cached"] = step_cached

    assert [stage.skipped for stage in tell(done).stages] == [True]


def test_of_quarantine_counted_twice_the_newer_count_is_told() -> None:
    earlier = {"quarantined": {"flights: key id": 21.0}, "rows_in": 1, "rows_out": 1}
    later = {"quarantined": {"flights: key id": 24.0}, "rows_in": 1, "rows_out": 1}
    torn = {"torn": 5, "rows": 1, "total": 1, "table": "s3://falaj-raw/planes@0"}

    story = tell(
        outcome("Month 7", {"curate": earlier, "i": torn}), outcome("8", {"curate": later})
    )

    assert story.quarantine == (
        Quarantined("flights", "key id", 24),
        Quarantined("planes", "torn line", 5),
    )


def test_every_verdict_is_told_in_order() -> None:
    one, two = verdict("accept", subject="one"), verdict("drift", subject="two")

    story = tell(
        outcome("A", {"x": {"verdict": one}, "y": {}}), outcome("B", {"z": {"verdict": two}})
    )

    assert [(v.subject, v.decision) for v in story.verdicts] == [
        ("one", "accept"),
        ("two", "drift"),
    ]


def test_the_last_blessing_is_the_one_told() -> None:
    first, last = verdict("accept", subject="first"), verdict("refuse", subject="last")

    story = tell(
        outcome("A", {"bless": {"verdict": first}}), outcome("B", {"bless": {"verdict": last}})
    )

    assert story.blessing == Verdict.from_dict(last)


def test_measures_have_their_intervals_and_the_slices_by_origin(tmp_path: pathlib.Path) -> None:
    interval = {"estimate": 0.7, "low": 0.6, "high": 0.8}
    found = {
        "metrics": {"rows": 50.0, "calibration_error": 0.02},
        "intervals": {"auc": interval, "log_loss": interval, "brier": interval},
        "slices": [
            {"slice": "origin=JFK", "auc": 0.71, "rows": 20},
            {"slice": "origin=LGA", "auc": None, "rows": 2},
            {"slice": "carrier=AA", "auc": 0.72, "rows": 20},
        ],
    }
    (tmp_path / "evaluation").write_text(json.dumps(found))
    evaluated = {"evaluate": {"evaluation": {"path": str(tmp_path / "evaluation")}}}

    story = tell(outcome("Train with torch", evaluated))

    told_of = [(m.metric, m.slice, m.value, m.low, m.high, m.rows) for m in story.evaluations]
    assert told_of == [
        ("auc", "all", 0.7, 0.6, 0.8, 50),
        ("log_loss", "all", 0.7, 0.6, 0.8, 50),
        ("brier", "all", 0.7, 0.6, 0.8, 50),
        ("calibration_error", "all", 0.02, None, None, 50),
        ("auc", "origin=JFK", 0.71, None, None, 20),
    ]
    assert {m.model for m in story.evaluations} == {"torch"}


def test_a_rollout_has_its_verdict_and_shares_of_errors_over_time(tmp_path: pathlib.Path) -> None:
    moment = {"seconds": 0.5, "requests": 100, "weight": 10, "e_value": 2.0}
    arms = {"champion_requests": 90, "champion_errors": 0}
    arms |= {"candidate_requests": 10, "candidate_errors": 2}
    nobody = {**moment, **dict.fromkeys(arms, 0)}
    rolled = rollout("Roll out a faulty candidate", FAULTY, "roll back", tmp_path / "history")
    (tmp_path / "history").write_text(json.dumps([nobody, {**moment, **arms}]))

    (told_of,) = tell(rolled).rollouts

    assert (told_of.name, told_of.verdict.decision) == ("a faulty candidate", "roll back")
    assert [(p.champion_errors, p.candidate_errors) for p in told_of.points] == [
        (None, None),
        (0.0, 0.2),
    ]
    assert [(p.requests, p.weight, p.e_value) for p in told_of.points] == [(100, 10, 2.0)] * 2


def test_a_rollout_that_never_began_has_the_deployments_verdict() -> None:
    refused = {"release": TAMPERED, "verdict": verdict("refuse")}

    (told_of,) = tell(outcome("Roll out a tampered candidate", {"deploy": refused})).rollouts

    assert (told_of.verdict.decision, told_of.points) == ("refuse", ())


def test_a_month_tells_what_drifted_once_and_the_farthest_first() -> None:
    findings = [
        finding("temp", 0.2),
        finding("score", 0.4),
        finding("temp", 0.9),
        finding("wind", 0.7, drifted=False),
    ]

    (month,) = tell(monitored("2013-08", verdict("drift", findings=findings))).months

    assert (month.month, month.decision) == ("2013-08", "drift")
    assert month.drifted == (Effect("temp", 0.9), Effect("score", 0.4))


def test_a_month_without_labels_has_no_performance_but_its_coverage() -> None:
    empty = {"window": "2013-08", "labelled": 0, "auc": 0.5, "coverage": 0.0}

    (month,) = tell(monitored("2013-08", verdict("stable"), empty)).months

    assert (month.auc, month.low, month.high, month.coverage) == (None, None, None, 0.0)


def test_labels_that_came_later_are_told_of_the_month_they_are_about() -> None:
    late = {"auc": 0.7, "auc_low": 0.6, "auc_high": 0.8, "labelled": 90, "coverage": 0.9}
    story = tell(
        monitored("2013-08", verdict("drift"), {"window": "2013-08", "labelled": 0}),
        monitored("2013-09", verdict("stable"), {"window": "2013-08", **late}),
    )

    august, september = story.months

    assert (august.auc, august.low, august.high, august.coverage) == (0.7, 0.6, 0.8, 0.9)
    assert (august.decision, september.decision) == ("drift", "stable")
    assert september.auc is None


def test_releases_are_told_with_what_became_of_them(tmp_path: pathlib.Path) -> None:
    story = tell(
        outcome("Train with torch", {"gate": {}}, release=BETTER),
        rollout("Deploy the first champion", FIRST, "stable", tmp_path / "1"),
        rollout("Roll out a better candidate", BETTER, "promote", tmp_path / "2"),
        rollout("Roll out a faulty candidate", FAULTY, "roll back", tmp_path / "3"),
        outcome(
            "Roll out a tampered candidate",
            {"deploy": {"release": TAMPERED, "verdict": verdict("refuse")}},
        ),
    )

    assert [(r.uri, r.fate) for r in story.releases] == [
        (FIRST, "champion until replaced"),
        (BETTER, "champion"),
        (FAULTY, "rolled back"),
        (TAMPERED, "never started"),
    ]
    assert (story.releases[0].model, story.releases[0].version) == ("delays", "a" * 12)


def test_a_rollout_that_did_not_end_is_told_as_undecided(tmp_path: pathlib.Path) -> None:
    story = tell(rollout("Roll out a better candidate", BETTER, "inconclusive", tmp_path / "1"))

    assert [r.fate for r in story.releases] == ["undecided (inconclusive)"]


def test_the_story_is_kept_beside_the_report(tmp_path: pathlib.Path) -> None:
    refused = outcome(
        "Roll out a tampered candidate",
        {"deploy": {"release": TAMPERED, "verdict": verdict("refuse")}},
    )

    path = told.write(tmp_path / "out" / "report.html", [refused], 5.0)

    story = Story.from_json(path.with_suffix(".json").read_text())
    assert [r.uri for r in story.releases] == [TAMPERED]
    assert TAMPERED.rpartition("/")[2] in path.read_text()
