"""Render a story as one page: what was decided first, how it went, then what proves it."""

import pathlib
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from components.foundation.page import Html, badge, fold, judged, page, table, tiles
from components.foundation.svg import meter
from components.foundation.verdict import Decision
from components.governance.report import channel, models, operation, proof
from components.governance.report.costs import costs
from components.governance.report.story import Judged, Stage, Story
from components.governance.report.words import Links, duration, many, past


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page under a heading; without a body it is left out."""

    anchor: str
    title: str
    body: str


def write(story: Story, path: pathlib.Path) -> None:
    """Write the page and, beside it, the story it was made from (.json)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").write_text(story.to_json(), encoding="utf-8")
    path.write_text(render(story), encoding="utf-8")


def render(story: Story) -> str:
    """Return a self-contained page; sections without content are left out."""
    links = Links(story)
    parts = {name: [s for s in made if s.body] for name, made in _parts(story, links).items()}
    body = [_about(story), _lead(story, links), _facts(story, links), _contents(parts)]
    body += [_section(section) for sections in parts.values() for section in sections]
    return page(story.title, "\n".join(part for part in body if part))


def _parts(story: Story, links: Links) -> dict[str, list[Section]]:
    """Name every section, by whose part it is."""
    return {
        "What was decided": [
            Section("decisions", "What was decided, and why", _decisions(story, links)),
            Section(
                "production", "What production showed", operation.production(story.windows, links)
            ),
        ],
        "How it went": [
            Section("channel", "What flowed", _channel(story, links)),
            Section("quarantine", "What was kept back", channel.quarantine(story, links)),
            Section("training", "How the models learnt", models.curves(story.curves)),
            Section("evaluation", "How good the models are", models.evaluation(story, links)),
            Section(
                "rollouts", "How candidates met traffic", operation.rollouts(story.rollouts, links)
            ),
            Section("stages", "How long it took", _stages(story, links)),
            Section("costs", "What it cost", costs(story.stages)),
        ],
        "What proves it": [
            Section(
                "releases",
                "What was released",
                proof.releases(story.releases, links) + proof.pace(story.pace),
            ),
            Section("forgeries", "What was forged", proof.forgeries(story.forgeries)),
            Section("lineage", "What came from what", channel.lineage(story, links)),
            Section("residency", "Where the bytes are", proof.residency(story.residency, links)),
            Section("audit", "The audit log", proof.audit(story.audit)),
            Section("verdicts", "Every verdict", proof.verdicts(story.verdicts)),
            Section("tables", "Every version of every table", proof.tables(story, links)),
        ],
    }


def _section(one: Section) -> str:
    return f'<section id="{one.anchor}"><h2>{escape(one.title)}</h2>{one.body}</section>'


def _contents(parts: dict[str, list[Section]]) -> str:
    """List the sections, by whose part they are."""
    lines = "".join(
        f"<p><b>{escape(name)}</b> <span>"
        + " ".join(f'<a href="#{s.anchor}">{escape(s.title)}</a>' for s in sections)
        + "</span></p>"
        for name, sections in parts.items()
        if sections
    )
    return f'<nav aria-label="Contents">{lines}</nav>' if lines else ""


def _about(story: Story) -> str:
    code = f", code <code>{escape(story.code)}</code>" if story.code else ""
    return (
        f'<p class="soft">Job <code>{escape(story.run_id)}</code>, started '
        f"{escape(story.started[:19].replace('T', ' '))}, took {duration(story.seconds)}{code}.</p>"
    )


def _lead(story: Story, links: Links) -> str:
    """Say in three sentences at most how it ended."""
    said = [text for text in _sentences(story, links) if text]
    return f'<p class="lead">{" ".join(said)}</p>' if said else ""


def _sentences(story: Story, links: Links) -> Iterator[str]:
    if champion := story.champion:
        shown = links.release(champion.uri, f"{champion.model} {champion.version}").text
        yield f"{shown} is the champion."
    turned = [r for r in story.rollouts if r.verdict.decision is not Decision.PROMOTE]
    if turned:
        names = ", ".join(f"{escape(r.name)} ({past(r.verdict.decision)})" for r in turned)
        yield f"{many(len(turned), 'candidate')} did not become champion: {names}."
    if story.windows:
        drifted = [w for w in story.windows if w.decision == Decision.DRIFT]
        names = f": {escape(', '.join(w.name for w in drifted))}" if drifted else ""
        count = f"{len(drifted)} of {many(len(story.windows), 'window')}"
        yield f"Production drifted in {count}{names}."
    if broken := [s for s in story.stages if s.error and not _decided_so(s, story)]:
        yield "The job stopped: " + "; ".join(escape(f"{s.title}: {s.error}") for s in broken) + "."


def _decided_so(stage: Stage, story: Story) -> bool:
    """Say whether a stage ended by a rollout's verdict, which is told as that."""
    return any(v.stage == stage.title and not v.verdict.passes for v in story.verdicts)


def _facts(story: Story, links: Links) -> str:
    return tiles(_tiles(story, links))


def _tiles(story: Story, links: Links) -> Iterator[tuple[object, str]]:
    yield from channel.tiles(story, links)
    yield from models.tiles(story, links)
    yield from operation.tiles(story, links)
    if story.verdicts:
        refused = sum(not one.verdict.passes for one in story.verdicts)
        counted = Html(f'<a href="#verdicts">{len(story.verdicts)}</a>')
        yield counted, f"verdicts, {refused} did not pass"
    yield Html(f'<a href="#stages">{duration(story.seconds)}</a>'), "from start to end"


def _decisions(story: Story, links: Links) -> str:
    """Show what decided the day: blessings, rollouts, the newest window, residency."""
    ends = {rollout.entry: rollout.name for rollout in story.rollouts}
    newest = max((window.drift_entry for window in story.windows), default=0)
    chosen = [
        *((one, one.verdict.subject) for one in story.blessings),
        *((one, ends[one.entry]) for one in story.verdicts if one.entry in ends),
        *((one, one.verdict.subject) for one in story.verdicts if one.entry == newest != 0),
        *((one, one.verdict.subject) for one in story.residency),
    ]
    cards = "".join(_card(one, title, links) for one, title in chosen)
    return f'<div class="pair">{cards}</div>' if cards else ""


def _card(one: Judged, title: str, links: Links) -> str:
    named = f"{title[:1].upper()}{title[1:]}"
    return judged(one.verdict, one.stage, title=named, more=links.entry(one.entry))


def _channel(story: Story, links: Links) -> str:
    drawn = channel.channel(story, links)
    return drawn + fold("Every table with the rows of its inputs", channel.rows(story, links)) if (
        drawn
    ) else ""  # fmt: skip


def _stages(story: Story, links: Links) -> str:
    if not story.stages:
        return ""
    longest = max(stage.seconds for stage in story.stages) or 1.0
    rows = [
        [
            stage.title,
            _took(stage, longest),
            _state(stage),
            _steps(stage, _why(stage, story, links)),
        ]
        for stage in story.stages
    ]
    return table(["Stage", "Time", "State", "Steps"], rows, stacked=True)


def _took(stage: Stage, longest: float) -> Html:
    return Html(f"{meter(stage.seconds / longest, css='bar')} {duration(stage.seconds)}")


def _state(stage: Stage) -> Html:
    if stage.error:
        return Html(badge(stage.state, good=False))
    return Html(badge("unchanged") if stage.skipped else "")


def _why(stage: Stage, story: Story, links: Links) -> str:
    """Say why a stage stopped: the verdict that said so, or its error."""
    if not stage.error:
        return ""
    said = [v for v in story.verdicts if v.stage == stage.title and not v.verdict.passes]
    shown = links.entry(said[-1].entry).text if said and said[-1].entry else escape(stage.error)
    return f"<p>{shown}</p>"


def _steps(stage: Stage, why: str) -> Html:
    if not stage.steps:
        return Html(why)
    rows = [[s.title, "unchanged" if s.cached else f"{s.seconds:.1f} s"] for s in stage.steps]
    ran = sum(not s.cached for s in stage.steps)
    name = f"{many(len(stage.steps), 'step')}, {ran} ran"
    return Html(why + fold(name, table(["Step", "Time"], rows)))
