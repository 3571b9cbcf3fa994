"""Pages that load nothing and run nothing: the skeleton, tables, numbers and words.

Every text given is escaped here; `Html` marks what is HTML already.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

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


def page(title: str, body: str) -> str:
    """Wrap a body of HTML into a page that loads nothing and runs nothing."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'; img-src data:\">"
        f"<title>{escape(title)}</title><style>{_CSS}</style></head>"
        f"<body><main><h1>{escape(title)}</h1>\n{body}\n</main></body></html>\n"
    )


def _counts(value: object) -> bool:
    return isinstance(value, int | float | Figure) and not isinstance(value, bool)


def _cells(row: Sequence[object], headers: Sequence[str], right: Sequence[bool]) -> str:
    """A card on a phone has no header row, so each cell carries its header's name."""
    return "".join(
        f'<td data-name="{escape(name)}"{_RIGHT if is_right else ""}>{_content(value)}</td>'
        for value, name, is_right in zip(row, headers, right, strict=True)
    )


def _content(value: object) -> str:
    return value.text if isinstance(value, Html) else escape(number(value))


_CSS = """
:root {
  color-scheme: light dark;
  --ink: #1b1f24; --soft: #57606a; --paper: #fff; --card: #f6f7f9; --edge: #d5d9df;
  --good: #0b6b3a; --bad: #a8321a; --link: #0b5cad;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e8eaed; --soft: #a5adb8; --paper: #14171b; --card: #1d2127; --edge: #3a414b;
    --good: #5fd39a; --bad: #ff9b80; --link: #7ab8ff;
  }
  .c0 { color: #5ab1e8 } .c1 { color: #ff9150 } .c2 { color: #3fd0a5 }
  .c3 { color: #e59ac2 } .c4 { color: #f0b429 } .c5 { color: #9ccbf0 }
}
* { box-sizing: border-box }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", "Noto Sans", sans-serif;
}
main { max-width: 70rem; margin: 0 auto; padding: 1rem 1rem 4rem }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .5rem 0; overflow-wrap: anywhere }
h2 {
  font-size: 1.25rem; margin: 2.2rem 0 .6rem; padding-top: .6rem;
  border-top: 1px solid var(--edge);
}
h3 { font-size: 1.05rem; margin: 1.2rem 0 .4rem }
p { margin: .4rem 0; max-width: 46rem; overflow-wrap: anywhere }
a { color: var(--link) }
code { font: .88em ui-monospace, monospace; overflow-wrap: anywhere }
code.id { white-space: nowrap }
.soft { color: var(--soft) }
.facts {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr));
  gap: .7rem; margin: 1rem 0; padding: 0; list-style: none;
}
.facts li {
  background: var(--card); border: 1px solid var(--edge); border-radius: .5rem;
  padding: .6rem .8rem;
}
.facts b {
  display: block; font-size: 1.45rem; line-height: 1.25; font-variant-numeric: tabular-nums;
}
.charts {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr));
  gap: 1rem 1.5rem;
}
.chart { margin: .6rem 0; max-width: 28rem; min-width: 0 }
.chart > svg { display: block; width: 100%; height: auto }
figcaption { font-weight: 600; margin-bottom: .2rem }
.legend {
  display: flex; flex-wrap: wrap; gap: .1rem 1rem; margin: 0; padding: 0;
  list-style: none; font-size: .85rem;
}
.legend svg { vertical-align: middle }
.wide { overflow-x: auto; margin: .6rem 0 }
table { border-collapse: collapse; font-size: .92rem }
caption { text-align: left; font-weight: 600; padding-bottom: .2rem }
th, td {
  text-align: left; padding: .3rem .9rem .3rem 0; vertical-align: top;
  border-bottom: 1px solid var(--edge);
}
th { font-weight: 600; color: var(--soft); white-space: nowrap }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
details { margin: .6rem 0 }
summary { cursor: pointer; color: var(--link) }
.badge {
  display: inline-block; border: 1px solid; border-radius: 1rem; padding: 0 .6rem;
  font-size: .85rem; font-weight: 600; white-space: nowrap;
}
.good { color: var(--good) } .bad { color: var(--bad) } .plain { color: var(--soft) }
@media (max-width: 40rem) {
  .stacked thead { display: none }
  .stacked tr { display: block; padding: .5rem 0; border-bottom: 1px solid var(--edge) }
  .stacked td { display: block; padding: .1rem 0; border: 0; text-align: left; white-space: normal }
  .stacked td:empty { display: none }
  .stacked td::before { content: attr(data-name) ": "; color: var(--soft) }
}
@media print {
  body { font-size: 11px }
  .chart, tr { break-inside: avoid }
  .wide { overflow: visible }
}
"""
