"""The report's part on operation: rollouts over traffic, production window by window."""

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from components.foundation.page import (
    Figure,
    Html,
    badge,
    charts,
    decided,
    exact,
    judged,
    number,
    table,
)
from components.foundation.svg import Bar, Counted, Level, Mark, Series, bar_chart, line_chart
from components.foundation.verdict import Decision
from components.governance.report.story import Point, Rollout, Story, Window
from components.governance.report.words import Links, duration, interval, metric, percent

_SHOWN_COLUMNS = 3


def tiles(story: Story, links: Links) -> Iterator[tuple[Html, str]]:
    """Yield how many candidates were promoted, and how many windows drifted."""
    promoted = sum(r.verdict.decision is Decision.PROMOTE for r in story.rollouts)
    if story.rollouts:
        shown = f"{promoted} of {len(story.rollouts)}"
        yield Html(f'<a href="#rollouts">{shown}</a>'), "candidates promoted"
    drifted = sum(window.decision == Decision.DRIFT for window in story.windows)
    if story.windows:
        shown = f"{drifted} of {len(story.windows)}"
        yield Html(f'<a href="#production">{shown}</a>'), "windows with drift"


def rollouts(rows: Sequence[Rollout], links: Links) -> str:
    return "".join(_rollout(one, links) for one in rows)


def production(rows: Sequence[Window], links: Links) -> str:
    """Show drift and realised performance, window by window."""
    if not rows:
        return ""
    return charts(_performance(rows), _coverage(rows), _effects(rows)) + table(
        [
            "Window",
            "Drift",
            "Columns that moved most",
            "Realised",
            "Labels known, %",
            "Predictions",
        ],
        [
            [
                w.name,
                links.entry(w.drift_entry, decided(w.decision)),
                _columns(w),
                _realised(w, links),
                links.entry(w.performance_entry, exact(percent(w.coverage), digits=1))
                if w.coverage is not None
                else Figure(None, 1),
                w.predictions,
            ]
            for w in rows
        ],
        stacked=True,
    )


def _rollout(one: Rollout, links: Links) -> str:
    name = f"{one.name[:1].upper()}{one.name[1:]}"
    more = Html(" · ".join((links.release(one.release).text, links.entry(one.entry).text)))
    head = judged(one.verdict, *_seen(one), title=name, more=more)
    if not one.points:
        return head + f'<p class="soft">{badge("no traffic")} It never answered a request.</p>'
    points = _from_the_start(one.points)
    return head + charts(_errors(points), _weight(points), _e_values(one, points))


def _seen(one: Rollout) -> Iterator[str]:
    if one.points:
        last = one.points[-1]
        yield f"{number(last.requests)} requests in {duration(last.seconds)}"
    if one.answers:
        yield f"clients saw {_statuses(one.answers)}"
    if one.after:
        yield f"after the decision {_statuses(one.after)}"
    if one.latency_ms:
        median, p99 = one.latency_ms["median"], one.latency_ms["p99"]
        yield f"half of the good answers came within {median:.1f} ms, 99 % within {p99:.1f} ms"


def _statuses(answers: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} with {code}" for code, count in sorted(answers.items()))


def _from_the_start(points: Sequence[Point]) -> list[Point]:
    """Begin where every rollout begins: no request, no evidence; a resumed one goes on later."""
    first = points[0]
    return [Point(0.0, 0, first.weight, None, None, 1.0), *points]


def _errors(points: Sequence[Point]) -> str:
    lines = [
        Series("champion", [percent(p.champion_errors) for p in points]),
        Series("candidate", [percent(p.candidate_errors) for p in points]),
    ]
    return line_chart(
        lines,
        title="Answers that were errors",
        x=[p.requests for p in points],
        x_label="requests",
        y=Counted("%", (0, max(1.0, *(v or 0.0 for line in lines for v in line.values)))),
    )


def _weight(points: Sequence[Point]) -> str:
    return line_chart(
        [Series("candidate", [p.weight for p in points], stepped=True)],
        title="Traffic on the candidate",
        x=[p.requests for p in points],
        x_label="requests",
        y=Counted("%", (0, 100)),
    )


def _e_values(one: Rollout, points: Sequence[Point]) -> str:
    """Draw evidence on a logarithmic scale, with the line that decides, when it is known."""
    values = [_log10(p.e_value) for p in points]
    if all(p.e_value is None for p in one.points):
        return ""
    return line_chart(
        [Series("evidence", values)],
        title="Evidence that the candidate is worse",
        x=[p.requests for p in points],
        x_label="requests",
        y=Counted("log10 of the e-value"),
        marks=_limit(one.verdict.evidence.get("alpha")),
    )


def _limit(alpha: object) -> list[Level]:
    """Draw where an e-value decides: at 1/alpha."""
    if not isinstance(alpha, float) or not 0 < alpha < 1:
        return []
    return [Level(-math.log10(alpha), f"decides at {1 / alpha:,.0f}")]


def _log10(value: float | None) -> float | None:
    return math.log10(value) if value is not None and value > 0 else None


def _performance(rows: Sequence[Window]) -> str:
    known = [w for w in rows if w.metric]
    if not known:
        return ""
    name, same = metric(known[0].metric), known[0].metric
    lines = [[w if w.metric == same and w.dated else None for w in rows]]
    lines += [[w if w is one else None for w in rows] for one in known if not one.dated]
    names = ["by time", *(one.name for one in known if not one.dated)]
    return line_chart(
        [_line(title, line) for title, line in zip(names, lines, strict=True)],
        title=f"Realised {name}, with intervals",
        x=[w.name for w in rows],
        y=Counted(name),
        marks=[Mark(w.name, "drift") for w in rows if w.decision == Decision.DRIFT],
    )


def _line(name: str, rows: Sequence[Window | None]) -> Series:
    return Series(
        name,
        [w.value if w else None for w in rows],
        [w.low if w else None for w in rows],
        [w.high if w else None for w in rows],
    )


def _coverage(rows: Sequence[Window]) -> str:
    if all(window.coverage is None for window in rows):
        return ""
    bars = [Bar(w.name, percent(w.coverage) or 0.0) for w in rows if w.coverage is not None]
    return bar_chart(bars, title="Predictions whose outcome is known", unit="%")


def _effects(rows: Sequence[Window]) -> str:
    """Show for each column its largest move in any window, the largest few."""
    largest: dict[str, float] = {}
    for one in (effect for window in rows for effect in window.drifted):
        largest[one.column] = max(one.effect, largest.get(one.column, 0.0))
    top = sorted(largest.items(), key=lambda pair: -pair[1])[:6]
    if not top:
        return ""
    bars = [Bar(column, effect) for column, effect in top]
    return bar_chart(bars, title="Largest move of a column in any window")


def _columns(window: Window) -> str:
    shown = [f"{e.column} ({number(e.effect)})" for e in window.drifted[:_SHOWN_COLUMNS]]
    more = len(window.drifted) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _realised(window: Window, links: Links) -> Html | None:
    if window.value is None:
        return Html(f'<span class="soft">{escape(window.state)}</span>') if window.state else None
    shown = interval(window.value, window.low, window.high)
    return links.entry(
        window.performance_entry, Html(f"{escape(metric(window.metric))} {shown.text}")
    )
