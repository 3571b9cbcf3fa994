"""The report's part on what flowed: the channel, what was kept back, and what came from what."""

from collections.abc import Iterator, Mapping
from html import escape

from components.foundation.page import Html, exact, number, table
from components.foundation.svg import Bar, bar_chart, meter
from components.governance.report.story import Story, Table
from components.governance.report.words import Links, brief, many

_RAW, _CURATED, _FEATURES = "s3://falaj-raw/", "s3://falaj-curated/", "s3://falaj-features/"
_SHOWN_RULES = 10
_OBSERVED = (f"{_CURATED}observations/", f"{_CURATED}live/")


def tiles(story: Story, links: Links) -> Iterator[tuple[Html, str]]:
    """Yield how many rows came in, and how many were kept back."""
    raw = [t for t in story.newest_tables() if t.ref.startswith(_RAW)]
    if raw:
        read = exact(sum(t.rows or 0 for t in raw)).text
        yield Html(f'<a href="#channel">{read}</a>'), f"rows in {many(len(raw), 'raw table')}"
    if story.quarantine:
        kept = exact(sum(one.rows for one in story.quarantine)).text
        yield Html(f'<a href="#quarantine">{kept}</a>'), "rows in quarantine"


def channel(story: Story, links: Links) -> str:
    """Draw the channel: each level a column, each table with the rows it holds."""
    if not story.tables:
        return ""
    newest = list(story.newest_tables())
    most = max((t.rows or 0 for t in newest), default=0) or 1
    raw = [t for t in newest if t.ref.startswith(_RAW)]
    seen = [t for t in newest if t.ref.startswith(_OBSERVED)]
    curated = [t for t in newest if t.ref.startswith(_CURATED) and t not in seen]
    features = [t for t in newest if t.ref.startswith(_FEATURES)]
    levels = {
        "Sources": [f"<li>{_breakable(brief(s))}</li>" for s in _outside(raw, newest)],
        "Raw": [_card(t, most, links) for t in raw],
        "Curated": [_card(t, most, links) for t in curated] + _kept(story),
        "Features": [_card(t, most, links) for t in features],
        "Releases": [_release(story, uri, links) for uri in _uris(story)],
        "Observed": [_card(t, most, links) for t in seen],
    }
    drawn = "".join(
        f'<div class="level"><h3>{name}</h3><ul>{"".join(cards)}</ul></div>'
        for name, cards in levels.items()
        if cards
    )
    return f'<div class="channel">{drawn}</div>'


def rows(story: Story, links: Links) -> str:
    """List the newest version of every table: rows of each input, kept back, rows out."""
    known = {t.ref: t for t in story.tables}
    cells = [
        [
            links.table(one.ref),
            Html("<br>".join(_source(ref, known, links) for ref in one.sources)),
            one.kept_back or None,
            links.table(one.ref, exact(one.rows)) if one.rows is not None else None,
            one.step,
        ]
        for one in story.newest_tables()
    ]
    return table(["Table", "Made from", "Kept back", "Rows", "By"], cells, stacked=True)


def quarantine(story: Story, links: Links) -> str:
    """Draw and list the rows that each rule kept back, most first."""
    if not story.quarantine:
        return ""
    kept = sorted(story.quarantine, key=lambda one: -one.rows)
    bars = [Bar(f"{one.table}: {one.rule}", one.rows) for one in kept[:_SHOWN_RULES]]
    drawn = bar_chart(bars, title="Rows that break a rule", unit="rows")
    listed = table(
        ["Table", "Rule", "Rows", "On the way into"],
        [
            [one.table, one.rule, links.table(one.into, exact(one.rows)), links.table(one.into)]
            for one in kept
        ],
        stacked=True,
    )
    return f'<div class="pair">{drawn}{listed}</div>'


def lineage(story: Story, links: Links) -> str:
    """Show what each release was made of, back to the sources."""
    known, made = {t.ref: t for t in story.tables}, dict[tuple[str, ...], list[str]]()
    for release in story.releases:
        made.setdefault(release.tables, []).append(links.release(release.uri).text)
    return "".join(
        f'<h3>{", ".join(names)}</h3><ul class="tree">{_tree(refs, known, links, set())}</ul>'
        for refs, names in made.items()
        if refs
    )


def _tree(refs: tuple[str, ...], known: Mapping[str, Table], links: Links, shown: set[str]) -> str:
    """Nest what was made under what it was made from; a second time only its name."""
    items = []
    for ref in refs:
        sources = known[ref].sources if ref in known else ()
        again = ref in shown and bool(sources)
        shown.add(ref)
        below = "" if again or not sources else f"<ul>{_tree(sources, known, links, shown)}</ul>"
        made = _made(known.get(ref)) + (", as above" if again else "")
        items.append(f'<li>{links.table(ref).text} <span class="soft">{made}</span>{below}</li>')
    return "".join(items)


def _made(one: Table | None) -> str:
    if one is None:
        return "source"
    counted = f"{one.rows:,} rows, " if one.rows is not None else ""
    return escape(f"{counted}{one.step}")


def _source(ref: str, known: Mapping[str, Table], links: Links) -> str:
    one = known.get(ref)
    counted = f" {number(one.rows)}" if one and one.rows is not None else ""
    return links.table(ref).text + counted


def _outside(raw: list[Table], newest: list[Table]) -> list[str]:
    """Name the sources of raw tables that are no tables themselves."""
    ours = {t.ref for t in newest}
    return list(dict.fromkeys(s for t in raw for s in t.sources if s not in ours))


def _breakable(name: str) -> str:
    """Let a long name break where people would break it."""
    return "<bdi>" + "/<wbr>".join(map(escape, name.split("/"))) + "</bdi>"


def _card(one: Table, most: int, links: Links) -> str:
    name = brief(one.name).partition("/")[2] or one.name  # its level says the layer
    if one.rows is None:
        return f"<li>{links.table(one.ref, name).text}</li>"
    counted = links.table(one.ref, exact(one.rows)).text
    return f"<li><b>{counted}</b>{_breakable(name)}{meter(one.rows / most)}</li>"


def _kept(story: Story) -> list[str]:
    kept = sum(one.rows for one in story.quarantine)
    if not kept:
        return []
    counted = exact(kept).text
    return [f'<li class="bad"><b><a href="#quarantine">{counted}</a></b>kept back</li>']


def _uris(story: Story) -> list[str]:
    return [release.uri for release in story.releases]


def _release(story: Story, uri: str, links: Links) -> str:
    (release,) = (r for r in story.releases if r.uri == uri)
    kind = ' class="good"' if release.fate == "champion" else ""
    shown = links.release(uri, release.version).text
    return f"<li{kind}><b>{shown}</b>{escape(release.model)}, {escape(release.fate)}</li>"
