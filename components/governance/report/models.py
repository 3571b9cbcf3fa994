"""The report's part on models: learning curves, metrics with intervals, slices, blessing."""

from collections.abc import Iterator, Sequence

from components.foundation.page import Html, charts, exact, fold, judged, table
from components.foundation.svg import Bar, Mark, Series, dot_chart, line_chart
from components.governance.report.story import WHOLE, Curve, Measure, Story
from components.governance.report.words import Links, interval, is_better_low, many, metric

_SHOWN_SLICES = 8


def tiles(story: Story, links: Links) -> Iterator[tuple[Html, str]]:
    """Yield the headline metric of each model."""
    headline = _headline(story.evaluations)
    for one in story.evaluations:
        if one.metric == headline and one.slice == WHOLE:
            yield _linked(one, links, exact(one.value)), f"{metric(one.metric)} of {one.model}"


def curves(rows: Sequence[Curve]) -> str:
    """Draw how each model learnt, its best epoch marked."""
    return charts(*map(_curve, rows))


def evaluation(story: Story, links: Links) -> str:
    """Show how good the models are, and what was made of it."""
    whole = [one for one in story.evaluations if one.slice == WHOLE]
    if not whole:
        return ""
    headline = _headline(whole)
    bars = [Bar(m.model, m.value, m.low, m.high) for m in whole if m.metric == headline]
    blessed = "".join(
        judged(one.verdict, one.stage, title=one.verdict.subject, more=links.entry(one.entry))
        for one in story.blessings
    )
    drawn = dot_chart(bars, title=f"{metric(headline)} with 95 % intervals")
    left = f"<div>{drawn}{_metrics(whole, links)}</div>"
    pair = f'<div class="pair">{left}{_weakest(story, headline)}</div>'
    return f'<div class="pair">{blessed}</div>{pair}' + _slices(story.evaluations, links)


def _curve(one: Curve) -> str:
    marks = [Mark(one.best, "best")] if one.best is not None else []
    series = [Series(name, values) for name, values in one.series.items()]
    return line_chart(
        series, title=f"{one.model}: loss by epoch", x=one.epochs, x_label="epoch", marks=marks
    )


def _headline(measures: Sequence[Measure]) -> str:
    names = [one.metric for one in measures]
    return "auc" if "auc" in names else next(iter(names), "")


def _metrics(measures: Sequence[Measure], links: Links) -> str:
    models = list(dict.fromkeys(one.model for one in measures))
    found = {
        (one.metric, one.model): _linked(one, links, interval(one.value, one.low, one.high))
        for one in measures
    }
    metrics = list(dict.fromkeys(one.metric for one in measures))
    rows: list[list[object]] = [
        [metric(name), *(found.get((name, model)) for model in models)] for name in metrics
    ]
    tables = {one.model: one.table for one in measures}
    counted = {one.model: one.rows for one in measures}
    rows.append(["measured on", *(links.table(tables[model]) for model in models)])
    rows.append(["rows", *(links.table(tables[m], exact(counted[m])) for m in models)])
    return table(["Metric", *models], rows)


def _weakest(story: Story, headline: str) -> str:
    """Draw the slices where the newest model does worst, each as a dot."""
    sliced = [m for m in story.evaluations if m.slice != WHOLE and m.metric == headline]
    newest = [m for m in sliced if m.model == sliced[-1].model]
    if not newest:
        return ""
    newest.sort(key=lambda m: -m.value if is_better_low(headline) else m.value)
    bars = [Bar(_sized(m), m.value, m.low, m.high) for m in newest[:_SHOWN_SLICES]]
    shown = f"{metric(headline)} of {newest[0].model} where it is weakest"
    return dot_chart(bars, title=shown)


def _linked(one: Measure, links: Links, text: Html) -> Html:
    """Link to the verdict that judged a measure; without one, to the rows it was measured on."""
    return links.entry(one.entry, text) if one.entry else links.table(one.table, text)


def _sized(one: Measure) -> str:
    return one.slice if one.rows is None else f"{one.slice} ({many(one.rows, 'row')})"


def _slices(measures: Sequence[Measure], links: Links) -> str:
    sliced = [one for one in measures if one.slice != WHOLE]
    if not sliced:
        return ""
    rows = [
        [
            m.slice,
            m.model,
            metric(m.metric),
            _linked(m, links, interval(m.value, m.low, m.high)),
            m.rows,
        ]
        for m in sliced
    ]
    made = table(["Slice", "Model", "Metric", "Value", "Rows"], rows)
    return fold(f"{len(sliced)} measures by slice", made)
