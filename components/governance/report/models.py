"""The report's part on models: metrics with intervals, slices, releases."""

from collections.abc import Iterator, Sequence
from html import escape

from components.foundation.page import Html, number, table
from components.foundation.svg import Bar, dot_chart
from components.governance.report.story import Measure, Release, Story
from components.governance.report.words import interval, short

_WHOLE = "all"


def tiles(story: Story) -> Iterator[tuple[str, str]]:
    """Yield the headline metric of each model."""
    headline = _headline(story.evaluations)
    for one in story.evaluations:
        if one.metric == headline and one.slice == _WHOLE:
            yield number(one.value), f"{one.metric.upper()} of {one.model}"


def evaluation(story: Story) -> str:
    whole = [one for one in story.evaluations if one.slice == _WHOLE]
    if not whole:
        return ""
    headline = _headline(whole)
    bars = [Bar(m.model, m.value, m.low, m.high) for m in whole if m.metric == headline]
    blessing = f"<p>{escape(story.blessing.reason)}</p>" if story.blessing else ""
    chart = dot_chart(bars, title=f"{headline.upper()} with intervals")
    return blessing + chart + _metrics(whole) + _slices(story.evaluations)


def releases(rows: Sequence[Release]) -> str:
    if not rows:
        return ""
    return table(
        ["Model", "Version", "What became of it", "Digest", "Address"],
        [
            [
                r.model,
                r.version,
                r.fate,
                Html(short(r.digest)),
                Html(f"<code>{escape(r.uri)}</code>"),
            ]
            for r in rows
        ],
        stacked=True,
    )


def _headline(measures: Sequence[Measure]) -> str:
    names = [one.metric for one in measures]
    return "auc" if "auc" in names else next(iter(names), "")


def _metrics(measures: Sequence[Measure]) -> str:
    models = list(dict.fromkeys(one.model for one in measures))
    found = {(one.metric, one.model): interval(one.value, one.low, one.high) for one in measures}
    metrics = list(dict.fromkeys(one.metric for one in measures))
    rows = [[metric, *(found.get((metric, model)) for model in models)] for metric in metrics]
    return table(["Metric", *models], rows)


def _slices(measures: Sequence[Measure]) -> str:
    sliced = [one for one in measures if one.slice != _WHOLE]
    if not sliced:
        return ""
    rows = [[m.slice, m.model, m.metric, interval(m.value, m.low, m.high), m.rows] for m in sliced]
    made = table(["Slice", "Model", "Metric", "Value", "Rows"], rows)
    return f"<details><summary>{len(sliced)} measures by slice</summary>{made}</details>"
