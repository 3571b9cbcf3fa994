"""Charts are well-formed, escaped, described, and draw what they are given."""

import math
import re
from xml.etree import ElementTree

import pytest

from components.foundation.page import Html, badge, number, page, table
from components.foundation.svg import Bar, Counted, Level, Mark, Series, bar_chart, line_chart

_SVG = "{http://www.w3.org/2000/svg}"


def parse(chart: str) -> ElementTree.Element:
    return ElementTree.fromstring(chart)  # noqa: S314 - our own text


def texts(chart: str) -> list[str]:
    return ["".join(node.itertext()) for node in parse(chart).iter(f"{_SVG}text")]


CHARTS = {
    "line": line_chart([Series("a & b", [1, 2, 3])], title="<t>", x=["x", "y<", "z"]),
    "empty": line_chart([Series("a", [])], title="none", x=[]),
    "one": line_chart([Series("a", [5.0])], title="one", x=[3]),
    "gaps": line_chart([Series("a", [None, math.nan, 1])], title="gaps", x=[1, 2, 3]),
    "flat": line_chart([Series("a", [0, 0])], title="flat", x=[1, 2]),
    "bars": bar_chart([Bar("<b>", 3, 2, 4), Bar("c", -1)], title="bars", unit="rows"),
    "no bars": bar_chart([], title="nothing"),
}


@pytest.mark.parametrize("chart", CHARTS.values(), ids=list(CHARTS))
def test_a_chart_is_well_formed_described_and_runs_nothing(chart: str) -> None:
    drawing = next(node for node in parse(chart).iter(f"{_SVG}svg") if node.get("role"))

    assert drawing.get("role") == "img"
    assert drawing.get("aria-label")
    assert "<script" not in chart
    assert "nan" not in chart
    assert "http" not in chart.replace("http://www.w3.org/2000/svg", "")


def test_a_gap_breaks_the_line() -> None:
    whole = line_chart([Series("a", [1, 2, 3, 4])], title="t", x=[1, 2, 3, 4])
    broken = line_chart([Series("a", [1, 2, None, 4])], title="t", x=[1, 2, 3, 4])

    assert _stretches(whole) == 1
    assert _stretches(broken) == 2


def _stretches(chart: str) -> int:
    path = next(n for n in parse(chart).iter(f"{_SVG}path") if n.get("stroke-width") == "2.2")
    return (path.get("d") or "").count("M")


def test_higher_values_are_drawn_higher() -> None:
    chart = line_chart([Series("a", [1, 9])], title="t", x=["low", "high"])
    low, high = (float(n.get("cy") or 0) for n in parse(chart).iter(f"{_SVG}circle"))

    assert high < low


def test_a_fixed_range_is_shown_whole() -> None:
    chart = line_chart([Series("a", [0.7])], title="t", x=["x"], y=Counted(ends=(0, 1)))

    assert {"0.0", "1.0"} <= set(texts(chart))


def test_an_interval_draws_a_band_and_stretches_the_axis() -> None:
    chart = line_chart([Series("a", [5, 5], [1, 1], [9, 9])], title="t", x=[1, 2])

    assert len(list(parse(chart).iter(f"{_SVG}polygon"))) == 1
    assert "10" in texts(chart)


def test_a_mark_is_labelled_and_escaped() -> None:
    chart = line_chart(
        [Series("a", [1, 2])], title="t", x=["x", "y"], marks=[Mark("y", "rolled <back>")]
    )

    assert "rolled <back>" in texts(chart)


def test_a_limit_is_labelled_and_stretches_the_axis() -> None:
    chart = line_chart([Series("a", [1, 2])], title="t", x=[1, 2], marks=[Level(19, "limit")])

    assert {"limit", "20"} <= set(texts(chart))


def test_a_stepped_series_holds_each_value_until_the_next() -> None:
    straight = line_chart([Series("a", [10, 50])], title="t", x=[1, 2])
    stepped = line_chart([Series("a", [10, 50], stepped=True)], title="t", x=[1, 2])

    assert re.search(r'd="M[\d.,]+ L[\d.,]+"', straight)
    assert re.search(r'd="M[\d.,]+ V[\d.]+ H[\d.]+"', stepped)


def test_names_that_would_collide_are_thinned() -> None:
    x = [f"a long name {i}" for i in range(30)]
    shown = [t for t in texts(line_chart([Series("a", [1.0] * 30)], title="t", x=x)) if t in x]

    assert 2 <= len(shown) <= 6
    assert shown[0] == x[0]


def test_series_differ_by_more_than_colour() -> None:
    chart = line_chart([Series("a", [1, 2]), Series("b", [2, 1])], title="t", x=[1, 2])
    dashes = re.findall(r'class="c(\d)"[^>]*><path[^>]*?(?:stroke-dasharray="([^"]*)")?/>', chart)

    assert len(set(dashes)) == 2
    assert all(name in "".join(parse(chart).itertext()) for name in "ab")


def test_every_point_says_its_value_without_a_script() -> None:
    chart = line_chart([Series("rows", [336776])], title="t", x=["July"])

    assert "rows, July: 336,776" in chart


def test_a_bars_interval_is_written_out() -> None:
    chart = bar_chart([Bar("auc", 0.75, 0.74, 0.76)], title="t")

    assert "0.7500 [0.7400, 0.7600]" in texts(chart)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (336776, "336,776"),
        (0.74213, "0.7421"),
        (12.3456, "12.35"),
        (1234567.8, "1,234,568"),
        (0.0, "0"),
        (math.nan, "\N{EN DASH}"),
        (None, "\N{EN DASH}"),
        (True, "yes"),
        (1e-12, "1.00e-12"),
        (-0.5, "-0.5000"),
        ("text", "text"),
    ],
)
def test_numbers_are_written_for_people(value: object, shown: str) -> None:
    assert number(value) == shown


def test_a_table_escapes_text_and_sets_numbers_to_the_right() -> None:
    made = table(["<name>", "rows"], [["<i>", 1000], [Html(badge("ok", good=True)), None]])

    assert "&lt;name&gt;" in made
    assert "&lt;i&gt;" in made
    assert '<td data-name="rows" class="n">1,000</td>' in made
    assert '<th scope="col" class="n">rows</th>' in made
    assert 'class="badge good">ok</span>' in made


def test_a_page_forbids_itself_network_and_scripts() -> None:
    made = page("A & B", "<p>body</p>")

    assert "default-src 'none'" in made
    assert "<h1>A &amp; B</h1>" in made
    assert "src=" not in made.replace("default-src", "")
