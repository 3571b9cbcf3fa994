"""The report says what the story says: the same figures, every text escaped."""

import dataclasses
import html
import json
import pathlib
import re

import pytest

from components.foundation.errors import UserError
from components.foundation.page import Html, decided, evidence, exact, facts, fold, judged, tiles
from components.foundation.verdict import Decision, Verdict
from components.governance.report.rendering import render, write
from components.governance.report.story import (
    Audit,
    Curve,
    Effect,
    Forgery,
    Judged,
    Measure,
    Pace,
    Quarantined,
    Release,
    Rollout,
    Stage,
    Step,
    Story,
    Table,
    Window,
)
from components.governance.report.words import brief, duration, metric, past
from tests.browser.stories import CHAMPION, CURATED, TAMPERED, story

STORY = story()


def plain(page: str) -> str:
    """Return the words of a page as a reader sees them, one space between."""
    body = page[page.index("<body>") :] if "<body>" in page else page
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", body)))


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
    with pytest.raises(UserError, match=says) as caught:
        Story.from_json(text)

    assert caught.value.code == "story-malformed"


@pytest.mark.parametrize(
    "shown",
    [
        "delays 9bc09bc09bc0 is the champion.",
        "336,776 rows in 1 raw table",
        "3,599 rows in quarantine",
        "0.7134 AUC of torch",
        "1 of 3 candidates promoted",
        "2 of 3 windows with drift",
        "8 verdicts, 3 did not pass",
        "2 min 18 s from start to end",
        "2013-09, live/delays",
        "0.7134 [0.7091, 0.7177]",
        "departure between 0 and 2400 & known 1,204 curated/flights@7",
        "6,000 requests in 30.0 s",
        "clients saw 900 with 200, 5 with 500 · after the decision 40 with 200",
        "half of the good answers came within 1.2 ms, 99 % within 6.5 ms",
        "decides at 100",
        "never answered a request",
        "waits",
        "0.3100), a_column",
        "and 1 more",
        "Every link of the audit log's 21 entries holds. 8 verdicts of this job were compared",
        "does not verify",
        "hand, from delays/9bc09bc09bc0",
        "entry 6 of the audit log",
        "by hand, not logged",
        "Federal Decree-Law 45/2021",
        "raw/flights@3 336,776",
        "333,177 rows, Curate flights, as above",
    ],
)
def test_the_page_shows(shown: str) -> None:
    assert shown in plain(render(STORY))


def test_rows_of_a_table_are_told_input_by_input() -> None:
    shown = plain(render(STORY))

    assert re.search(
        r"curated/flights@7 raw/flights@3 336,776 curated/\S+ 12 3,222 333,177 Curate", shown
    )


def test_the_summary_comes_before_the_stages_and_the_proof_last() -> None:
    page = render(STORY)
    places = [page.index(f'id="{part}"') for part in ("decisions", "channel", "audit", "tables")]

    assert places == sorted(places)
    assert page.index('class="lead"') < places[0]


def test_sections_without_content_are_left_out() -> None:
    page = render(dataclasses.replace(STORY, rollouts=(), windows=(), releases=()))

    assert 'id="rollouts"' not in page
    assert 'id="production"' not in page
    assert 'id="evaluation"' in page


def test_no_link_leads_to_what_is_not_there() -> None:
    page = render(dataclasses.replace(STORY, verdicts=(), tables=(), releases=()))
    ids = set(re.findall(r'id="([^"]+)"', page))

    assert set(re.findall(r'href="#([^"]+)"', page)) <= ids


def test_no_text_of_a_story_becomes_markup() -> None:
    evil = "<script>alert(1)</script>\"'"
    verdict = Verdict(
        evil, Decision.REFUSE, evil, {evil: [{evil: evil}], "legal_basis": evil}, evil, evil
    )
    judgement = Judged(verdict, 1, evil, evil, evil)
    page = render(
        Story(
            evil,
            evil,
            evil,
            1.0,
            evil,
            evil,
            (Stage(evil, (evil,), 1.0, state=evil, error=evil, steps=(Step(evil, 1.0),)),),
            (Table(evil, 1, evil, evil, (evil,)), Table(f"s3://falaj-raw/{evil}", 1)),
            (Quarantined(evil, evil, 1, evil),),
            (Curve(evil, (1,), {evil: (1.0,)}, 1),),
            (judgement,),
            (Measure(evil, evil, 0.5), Measure(evil, evil, 0.5, slice=evil, table=evil)),
            (judgement,),
            (Rollout(evil, verdict, evil, 1, answers={evil: 1}),),
            (Window(evil, evil, (Effect(evil, 1.0),), evil, 0.5, state=evil),),
            (Release(evil, evil, evil, evil, evil, evil, evil, evil, evil, (evil,)),),
            (Forgery(evil, evil),),
            (judgement,),
            Audit(1, evil, 1),
        )
    )

    assert "<script" not in page
    assert page.count("&lt;script") > 40


def test_the_pace_of_sealing_is_told_in_bytes_and_seconds() -> None:
    told = render(dataclasses.replace(STORY, pace=Pace(3, 2_500_000, 0.5, 0.125)))

    assert "3 files of 2,500,000 bytes: sealed into the object store in 0.500 s (5.0 MB/s)" in told
    assert "verified and opened in 0.125 s (20.0 MB/s)" in told
    assert "sealed into the object store" not in render(STORY)


def test_a_candidate_that_was_refused_is_told_in_the_first_sentences() -> None:
    lead = render(STORY).partition('class="lead"')[2].partition("</p>")[0]

    assert "2 candidates did not become champion" in plain(lead)
    assert "(rolled back)" in lead
    assert "(refused)" in lead


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.04, "0.0 s"), (59.4, "59.4 s"), (59.96, "1 min 0 s"), (75, "1 min 15 s")],
)
def test_durations_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("ref", "said"),
    [
        (CURATED, "curated/flights@7"),
        (CHAMPION, "delays/9bc09bc09bc0"),
        ("sqlite:airline.db/flights", "sqlite:airline.db/flights"),
    ],
)
def test_references_are_said_in_brief(ref: str, said: str) -> None:
    assert brief(ref) == said


def test_metrics_are_called_as_people_call_them() -> None:
    assert [metric(name) for name in ("auc", "rmse", "calibration_error")] == [
        "AUC",
        "RMSE",
        "calibration error",
    ]
    assert past(Decision.INCONCLUSIVE) == "inconclusive"


def test_a_judgement_says_what_why_and_when_and_escapes_it() -> None:
    verdict = Verdict("a", Decision.INCONCLUSIVE, "too few <labels>")

    block = judged(verdict, "s3://a/b@1", "", title="A & b", more=Html("<i>more</i>"))

    assert plain(block).strip() == "inconclusive A & b too few <labels> s3://a/b@1 · more"
    assert 'class="judged plain"' in block
    assert "too few &lt;labels&gt;" in block


@pytest.mark.parametrize(
    ("decision", "kind"),
    [("accept", "good"), ("drift", "bad"), ("continue", "plain"), ("champion", "plain")],
)
def test_a_decision_is_coloured_by_whether_it_passes(decision: str, kind: str) -> None:
    assert decided(decision).text == f'<span class="badge {kind}">{decision}</span>'


def test_evidence_is_laid_out_whatever_is_in_it() -> None:
    shown = plain(
        evidence(
            {
                "alpha": 0.05,
                "requests": 605.0,
                "champion": {"slot": "a", "errors": None},
                "steps": [10.0, 50.0],
                "findings": [{"effect": 0.5, "column": "x"}, {"column": "y", "p": 1.0}],
                "broken": [],
                "nothing": {},
            }
        )
    ).replace("\N{EN DASH}", "?")

    assert "alpha 0.05000 requests 605 champion, slot a champion, errors ? steps 10, 50" in shown
    assert "broken ? nothing ?" in shown
    assert "findings column effect p x 0.5000 ? y ? 1" in shown


def test_an_exact_number_is_whole_for_programs_and_short_for_people() -> None:
    assert exact(0.71346816478).text == '<data value="0.71346816478">0.7135</data>'
    assert exact(None).text == "\N{EN DASH}"
    assert exact(98.06, digits=1).text == '<data value="98.06">98.1</data>'


def test_blocks_without_content_are_nothing() -> None:
    assert (tiles([]), facts([]), evidence({})) == ("", "", "")


def test_what_few_look_for_is_one_press_away() -> None:
    assert fold("a & b", "<p>x</p>") == "<details><summary>a &amp; b</summary><p>x</p></details>"
    assert fold("a", "", is_open=True).startswith("<details open>")


def test_a_release_that_does_not_verify_says_why() -> None:
    shown = plain(render(STORY))
    after = shown[shown.index("delays c0ffeec0ffee never started") :]

    assert TAMPERED in after
    assert "does not verify model.onnx: sealed bytes have another digest" in after
