"""The report says what the story says: the same figures, every text escaped."""

import dataclasses
import json
import pathlib
import re

import pytest

from components.foundation.errors import UserError
from components.foundation.verdict import Decision, Verdict
from components.governance.report.rendering import render, write
from components.governance.report.story import (
    Effect,
    Link,
    Measure,
    Month,
    Point,
    Quarantined,
    Release,
    Rollout,
    Stage,
    Story,
)
from components.governance.report.words import duration

_DIGEST = "sha256:" + "ab" * 32


def verdict(subject: str, decision: Decision, reason: str) -> Verdict:
    return Verdict(subject, decision, reason, {"alpha": 0.01}, _DIGEST, "2026-11-24T00:00:00Z")


STORY = Story(
    title="A run",
    run_id="r1",
    started="now",
    seconds=75.0,
    stages=(
        Stage("ingestion", "ingest_sql a", 1234, 1230, 4, 1.25),
        Stage("ingestion", "ingest_sql b", 10, 10, skipped=True),
    ),
    quarantine=(Quarantined("s3://t/a", "x < 5 & y", 4),),
    verdicts=(
        verdict("contract a", Decision.ACCEPT, "fine"),
        verdict("bless", Decision.ACCEPT, "better"),
    ),
    evaluations=(
        Measure("m1", "auc", 0.7, 0.6, 0.8),
        Measure("m1", "brier", 0.1234, 0.1, 0.2),
        Measure("m1", "auc", 0.65, 0.5, 0.7, "origin=JFK", 4321),
    ),
    blessing=verdict("bless", Decision.ACCEPT, "better"),
    rollouts=(
        Rollout(
            "first",
            verdict("rollout", Decision.ROLL_BACK, "too many errors"),
            (Point(1.0, 100, 5.0, 0.0, 0.1, 3.0), Point(2.0, 250, 0.0, 0.0, 0.1, 200.0)),
        ),
        Rollout("second", verdict("rollout 2", Decision.PROMOTE, "no worse")),
    ),
    months=(
        Month("2013-08", "stable", (), 0.7, 0.6, 0.8, 0.5),
        Month("2013-09", "drift", tuple(Effect(f"c{i}", i / 10) for i in range(5, 0, -1))),
    ),
    releases=(Release("m", "v1", _DIGEST, "sealed+s3://falaj-models/m/v1", "champion"),),
    links=(Link("catalogue", "docs/components/README.md"),),
)


def test_a_story_survives_json() -> None:
    assert Story.from_json(STORY.to_json()) == STORY
    assert Story.from_dict(STORY.to_dict()) == STORY


def test_the_page_can_be_made_again_from_what_lies_beside_it(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "out" / "report.html"
    write(STORY, path)

    assert render(Story.from_json(path.with_suffix(".json").read_text())) == path.read_text()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON"),
        ("[]", "expected an object"),
        ('{"title": "x"}', "run_id"),
        (json.dumps({**STORY.to_dict(), "seconds": "long"}, default=str), "seconds"),
    ],
)
def test_a_story_that_is_none_is_refused_by_field(text: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        Story.from_json(text)


def plain(html: str) -> str:
    """Return the words of a page as a reader sees them, one space between."""
    import html as entities

    body = html[html.index("<body>") :]
    return re.sub(r"\s+", " ", entities.unescape(re.sub(r"<[^>]+>", " ", body)))


@pytest.mark.parametrize(
    "shown",
    [
        "1,240 rows ingested",
        "4 rows in quarantine",
        "0.7000 AUC of m1",
        "1 of 2 candidates promoted",
        "1 of 2 months with drift",
        "4 verdicts, 1 said no",
        "1 min 15 s from start to end",
        "ingest_sql a 1,234 1,230 4 1.2",
        "unchanged",
        "x < 5 & y",
        "4 rows",
        "0.1234 [0.1000, 0.2000]",
        "origin=JFK m1 auc 0.6500 [0.5000, 0.7000] 4,321",
        "250 requests in 2.0 s",
        "decides at 100",
        "roll back",
        "never answered a request",
        "2013-08 stable 0.7000 [0.6000, 0.8000] 50.0",
        "c5 (0.5000), c4 (0.4000), c3 (0.3000) and 2 more",
        "sealed+s3://falaj-models/m/v1",
        "abababababab",
    ],
)
def test_the_page_shows(shown: str) -> None:
    assert shown in plain(render(STORY))


def test_a_verdict_told_twice_is_shown_once() -> None:
    assert plain(render(STORY)).count("accept bless better") == 1


def test_sections_without_content_are_left_out() -> None:
    page = render(dataclasses.replace(STORY, rollouts=(), months=(), releases=()))

    assert 'id="rollouts"' not in page
    assert 'id="months"' not in page
    assert 'id="evaluation"' in page


def test_no_text_of_a_story_becomes_markup() -> None:
    evil = "<script>alert(1)</script>\"'"
    story = Story(
        evil,
        evil,
        evil,
        1.0,
        (Stage(evil, evil),),
        (Quarantined(evil, evil, 1),),
        (verdict(evil, Decision.ACCEPT, evil),),
        (Measure(evil, evil, 0.5), Measure(evil, evil, 0.5, slice=evil)),
        verdict(evil, Decision.REFUSE, evil),
        (Rollout(evil, verdict(evil, Decision.REFUSE, evil)),),
        (Month(evil, evil, (Effect(evil, 1.0),), 0.5),),
        (Release(evil, evil, evil, evil, evil),),
        (Link(evil, f"https://x/{evil}"),),
    )

    assert "<script" not in render(story)


@pytest.mark.parametrize(
    "href",
    ["javascript:alert(1)", " JavaScript:alert(1)", "java\tscript:alert(1)", "data:text/html,x"],
)
def test_a_link_that_would_run_something_is_dropped(href: str) -> None:
    page = render(Story("t", "r", "now", 1.0, links=(Link("evil", href),)))

    assert "evil" not in page


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.04, "0.0 s"), (59.4, "59.4 s"), (59.96, "1 min 0 s"), (75, "1 min 15 s")],
)
def test_durations_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said
