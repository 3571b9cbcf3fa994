"""Pages that load nothing and run nothing: the skeleton, and the blocks all reports are made of.

Every text given is escaped here; `Html` marks what is HTML already.
"""

import contextlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from components.foundation.look import CSS
from components.foundation.verdict import Decision, Verdict

_UNDECIDED = {Decision.CONTINUE, Decision.INCONCLUSIVE}
_FIRST = ("rule", "column", "window", "view", "name", "field")  # what a row is about
_UNKNOWN = "\N{EN DASH}"
_RIGHT = ' class="n"'
_STACKED = ' class="stacked"'


@dataclass(frozen=True, slots=True)
class Html:
    """A cell that is HTML already, such as a badge."""

    text: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A cell that is a number with a fixed count of decimals, so that a column lines up."""

    value: float | None
    digits: int

    def __str__(self) -> str:
        return _UNKNOWN if self.value is None else f"{self.value:,.{self.digits}f}"


def table(
    headers: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    caption: str = "",
    stacked: bool = False,
) -> str:
    """Make a table; numbers get separators, and columns of numbers stand to the right.

    Args:
        headers: one a column.
        rows: cells are texts (escaped), numbers, `Figure` or `Html`.
        caption: shown above.
        stacked: on a phone show each row as a card, for tables with sentences in them;
            other tables scroll by themselves.
    """
    rows = list(rows)
    right = [any(_counts(row[i]) for row in rows) for i in range(len(headers))]
    head = "".join(
        f'<th scope="col"{_RIGHT if is_right else ""}>{escape(name)}</th>'
        for name, is_right in zip(headers, right, strict=True)
    )
    body = "".join(f"<tr>{_cells(row, headers, right)}</tr>" for row in rows)
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    name = escape(caption or ", ".join(headers))
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{name}">'
        f"<table{_STACKED if stacked else ''}>{title}<thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def number(value: object) -> str:
    """Write a value for a person: 336,776 or 0.7421; nothing known is a dash."""
    match value:
        case None:
            return _UNKNOWN
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float() if not math.isfinite(value):
            return _UNKNOWN
        case float() if value == 0 or abs(value) >= 1000:
            return f"{value:,.0f}"
        case float():
            digits = max(0, 3 - math.floor(math.log10(abs(value))))
            return f"{value:.{digits}f}" if digits < 9 else f"{value:.2e}"
        case _:
            return str(value)


def badge(text: str, *, good: bool | None = None) -> str:
    """Show a decision as a word in a coloured frame; the word alone says it all."""
    kind = {True: "good", False: "bad", None: "plain"}[good]
    return f'<span class="badge {kind}">{escape(text)}</span>'


def decided(decision: str) -> Html:
    """Show a decision; one that is neither yes nor no stays grey."""
    return Html(badge(decision, good=_good(decision)))


def judged(verdict: Verdict, *said: str, title: str = "", more: Html | None = None) -> str:
    """Open a report with what was decided and why: the same block wherever something judges.

    Args:
        verdict: what was decided.
        said: what was judged and when, in a line below.
        title: what it is about, above the reason; nothing where the page says it already.
        more: HTML after that, such as links.
    """
    kind = {True: "good", False: "bad", None: "plain"}[_good(verdict.decision)]
    name = f"<b>{escape(title)}</b>" if title else ""
    line = " · ".join([*map(escape, filter(None, said)), *([more.text] if more else [])])
    below = f'<p class="soft">{line}</p>' if line else ""
    return (
        f'<div class="judged {kind}"><p>{decided(verdict.decision).text} {name}</p>'
        f"<p>{escape(verdict.reason)}</p>{below}</div>"
    )


def tiles(figures: Iterable[tuple[object, str]]) -> str:
    """Show the few numbers that matter most; each a value and what it counts."""
    items = "".join(f"<li><b>{_content(v)}</b>{escape(name)}</li>" for v, name in figures)
    return f'<ul class="facts">{items}</ul>' if items else ""


def charts(*drawn: str) -> str:
    """Set charts side by side where there is room."""
    found = "".join(drawn)
    return f'<div class="charts">{found}</div>' if found else ""


def facts(pairs: Iterable[tuple[str, object]]) -> str:
    """List what is known of one thing: names and values, on a phone one below the other."""
    items = "".join(f"<dt>{escape(name)}</dt><dd>{_content(value)}</dd>" for name, value in pairs)
    return f"<dl>{items}</dl>" if items else ""


def fold(summary: str, body: str, *, is_open: bool = False) -> str:
    """Keep what few look for one press away; paper shows it whole."""
    return (
        f"<details{' open' if is_open else ''}><summary>{escape(summary)}</summary>{body}</details>"
    )


def exact(value: float | None, *, digits: int | None = None) -> Html:
    """Write a number for a person, and all of it for a program that compares."""
    if value is None:
        return Html(_UNKNOWN)
    shown = number(value) if digits is None else str(Figure(value, digits))
    return Html(f'<data value="{value!r}">{shown}</data>')


def evidence(found: Mapping[str, Any]) -> str:
    """Lay out a verdict's evidence, whatever is in it: names and values, lists as tables."""
    plain, wide = list[tuple[str, object]](), list[str]()
    for name, value in _flat(found):
        match value:
            case [dict(), *_]:
                wide.append(_listed(name, value))
            case _:
                plain.append((name, _cell(value)))
    return facts(plain) + "".join(wide)


def page(title: str, body: str) -> str:
    """Wrap a body of HTML into a page that loads nothing and runs nothing."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'; img-src data:\">"
        f"<title>{escape(title)}</title><style>{CSS}</style></head>"
        f"<body><main><h1>{escape(title)}</h1>\n{body}\n</main></body></html>\n"
    )


def _good(decision: str) -> bool | None:
    with contextlib.suppress(ValueError):
        known = Decision(decision)
        return None if known in _UNDECIDED else known.passes
    return None


def _flat(facts: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in facts.items():
        name = f"{above}{key}".replace("_", " ")
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{name}, ")
        else:
            yield name, _UNKNOWN if value == {} else value


def _listed(name: str, rows: Sequence[Any]) -> str:
    headers = list(dict.fromkeys(key for row in rows for key in row))
    headers.sort(key=lambda key: _FIRST.index(key) if key in _FIRST else len(_FIRST))
    cells = [[_cell(row.get(key)) for key in headers] for row in rows]
    return table([key.replace("_", " ") for key in headers], cells, caption=name)


def _cell(value: object) -> object:
    match value:
        case dict():
            return ", ".join(f"{key} {number(_cell(item))}" for key, item in value.items())
        case list():
            return ", ".join(number(_cell(item)) for item in value) or _UNKNOWN
        case float() if value.is_integer():  # a count, after KFP made it a float
            return int(value)
    return value


def _counts(value: object) -> bool:
    if isinstance(value, Html):
        return "<data " in value.text
    return isinstance(value, int | float | Figure) and not isinstance(value, bool)


def _cells(row: Sequence[object], headers: Sequence[str], right: Sequence[bool]) -> str:
    """A card on a phone has no header row, so each cell carries its header's name."""
    return "".join(
        f'<td data-name="{escape(name)}"{_RIGHT if is_right else ""}>{_content(value)}</td>'
        for value, name, is_right in zip(row, headers, right, strict=True)
    )


def _content(value: object) -> str:
    return value.text if isinstance(value, Html) else escape(number(value))
