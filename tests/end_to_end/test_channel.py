"""The whole channel, from real data to a monitored endpoint, as one run leaves it.

RAN names the folder of a run of so many months that has just ended well, with what it said in
said.txt there; without it these tests begin with a run of their own.
"""

import datetime
import json
import os
import pathlib
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pytest
import yaml

from components.foundation.verdict import Verdict
from components.governance.report.story import Rollout, Story
from examples.flights import faults, published, world
from tests.end_to_end.runs import ROOT, Command, Kept, call, holders, look

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
MONTHS = 8
STAGES = [
    "Set up the sources",
    "Train with tensorflow",
    "Deploy the first champion",
    "Train with torch",
    "Score month 7",
    "Roll out a better candidate",
    "Roll out a faulty candidate",
    "Roll out a tampered candidate",
    "Try forgeries",
    "Score month 8",
    "Monitor month 8",
    "Collect live observations",
    "Monitor the endpoint",
]
WHAT_THE_AIRLINE_PUBLISHED_WRONG = {("weather", "wind_speed: range"): 1}


@dataclass(frozen=True)
class Done:
    """A run of the example that has ended."""

    out: pathlib.Path
    run: Command
    left: list[str]
    kept: Kept

    @cached_property
    def story(self) -> Story:
        return Story.from_json((self.out / "report.json").read_text())

    def result(self, title: str) -> dict[str, Any]:
        path = self.out / "laptop" / "done" / f"{title.lower().replace(' ', '-')}.json"
        result: dict[str, Any] = json.loads(path.read_text())["result"]
        return result

    def outputs(self, title: str) -> dict[str, dict[str, Any]]:
        outputs: dict[str, dict[str, Any]] = self.result(title)["outputs"]
        return outputs

    def rollout(self, name: str) -> Rollout:
        (found,) = [rollout for rollout in self.story.rollouts if rollout.name == name]
        return found


def run(out: pathlib.Path) -> Done:
    called = call("examples.flights", "--months", MONTHS, "--out", out)
    assert called.code == 0, called.output
    return found(out, called)


def found(out: pathlib.Path, called: Command) -> Done:
    return Done(out, called, holders(out), look(out / "laptop"))


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Done:
    if ran := os.environ.get("RAN"):
        out = pathlib.Path(ran).resolve()
        return found(out, Command(0, (out / "said.txt").read_text(), seconds=0.0))
    return run(tmp_path_factory.mktemp("channel"))


@pytest.fixture(scope="module")
def second(first: Done) -> Done:
    return run(first.out)


def test_says_what_it_does_stage_by_stage(first: Done) -> None:
    titles = [line for line in first.run.lines if line and not line.startswith(" ")]
    begins = titles.index(STAGES[0])

    law = "residency laptop: accept - data stay in AE (declared), as profile pdpl asks"
    assert " ".join(" ".join(titles[:begins]).split()) == law
    assert titles[begins:][: len(STAGES)] == STAGES
    assert first.run.output.count("    done in ") == len(STAGES)


def test_says_of_each_step_how_long_it_took_and_what_came_of_it(first: Done) -> None:
    took = re.compile(r"    (?P<title>[A-Z].{31}) +(\d+\.\d s|unchanged)")
    found = [match for line in first.run.lines if (match := took.match(line))]
    steps = sum(len(first.result(stage).get("steps", [])) for stage in STAGES)

    assert len(found) == steps > 100
    assert any("Validate flights" in line and "accept: " in line for line in first.run.lines)


def test_says_nothing_that_a_person_cannot_use(first: Done) -> None:
    said = first.run.output

    assert not re.search("Traceback|Warning|WARNING|ERROR|DEBUG", said)
    assert max(map(len, first.run.lines)) <= 200


def test_ends_with_where_the_report_is(first: Done) -> None:
    *_, report, hint = first.run.lines

    assert report.endswith(f"Report: {first.out / 'report.html'}")
    assert "`make serve`" in hint


def test_the_report_loads_nothing_and_runs_nothing(first: Done) -> None:
    page = (first.out / "report.html").read_text()

    assert "<svg" in page
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//|url\(|@import""", page)
    assert "<script" not in page


def test_the_report_shows_the_story_beside_it(first: Done) -> None:
    page = (first.out / "report.html").read_text()

    assert first.story.title in page
    assert all(release.version in page for release in first.story.releases)
    assert all(window.name in page for window in first.story.windows)


def test_what_was_planted_and_no_more_is_quarantined(first: Done) -> None:
    planted = faults.planted(MONTHS)

    assert {(q.table, q.rule): q.rows for q in first.story.quarantine} == {
        ("flights", "key id"): planted.duplicates,
        ("flights", "arrives after it departs"): planted.backwards,
        ("flights", "departure_time: range"): planted.impossible_times,
        ("flights", "carrier: one_of"): planted.unknown_carriers,
        ("flights", "distance is in miles"): planted.kilometres,
        ("planes", "torn line"): faults.TORN["planes"],
        ("airports", "torn line"): faults.TORN["airports"],
        **WHAT_THE_AIRLINE_PUBLISHED_WRONG,
    }


def test_every_flight_that_was_delivered_is_curated_or_quarantined(first: Done) -> None:
    steps = first.outputs("Train with tensorflow")

    assert steps["ingest-sql"]["total"] == (
        steps["curate"]["rows_out"] + sum(steps["curate"]["quarantined"].values())
    )


@pytest.mark.parametrize("framework", ["tensorflow", "torch"])
def test_no_row_is_lost_on_the_way_to_training(first: Done, framework: str) -> None:
    steps = first.outputs(f"Train with {framework}")
    (labelled,) = [s["rows_out"] for s in steps.values() if "labels@" in s.get("table", "")]

    assert steps["build-training-set"]["rows"] == labelled > 100_000
    assert sum(steps["split"]["rows"].values()) == labelled


@pytest.mark.parametrize("framework", ["tensorflow", "torch"])
def test_both_models_are_as_good_as_is_expected_of_them(first: Done, framework: str) -> None:
    folder = ROOT / "examples" / "flights"
    expected = yaml.safe_load((folder / "expectations.yaml").read_text())
    of_model = [m for m in first.story.evaluations if m.model == framework and m.metric == "auc"]
    by_slice = {measure.slice: measure.value for measure in of_model}
    by_origin = {name: value for name, value in by_slice.items() if name.startswith("origin=")}

    assert expected["minimum"]["auc"] <= by_slice["all"] < 0.85, "better than can be"
    assert len(by_origin) == 3
    assert min(by_origin.values()) >= expected["slices"]["minimum"]["auc"]


def test_the_blessing_was_for_being_better_than_the_champion(first: Done) -> None:
    assert first.story.blessing
    low, high = (
        first.story.blessing.evidence["difference"]["log_loss"][k] for k in ("low", "high")
    )

    assert first.story.blessing.passes
    assert low < high < 0


def test_the_better_candidate_became_the_champion(first: Done) -> None:
    better = first.result("Roll out a better candidate")["release"]

    assert first.rollout("a better candidate").verdict.decision == "promote"
    assert better == first.result("Train with torch")["release"] == first.kept.champion.uri
    assert first.kept.champion.previous == first.result("Train with tensorflow")["release"]


def test_no_client_noticed_the_promotion(first: Done) -> None:
    answers = first.result("Roll out a better candidate")["answers"]

    assert set(answers) == {"200"}
    assert answers["200"] > 500


def test_the_share_of_the_better_candidate_only_grew(first: Done) -> None:
    weights = [point.weight for point in first.rollout("a better candidate").points]

    assert weights == sorted(weights)
    assert (weights[0], weights[-1]) == (10, 100)


def test_the_faulty_candidate_was_rolled_back_for_its_errors(first: Done) -> None:
    verdict = first.rollout("a faulty candidate").verdict

    assert verdict.decision == "roll back"
    assert verdict.evidence["candidate_errors"] > 0
    assert verdict.evidence["champion_errors"] == 0
    assert verdict.evidence["e_value"] >= 1 / verdict.evidence["alpha"]


def test_no_client_saw_an_error_after_the_decision_against_it(first: Done) -> None:
    seen = first.result("Roll out a faulty candidate")
    errors = seen["answers"]["500"]

    assert set(seen["answers"]) == {"200", "500"}
    assert errors >= first.rollout("a faulty candidate").verdict.evidence["candidate_errors"]
    assert errors < 0.05 * seen["answers"]["200"]
    assert set(seen["after_decision"]) == {"200"}


def test_the_tampered_candidate_never_started(first: Done) -> None:
    steps = first.outputs("Roll out a tampered candidate")
    verdict = first.rollout("a tampered candidate").verdict

    assert verdict.decision == "refuse"
    assert "is not what was sealed" in verdict.reason
    assert set(steps) == {"deploy"}
    assert set(first.result("Roll out a tampered candidate")["answers"]) == {"200"}


def test_every_forgery_was_refused_by_name(first: Done) -> None:
    tried = {forgery.what: forgery.refused for forgery in first.story.forgeries}

    assert len(tried) == 4
    assert "is not what was sealed" in tried["serve a release with one byte altered"]
    assert "cannot be renamed" in tried["serve a release under another model's name"]
    assert "plaintext are refused" in tried["serve a model that nobody sealed"]
    assert "an old state was put back" in tried["put an old state of a channel back"]
    assert all(f"    refused: {what}" in first.run.lines for what in tried)


def test_the_report_says_how_fast_a_release_was_sealed_and_opened(first: Done) -> None:
    pace = first.story.pace

    assert pace is not None
    told = f"{pace.files} files of {pace.bytes:,} bytes: sealed into the object store in"
    assert told in (first.out / "report.html").read_text()
    assert not any("-timed/" in address for address in first.kept.objects)


def test_only_the_releases_that_were_let_in_observed_anything(first: Done) -> None:
    tampered = first.result("Roll out a tampered candidate")["release"].rpartition("/")[2]
    versions = {
        address.split("/")[4] for address in first.kept.objects if "/observations/" in address
    }

    assert tampered not in str(sorted(first.kept.observed, key=str))
    assert tampered not in versions


def test_the_report_says_what_became_of_each_release(first: Done) -> None:
    assert [release.fate for release in first.story.releases] == [
        "champion until replaced",
        "champion",
        "rolled back",
        "never started",
    ]


@pytest.mark.parametrize("month", [7, 8])
def test_each_flight_of_a_month_that_was_not_quarantined_is_scored_once(
    first: Done, month: int
) -> None:
    begin, end = (datetime.datetime(2013, m, 1, tzinfo=datetime.UTC) for m in (month, month + 1))
    observed = [row["id"] for row in first.kept.observed if begin <= row["time"] < end]

    assert sorted(observed, key=int) == flights(begin, end)


def flights(begin: datetime.datetime, end: datetime.datetime) -> list[str]:
    """The flights scheduled in a time, but for those with a fault."""
    import polars as pl

    delivered = world.schedule().filter(pl.col("month") <= MONTHS)
    published_as = published.flights().select("id", "scheduled_departure", "scheduled_arrival")
    good = delivered.filter(
        pl.col("carrier") != faults.UNKNOWN_CARRIER,
        pl.col("departure_time") != faults.IMPOSSIBLE_TIME,
        pl.col("scheduled_arrival") > pl.col("scheduled_departure"),
    ).select("id")
    at = pl.col("scheduled_departure").dt.replace_time_zone("UTC")
    chosen = published_as.join(good.unique(), on="id").filter((at >= begin) & (at < end))
    return [str(id) for id in chosen["id"].sort().to_list()]


def test_the_champion_of_the_time_scored_each_month(first: Done) -> None:
    versions = {(row["time"].month, row["version"]) for row in first.kept.observed}
    before, after = (first.story.releases[i].version for i in (0, 1))

    assert versions == {(7, before), (8, after)}


def test_august_is_not_like_the_months_before(first: Done) -> None:
    august = first.story.windows[0]

    assert (august.name, august.decision) == ("2013-08", "drift")
    assert "score" in [effect.column for effect in august.drifted]
    assert (august.coverage, august.value) == (0.0, None), "its labels come in September"


def test_the_endpoint_was_as_good_as_in_training(first: Done) -> None:
    (window,) = first.outputs("Monitor the endpoint")["measure-performance"]["metrics"]["windows"]
    (trained,) = [
        m.value
        for m in first.story.evaluations
        if (m.model, m.metric, m.slice) == ("torch", "auc", "all")
    ]

    assert window["labelled"] > 1000
    assert abs(window["auc"] - trained) < 0.05


def test_every_verdict_is_in_the_audit_log(first: Done) -> None:
    audited = [
        judgement(Verdict.from_dict(dict(entry.body)))
        for entry in first.kept.audited
        if entry.kind == "verdict"
    ]

    assert len(first.story.verdicts) > 20
    assert {judgement(one.verdict) for one in first.story.verdicts} <= set(audited)
    assert len(audited) == len(set(audited)), "one was recorded twice"


def judgement(verdict: Verdict) -> tuple[str, ...]:
    return (verdict.subject, verdict.decision, verdict.reason, verdict.time)


def test_verification_finds_the_tampered_release_and_nothing_else(first: Done) -> None:
    verified = call("pipelines", "verify", "--state", first.out / "laptop")
    tampered = first.result("Roll out a tampered candidate")["release"]

    assert verified.code == 3
    assert [line for line in verified.lines if line.startswith("refused: ")] == [
        line for line in verified.lines if tampered.removeprefix("sealed+") in line
    ]
    assert verified.output.count("verified: ") == 3
    assert "every link holds" in verified.output


def test_nothing_that_was_started_is_left(first: Done) -> None:
    assert first.left == []


def test_a_second_run_skips_everything(second: Done) -> None:
    assert second.run.output.count("    unchanged, skipped") == len(STAGES)
    assert "done in" not in second.run.output
    assert second.run.seconds < 30
    assert second.left == []


def test_a_second_run_changes_no_table_no_release_and_no_evidence(
    first: Done, second: Done
) -> None:
    assert second.kept == first.kept


def test_a_second_run_tells_the_same_story(first: Done, second: Done) -> None:
    assert second.story.releases == first.story.releases
    assert second.story.verdicts == first.story.verdicts
    assert all(stage.skipped for stage in second.story.stages)
