"""The report is a page that a browser shows offline, on a desk, on a phone and on paper."""

import dataclasses
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from components.governance.report.rendering import render, write
from components.governance.report.story import Story
from pipelines.proof import Proof
from pipelines.records import JobRecord, RunRecord, StageRecord, StepRecord
from pipelines.story import tell
from tests.browser.stories import ARABIC, story
from tests.prerequisites import CHROMIUM, MISSING

_FLAGS = [
    "--no-sandbox",  # tests run as root in containers; the page is our own
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert CHROMIUM.exists(), MISSING
    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=str(CHROMIUM), args=_FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("out") / "report.html"
    write(story(), path)
    return path


@pytest.fixture(params=[1280, 390], ids=["desk", "phone"])
def opened(request: Any, browser: Browser, file: pathlib.Path) -> Iterator[tuple[Page, list[str]]]:
    """The page with scripts off and no network, and whatever the browser complained of."""
    context = browser.new_context(
        viewport={"width": request.param, "height": 900}, java_script_enabled=False, offline=True
    )
    page, heard = context.new_page(), list[str]()
    page.on("console", lambda message: heard.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: heard.append(f"error: {error}"))
    page.on("request", lambda asked: heard.append(asked.url))
    page.goto(file.as_uri())
    yield page, heard
    context.close()


@pytest.fixture
def phone(browser: Browser, file: pathlib.Path) -> Iterator[Page]:
    """The page on a phone, where tests may measure; measuring needs scripts."""
    page = browser.new_page(viewport={"width": 390, "height": 900})
    page.goto(file.as_uri())
    yield page
    page.close()


def test_loads_itself_and_nothing_else_without_a_complaint(
    opened: tuple[Page, list[str]], file: pathlib.Path
) -> None:
    _, heard = opened

    assert heard == [file.as_uri()]


def test_shows_every_part_under_its_heading_what_was_decided_first(
    opened: tuple[Page, list[str]],
) -> None:
    page, _ = opened

    assert page.locator("h1").inner_text() == story().title
    assert page.locator("h2").all_inner_texts() == [
        "What was decided, and why",
        "What production showed",
        "What flowed",
        "What was kept back",
        "How the models learnt",
        "How good the models are",
        "How candidates met traffic",
        "How long it took",
        "What it cost",
        "What was released",
        "What came from what",
        "Where the bytes are",
        "The audit log",
        "Every verdict",
        "Every version of every table",
    ]


def figures(page: Page, section: str) -> set[str]:
    """Return the exact values behind the figures of a section."""
    found = page.locator(f"#{section} data")
    return {found.nth(i).get_attribute("value") or "" for i in range(found.count())}


def test_figures_are_those_of_the_story_to_the_last_digit(opened: tuple[Page, list[str]]) -> None:
    page, _ = opened
    told = story()

    assert {repr(m.value) for m in told.evaluations} <= figures(page, "evaluation")
    assert {repr(one.rows) for one in told.quarantine} <= figures(page, "quarantine")
    assert {repr(w.value) for w in told.windows if w.value} <= figures(page, "production")
    assert {repr(t.rows) for t in told.tables if t.rows is not None} <= figures(page, "channel")


def test_what_each_stage_cost_is_what_the_records_of_its_runs_say(
    browser: Browser, tmp_path: pathlib.Path
) -> None:
    """Sums of the steps that ran, and the most memory that one of them had."""
    costs = [costing((0.25, 10, 300), (1.5, 5, 200)), costing((2.0, 7, 900), None), costing(None)]
    runs = [RunRecord(f"run-{i}", "p", "2026", steps=steps) for i, steps in enumerate(costs)]
    stages = (
        StageRecord("One", ("run-0",), 3.25),
        StageRecord("Two", ("run-1", "run-2"), 4.5),
        StageRecord("Nothing new", ("run-2",), 0.1),
    )
    write(tell(JobRecord("j", "J", "2026", 9.0, stages), runs, Proof()), tmp_path / "r.html")
    page = browser.new_page()
    page.goto((tmp_path / "r.html").as_uri())

    rows = page.locator("#costs table >> nth=0").locator("tbody tr")
    shown = {
        row.locator("td").first.inner_text(): row.locator("data").evaluate_all(
            "nodes => nodes.map(node => Number(node.value))"
        )
        for row in rows.all()
    }

    assert shown == {
        "One": [3.25, 1.75, 300, 15, 150, 1500],
        "Two": [4.5, 2.0, 900, 7, 70, 700],
        "all of these": [7.75, 3.75, 900, 22, 220, 2200],
    }
    page.close()


def costing(*paid: tuple[float, int, int] | None) -> tuple[StepRecord, ...]:
    """Steps that took CPU seconds, read rows and had bytes in use; None took an earlier run's."""
    return tuple(
        StepRecord(f"s{i}", f"Step {i}", 1.0, one is None, _cost(*one) if one else {})
        for i, one in enumerate(paid)
    )


def _cost(cpu: float, rows: int, peak: int) -> dict[str, float]:
    amounts = {"bytes_read": 10 * rows, "rows_written": 1, "bytes_written": 100 * rows}
    return {"seconds": 1, "cpu_seconds": cpu, "peak_bytes": peak, "rows_read": rows, **amounts}


def test_the_dearest_steps_come_first(opened: tuple[Page, list[str]]) -> None:
    page, _ = opened

    names = page.locator("#costs details tbody tr td:first-child").all_text_contents()

    assert names == ["Ingest flights", "Roll out", ARABIC], "what an earlier run did cost nothing"


def test_every_verdict_stands_on_the_page_with_its_reason_and_digest(
    opened: tuple[Page, list[str]],
) -> None:
    page, _ = opened

    for one in story().verdicts:
        shown = page.locator(f"#entry-{one.entry}").text_content() or ""
        assert one.verdict.subject in shown
        assert one.verdict.reason in shown
        assert str(one.verdict.digest()) in shown


def test_every_link_leads_to_one_place_on_the_page(phone: Page) -> None:
    ids = phone.evaluate("[...document.querySelectorAll('[id]')].map(n => n.id)")
    links = phone.evaluate("[...document.querySelectorAll('a')].map(n => n.getAttribute('href'))")

    assert len(ids) == len(set(ids))
    assert len(links) > 60
    assert {link.removeprefix("#") for link in links} <= set(ids)


def test_every_figure_leads_to_its_verdict_or_table(phone: Page) -> None:
    """But what it cost: that comes from the records of runs, which are not on the page."""
    loose = phone.evaluate(
        """[...document.querySelectorAll('data')]
        .filter(n => !n.closest('a') && !n.closest('#tables, #costs'))
        .map(n => n.closest('tr, li').innerText)"""
    )

    assert loose == []


def test_nothing_sticks_out_sideways_with_long_and_arabic_names(phone: Page) -> None:
    """Tables scroll by themselves; the page itself must not, even with all of it open."""
    phone.evaluate("document.querySelectorAll('details').forEach(n => n.open = true)")

    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    assert phone.locator("section").filter(has_text=ARABIC).count() > 5


def test_text_in_charts_is_readable_on_a_phone(phone: Page) -> None:
    boxes = phone.locator(".chart > svg text").evaluate_all(
        "nodes => nodes.map(node => node.getBoundingClientRect().height)"
    )

    assert min(boxes) >= 9


def test_arabic_reads_from_the_right(phone: Page) -> None:
    sides = phone.evaluate(
        """name => [...document.querySelectorAll('#quarantine td')]
        .filter(n => n.textContent === name).map(n => getComputedStyle(n).unicodeBidi)""",
        ARABIC,
    )

    assert set(sides) == {"plaintext"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(browser: Browser, file: pathlib.Path, scheme: Any) -> None:
    page = browser.new_page(color_scheme=scheme)
    page.goto(file.as_uri())
    grounds = [
        _luminance(page.locator(place).evaluate("n => getComputedStyle(n).backgroundColor"))
        for place in ("body", ".facts li >> nth=0")
    ]
    for selector in ("body", ".soft", ".badge.good", ".badge.bad", "a"):
        ink = _luminance(page.locator(selector).first.evaluate("n => getComputedStyle(n).color"))
        for ground in grounds:
            low, high = sorted((ink, ground))
            assert (high + 0.05) / (low + 0.05) >= 4.5, selector
    page.close()
    assert (grounds[0] < 0.2) == (scheme == "dark")


def _luminance(colour: str) -> float:
    """Relative luminance of `rgb(r, g, b)`, as WCAG defines it."""
    channels = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_paper_shows_what_a_screen_folds_away(browser: Browser, file: pathlib.Path) -> None:
    page = browser.new_page(viewport={"width": 794, "height": 1123}, color_scheme="dark")
    page.goto(file.as_uri())
    folded = page.locator("#entry-12 dl >> nth=0")
    assert not folded.is_visible()

    page.emulate_media(media="print")

    assert folded.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 794
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert page.pdf(format="A4").startswith(b"%PDF")
    page.close()


def test_the_same_story_makes_the_same_page() -> None:
    assert render(story()) == render(Story.from_json(story().to_json()))


def test_a_job_that_did_nothing_still_makes_a_page(browser: Browser) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.set_content(render(Story("Nothing", "r", "now", 0.1)))

    assert page.locator("h1").inner_text() == "Nothing"
    assert page.locator("h2").count() == 0
    page.close()


def test_a_job_that_stopped_says_so_first() -> None:
    (sources, training, *_) = story().stages
    broken = dataclasses.replace(training, state="failed", error="ingest: the database is down")
    page = render(Story("Broken", "r", "now", 0.1, stages=(sources, broken)))

    assert page.index("the database is down") < page.index("<h2>")
