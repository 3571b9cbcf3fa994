"""Render a story as one page: what was decided first, then the channel stage by stage."""

import pathlib
import urllib.parse
from collections.abc import Iterator
from html import escape

from components.foundation.page import Figure, Html, badge, number, page, table
from components.foundation.svg import Bar, bar_chart
from components.foundation.verdict import Verdict
from components.governance.report import models, operation
from components.governance.report.story import Link, Quarantined, Stage, Story
from components.governance.report.words import decided, duration, short

_LINKED = {"", "http", "https", "file"}  # anything else might run something


def write(story: Story, path: pathlib.Path) -> None:
    """Write the page and, beside it, the story it was made from (.json)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(story), encoding="utf-8")
    path.with_suffix(".json").write_text(story.to_json(), encoding="utf-8")


def render(story: Story) -> str:
    """Return a self-contained page; sections without content are left out."""
    return page(story.title, "\n".join(part for part in _parts(story) if part))


def _parts(story: Story) -> Iterator[str]:
    yield _about(story)
    yield _facts(story)
    yield _section("decisions", "What was decided", _decisions(story))
    yield _section("channel", "What flowed", _channel(story))
    yield _section("quarantine", "What was kept back", _quarantine(story.quarantine))
    yield _section("evaluation", "How good the models are", models.evaluation(story))
    yield _section("rollouts", "How candidates met traffic", operation.rollouts(story.rollouts))
    yield _section("months", "What production showed", operation.months(story.months))
    yield _section("releases", "What was released", models.releases(story.releases))
    yield _section("links", "Where to look further", _links(story.links))


def _section(anchor: str, title: str, body: str) -> str:
    return f'<section id="{anchor}"><h2>{escape(title)}</h2>{body}</section>' if body else ""


def _about(story: Story) -> str:
    return (
        f'<p class="soft">Run <code>{escape(story.run_id)}</code>, started '
        f"{escape(story.started)}, took {duration(story.seconds)}.</p>"
    )


def _facts(story: Story) -> str:
    tiles = "".join(f"<li><b>{value}</b>{escape(name)}</li>" for value, name in _tiles(story))
    return f'<ul class="facts">{tiles}</ul>'


def _tiles(story: Story) -> Iterator[tuple[str, str]]:
    read = sum(s.rows_out or 0 for s in story.stages if s.stage == "ingestion")
    kept = sum(one.rows for one in story.quarantine)
    if read:
        yield number(read), "rows ingested"
    if kept:
        yield number(kept), "rows in quarantine"
    yield from models.tiles(story)
    yield from operation.tiles(story)
    every = _every_verdict(story)
    if every:
        refused = sum(not verdict.passes for verdict in every)
        yield str(len(every)), f"verdicts, {refused} said no"
    yield duration(story.seconds), "from start to end"


def _every_verdict(story: Story) -> list[Verdict]:
    """Return the blessing and the rollouts' ends first, then the others, each once."""
    first = [story.blessing] if story.blessing else []
    ends = [rollout.verdict for rollout in story.rollouts]
    return list({v.digest(): v for v in (*first, *ends, *story.verdicts)}.values())


def _decisions(story: Story) -> str:
    every = _every_verdict(story)
    headline = len(story.rollouts) + (story.blessing is not None)
    return _verdicts(every[:headline]) + _folded(every[headline:])


def _folded(verdicts: list[Verdict]) -> str:
    """Keep the many small verdicts one press away; the page stays readable without it."""
    if not verdicts:
        return ""
    open_ = " open" if any(not v.passes for v in verdicts) and len(verdicts) <= 8 else ""
    return (
        f"<details{open_}><summary>{len(verdicts)} other verdicts</summary>"
        f"{_verdicts(verdicts)}</details>"
    )


def _verdicts(verdicts: list[Verdict]) -> str:
    if not verdicts:
        return ""
    rows = [
        [decided(v.decision), v.subject, Html(escape(v.reason)), Html(short(v.judged))]
        for v in verdicts
    ]
    return table(["Decision", "About", "Why", "Judged"], rows, stacked=True)


def _channel(story: Story) -> str:
    if not story.stages:
        return ""
    rows = [_stage(stage) for stage in story.stages]
    return table(["Stage", "Step", "Rows in", "Rows out", "Kept back", "Seconds"], rows)


def _stage(stage: Stage) -> list[object]:
    took = Html(badge("unchanged")) if stage.skipped else Figure(stage.seconds, 1)
    return [
        stage.stage,
        stage.name,
        stage.rows_in,
        stage.rows_out,
        stage.quarantined or None,
        took,
    ]


def _quarantine(rows: tuple[Quarantined, ...]) -> str:
    tables = dict.fromkeys(one.table for one in rows)
    charts = [
        bar_chart(
            [Bar(one.rule, one.rows) for one in rows if one.table == name],
            title=name,
            unit="rows",
        )
        for name in tables
    ]
    return f'<div class="charts">{"".join(charts)}</div>' if charts else ""


def _links(links: tuple[Link, ...]) -> str:
    items = "".join(
        f'<li><a href="{escape(link.href)}" rel="noreferrer">{escape(link.title)}</a></li>'
        for link in links
        if urllib.parse.urlsplit(link.href.strip()).scheme in _LINKED
    )
    return f"<ul>{items}</ul>" if items else ""
