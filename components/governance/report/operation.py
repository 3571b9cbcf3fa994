"""The report's part on operation: rollouts over traffic, production by month."""

import math
from collections.abc import Iterator, Sequence
from html import escape

from components.foundation.page import Figure, badge, number, table
from components.foundation.svg import Bar, Level, Mark, Series, bar_chart, line_chart
from components.foundation.verdict import Decision
from components.governance.report.story import Month, Point, Rollout, Story
from components.governance.report.words import decided, duration, interval, percent

_SHOWN_COLUMNS = 3


def tiles(story: Story) -> Iterator[tuple[str, str]]:
    promoted = sum(r.verdict.decision is Decision.PROMOTE for r in story.rollouts)
    if story.rollouts:
        yield f"{promoted} of {len(story.rollouts)}", "candidates promoted"
    drifted = sum(month.decision == Decision.DRIFT for month in story.months)
    if story.months:
        yield f"{drifted} of {len(story.months)}", "months with drift"


def rollouts(rows: Sequence[Rollout]) -> str:
    return "".join(_rollout(one) for one in rows)


def months(rows: Sequence[Month]) -> str:
    if not rows:
        return ""
    charts = _performance(rows) + _coverage(rows) + _effects(rows)
    return f'<div class="charts">{charts}</div>' + table(
        ["Month", "Drift", "Columns that moved most", "AUC", "Labels known, %"],
        [
            [m.month, decided(m.decision), _columns(m), _auc(m), Figure(percent(m.coverage), 1)]
            for m in rows
        ],
    )


def _rollout(one: Rollout) -> str:
    head = (
        f"<h3>{escape(one.name)} {decided(one.verdict.decision).text}</h3>"
        f"<p>{escape(one.verdict.reason)}</p>"
    )
    if not one.points:
        return head + f'<p class="soft">{badge("no traffic")} It never answered a request.</p>'
    last = one.points[-1]
    took = f"{number(last.requests)} requests in {duration(last.seconds)}"
    charts = _errors(one.points) + _weight(one.points) + _e_values(one)
    return f'{head}<p class="soft">{took}.</p><div class="charts">{charts}</div>'


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
        y_label="%",
        y_range=(0, max(1.0, *(v or 0.0 for line in lines for v in line.values))),
    )


def _weight(points: Sequence[Point]) -> str:
    return line_chart(
        [Series("candidate", [p.weight for p in points])],
        title="Traffic on the candidate",
        x=[p.requests for p in points],
        x_label="requests",
        y_label="%",
        y_range=(0, 100),
    )


def _e_values(one: Rollout) -> str:
    """Draw evidence on a logarithmic scale, with the line that decides, when it is known."""
    values = [_log10(p.e_value) for p in one.points]
    if all(value is None for value in values):
        return ""
    return line_chart(
        [Series("evidence", values)],
        title="Evidence that the candidate is worse",
        x=[p.requests for p in one.points],
        x_label="requests",
        y_label="log10 of the e-value",
        levels=_limit(one.verdict.evidence.get("alpha")),
    )


def _limit(alpha: object) -> list[Level]:
    """Draw where an e-value decides: at 1/alpha."""
    if not isinstance(alpha, float) or not 0 < alpha < 1:
        return []
    return [Level(-math.log10(alpha), f"decides at {1 / alpha:,.0f}")]


def _log10(value: float | None) -> float | None:
    return math.log10(value) if value is not None and value > 0 else None


def _performance(rows: Sequence[Month]) -> str:
    if all(month.auc is None for month in rows):
        return ""
    return line_chart(
        [Series("AUC", [m.auc for m in rows], [m.low for m in rows], [m.high for m in rows])],
        title="Realised AUC by month, with intervals",
        x=[m.month for m in rows],
        y_label="AUC",
        marks=[Mark(m.month, "drift") for m in rows if m.decision == Decision.DRIFT],
    )


def _coverage(rows: Sequence[Month]) -> str:
    if all(month.coverage is None for month in rows):
        return ""
    return line_chart(
        [Series("labels known", [percent(m.coverage) for m in rows])],
        title="Predictions whose outcome is known",
        x=[m.month for m in rows],
        y_label="%",
        y_range=(0, 100),
    )


def _effects(rows: Sequence[Month]) -> str:
    """Show for each column its largest move in any month, the largest few."""
    largest: dict[str, float] = {}
    for one in (effect for month in rows for effect in month.drifted):
        largest[one.column] = max(one.effect, largest.get(one.column, 0.0))
    top = sorted(largest.items(), key=lambda pair: -pair[1])[:8]
    if not top:
        return ""
    bars = [Bar(column, effect) for column, effect in top]
    return bar_chart(bars, title="Largest move of a column in any month")


def _columns(month: Month) -> str:
    shown = [f"{e.column} ({number(e.effect)})" for e in month.drifted[:_SHOWN_COLUMNS]]
    more = len(month.drifted) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _auc(month: Month) -> str | None:
    return None if month.auc is None else interval(month.auc, month.low, month.high)
