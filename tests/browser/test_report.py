"""The report is a page that a browser shows offline, on a desk and on a phone."""

import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

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
_DIGEST = "sha256:" + "4f2a" * 16


def story() -> Story:
    """A run that is made up, with long and Arabic names where names can be long."""
    blessing = Verdict(
        "challenger torch-7 against base rate",
        Decision.ACCEPT,
        "AUC is higher by 0.21 [0.20, 0.22] on the same 81,230 rows; no slice is below its floor",
        {"difference": 0.21},
        _DIGEST,
    )
    return Story(
        title="Flights: who will arrive late?",
        run_id="2026-11-24T13-28-07-a4c1",
        started="2026-11-24 13:28 UTC",
        seconds=138.4,
        stages=_stages(),
        quarantine=(
            Quarantined("s3://falaj-curated/flights", "dep_time between 0 and 2400", 1_204),
            Quarantined("s3://falaj-curated/flights", "carrier is known", 377),
            Quarantined(
                "s3://falaj-curated/flights", "key is unique: year, month, day, flight", 2_018
            ),
            Quarantined("s3://falaj-curated/weather", "temperature in plausible range °F", 89),
        ),
        verdicts=(
            Verdict("residency laptop", Decision.ACCEPT, "data stay in AE (declared)", {}, _DIGEST),
            Verdict(
                "contract flights",
                Decision.ACCEPT,
                "1.1 % of rows kept back, 2 % allowed",
                {},
                _DIGEST,
            ),
            Verdict("contract weather", Decision.ACCEPT, "0.3 % of rows kept back", {}, _DIGEST),
            blessing,
        ),
        evaluations=_evaluations(),
        blessing=blessing,
        rollouts=_rollouts(),
        months=_months(),
        releases=(
            Release(
                "delays",
                "4f2a4f2a4f2a",
                _DIGEST,
                "sealed+s3://falaj-models/delays/4f2a4f2a4f2a",
                "champion until month 7",
            ),
            Release(
                "delays",
                "9bc09bc09bc0",
                _DIGEST,
                "sealed+s3://falaj-models/delays/9bc09bc09bc0",
                "promoted, champion",
            ),
            Release(
                "delays",
                "17de17de17de",
                _DIGEST,
                "sealed+s3://falaj-models/delays/17de17de17de",
                "rolled back: 10 % errors",
            ),
            Release(
                "delays",
                "c0ffeec0ffee",
                _DIGEST,
                "sealed+s3://falaj-models/delays/c0ffeec0ffee",
                "never started: altered by one byte",
            ),
        ),
        links=(
            Link("Compiled pipelines", "../build/pipelines"),
            Link("Catalogue", "../docs/components/README.md"),
        ),
    )


def _stages() -> tuple[Stage, ...]:
    return (
        Stage("ingestion", "ingest_sql flights", 336_776, 336_776, 0, 6.2),
        Stage("ingestion", "ingest_objects planes", 3_322, 3_322, 0, 0.8, skipped=True),
        Stage("ingestion", "ingest_rest weather", 26_115, 26_115, 0, 9.4),
        Stage("preparation", "validate flights", 336_776, None, 0, 2.1),
        Stage("preparation", "curate flights", 336_776, 333_177, 3_599, 3.3),
        Stage("features", "build_training_set", 333_177, 333_177, 0, 5.0),
        Stage("training", "train_torch", 164_020, None, 0, 31.7),
        Stage("training", "train_tensorflow", 164_020, None, 0, 28.2),
        Stage("release", "seal delays 9bc09bc09bc0", None, None, 0, 1.2),
        Stage(
            "deployment",
            "roll_out a candidate with a name that is rather long",
            None,
            None,
            0,
            24.0,
        ),
    )


def _evaluations() -> tuple[Measure, ...]:
    slices = [("origin=EWR", 0.71), ("origin=JFK", 0.73), ("carrier=الاتحاد للطيران", 0.69)]
    return (
        Measure("base rate", "auc", 0.5, 0.5, 0.5, rows=81_230),
        Measure("torch-7", "auc", 0.7134, 0.7091, 0.7177, rows=81_230),
        Measure("tensorflow-3", "auc", 0.7211, 0.7168, 0.7254, rows=81_230),
        Measure("base rate", "log loss", 0.552, 0.549, 0.555),
        Measure("torch-7", "log loss", 0.491, 0.488, 0.494),
        Measure("tensorflow-3", "log loss", 0.487, 0.484, 0.490),
        *(Measure("torch-7", "auc", v, v - 0.01, v + 0.01, name, 9_000) for name, v in slices),
    )


def _rollouts() -> tuple[Rollout, ...]:
    better = [
        Point(2.0 * i, 400 * i, (0, 5, 25, 50, 100)[min(i // 3, 4)], 0.001, 0.001, 1 / (1 + i))
        for i in range(1, 16)
    ]
    faulty = [
        Point(1.0 * i, 120 * i, 5 if i < 9 else 0, 0.0012, 0.1 - 0.02 / i, 10 ** (0.25 * i))
        for i in range(1, 11)
    ]
    return (
        Rollout(
            "A better candidate",
            Verdict(
                "rollout delays 4f2a -> 9bc0",
                Decision.PROMOTE,
                "no worse at any weight after 6,000 requests",
                {"alpha": 0.01},
                _DIGEST,
            ),
            tuple(better),
        ),
        Rollout(
            "A candidate that answers one request in ten with an error",
            Verdict(
                "rollout delays 9bc0 -> 17de",
                Decision.ROLL_BACK,
                "9.8 % errors against 0.1 %: e-value 178 after 1,080 requests, limit 100",
                {"alpha": 0.01},
                _DIGEST,
            ),
            tuple(faulty),
        ),
        Rollout(
            "A candidate whose files were altered by one byte",
            Verdict(
                "rollout delays 9bc0 -> c0ff",
                Decision.REFUSE,
                "weights.onnx: digest differs from the signed one; the champion keeps serving",
                {},
                _DIGEST,
            ),
        ),
    )


def _months() -> tuple[Month, ...]:
    return (
        Month("2013-08", "stable", (), 0.712, 0.705, 0.719, 0.998),
        Month(
            "2013-09",
            "drift",
            (Effect("dep_hour_local_scheduled", 0.14), Effect("temperature", 0.12)),
            0.694,
            0.686,
            0.702,
            0.997,
        ),
        Month(
            "2013-10",
            "drift",
            (
                Effect("temperature", 0.31),
                Effect("carrier", 0.15),
                Effect("wind", 0.13),
                Effect("visibility", 0.11),
            ),
            0.688,
            0.680,
            0.696,
            0.999,
        ),
        Month("2013-11", "drift", (Effect("temperature", 0.44),), 0.681, 0.673, 0.689, 0.998),
        Month(
            "2013-12",
            "drift",
            (Effect("temperature", 0.52), Effect("wind", 0.2)),
            None,
            None,
            None,
            0.0,
        ),
    )


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


def test_loads_itself_and_nothing_else_without_a_complaint(
    opened: tuple[Page, list[str]], file: pathlib.Path
) -> None:
    _, heard = opened

    assert heard == [file.as_uri()]


def test_shows_every_part_under_its_heading(opened: tuple[Page, list[str]]) -> None:
    page, _ = opened

    assert page.locator("h1").inner_text() == story().title
    assert page.locator("h2").all_inner_texts() == [
        "What was decided",
        "What flowed",
        "What was kept back",
        "How good the models are",
        "How candidates met traffic",
        "What production showed",
        "What was released",
        "Where to look further",
    ]


def test_nothing_sticks_out_sideways(browser: Browser, file: pathlib.Path) -> None:
    """Tables scroll by themselves; the page itself must not. Measuring needs scripts."""
    page = browser.new_page(viewport={"width": 390, "height": 900})
    page.goto(file.as_uri())

    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()


def test_text_in_charts_is_readable_on_a_phone(browser: Browser, file: pathlib.Path) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 900})
    page.goto(file.as_uri())
    boxes = page.locator(".chart > svg text").evaluate_all(
        "nodes => nodes.map(node => node.getBoundingClientRect().height)"
    )

    assert min(boxes) >= 9
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(browser: Browser, file: pathlib.Path, scheme: Any) -> None:
    page = browser.new_page(color_scheme=scheme)
    page.goto(file.as_uri())
    ground = _luminance(page.locator("body").evaluate("n => getComputedStyle(n).backgroundColor"))
    for selector in ("body", ".soft >> nth=0", ".good >> nth=0", ".bad >> nth=0", "a >> nth=0"):
        ink = _luminance(page.locator(selector).evaluate("n => getComputedStyle(n).color"))
        low, high = sorted((ink, ground))
        assert (high + 0.05) / (low + 0.05) >= 4.5, selector
    page.close()


def _luminance(colour: str) -> float:
    """Relative luminance of `rgb(r, g, b)`, as WCAG defines it."""
    channels = [int(part) / 255 for part in colour.strip("rgb()").split(",")]
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_a_run_that_did_nothing_still_makes_a_page(browser: Browser) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.set_content(render(Story("Nothing", "r", "now", 0.1)))

    assert page.locator("h1").inner_text() == "Nothing"
    assert page.locator("h2").count() == 0
    page.close()
