"""Charts that need nothing: inline SVG, for pages made by `components.foundation.page`.

No scripts, no network, readable in light and dark. Charts are HTML figures, so captions and
legends wrap on a phone. Series differ by colour (Okabe and Ito's palette, safe for the
colour-blind), by dash and by name. Every text given is escaped here.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from components.foundation import axes
from components.foundation.axes import Scale
from components.foundation.page import number

_BAR = 40  # height of a bar with its words
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#b4508a", "#a66f00", "#4a90c2")
_DASHES = ("", "7 4", "2 3", "9 3 2 3", "4 4", "12 3")
_MAX_POINTS = 60  # beyond this a line is drawn without its points


@dataclass(frozen=True, slots=True)
class Series:
    """One line: a value for each x; None and NaN are gaps; low and high draw a band.

    Attributes:
        stepped: a value holds until the next one, as of a setting that is switched.
    """

    name: str
    values: Sequence[float | None]
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()
    stepped: bool = False


@dataclass(frozen=True, slots=True)
class Counted:
    """What values count, e.g. "errors, %", and between which ends; by default the values decide."""

    label: str = ""
    ends: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """A vertical line with a few words, e.g. where a canary was rolled back."""

    x: float | str
    label: str


@dataclass(frozen=True, slots=True)
class Level:
    """A horizontal line with a few words, e.g. a limit."""

    y: float
    label: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar or dot, with an interval if low and high are given."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None


_ANY = Counted()


def line_chart(
    series: Sequence[Series],
    *,
    title: str,
    x: Sequence[float] | Sequence[str],
    x_label: str = "",
    y: Counted = _ANY,
    marks: Sequence[Mark | Level] = (),
) -> str:
    """Draw lines over numbers or names, with interval bands, marked moments and limits.

    Args:
        series: the lines; each has as many values as there are x.
        title: the caption, also what a screen reader says.
        x: numbers make a linear axis, texts are spread evenly.
        x_label: what x counts, e.g. "requests".
        y: what the values count.
        marks: lines down and across.
    """
    moments = [mark for mark in marks if isinstance(mark, Mark)]
    levels = [mark for mark in marks if isinstance(mark, Level)]
    known = [*_every_value(series), *(level.y for level in levels)]
    ticks = axes.tick_values(*(y.ends or axes.extent(known)))
    across, down = axes.x_scale(x), Scale(ticks[0], ticks[-1], axes.HEIGHT - axes.BOTTOM, axes.TOP)
    places = [across(place) for place in axes.spread(x)]
    parts = (
        axes.y_axis(ticks, down),
        axes.x_axis(x, places, across),
        _moments(moments, x, across),
        *(axes.horizontal(down(level.y), level.label) for level in levels),
        *(_line(one, i, places, down, x) for i, one in enumerate(series)),
        axes.names(x_label, y.label),
    )
    legend = _legend([one.name for one in series]) if len(series) > 1 else ""
    return _figure(title, "".join(parts), axes.HEIGHT + (14 if x_label else 0), legend)


def bar_chart(
    bars: Sequence[Bar], *, title: str, unit: str = "", marks: Sequence[Mark] = ()
) -> str:
    """Draw horizontal bars, each labelled above it, so that long names fit a phone.

    Args:
        bars: in the order shown.
        title: the caption, also what a screen reader says.
        unit: written after every value, e.g. "rows".
        marks: vertical lines at a value, e.g. a threshold.
    """
    ends = [v for bar in bars for v in (bar.value, bar.low, bar.high) if _finite(v)]
    at = [float(mark.x) for mark in marks]
    low, high = axes.extent([0.0, *(e for e in ends if e is not None), *at])
    across = Scale(min(low, 0), high, 2, axes.WIDTH - 4)
    height = _BAR * len(bars) + (20 if marks else 4)
    lines = "".join(axes.vertical(across(float(m.x)), m.label, 14, height) for m in marks)
    top = 18 if marks else 2
    drawn = "".join(_bar(bar, across, top + _BAR * i, unit) for i, bar in enumerate(bars))
    return _figure(title, lines + drawn, max(height, _BAR), "")


def dot_chart(dots: Sequence[Bar], *, title: str, x_label: str = "") -> str:
    """Draw values with their intervals on an axis that need not begin at zero.

    Use it where differences matter more than sizes, e.g. a metric of several models.
    """
    ends = [v for dot in dots for v in (dot.value, dot.low, dot.high) if v is not None]
    ticks = axes.tick_values(*axes.extent([v for v in ends if math.isfinite(v)]))
    across = Scale(ticks[0], ticks[-1], 16, axes.WIDTH - 16)
    height = _BAR * len(dots) + 26
    axis = "".join(
        f'<path d="M{across(tick):g},18 V{height - 20}" stroke="currentColor" opacity="0.18"/>'
        f'<text x="{across(tick):g}" y="{height - 4}" text-anchor="middle">'
        f"{axes.tick_text(tick, ticks)}</text>"
        for tick in ticks[:: 1 if len(ticks) < 7 else 2]
    )
    drawn = "".join(_dot(dot, across, _BAR * i) for i, dot in enumerate(dots))
    return _figure(f"{title}{f', {x_label}' if x_label else ''}", axis + drawn, height, "")


def meter(share: float, *, css: str = "") -> str:
    """Draw a small bar that is filled to a share, beside the number it stands for."""
    kind = f' class="{css}"' if css else ""
    width = round(100 * min(max(share, 0.0), 1.0), 1)
    return (
        f'<svg{kind} viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        '<rect width="100" height="8" rx="2" fill="currentColor" opacity="0.18"/>'
        f'<rect width="{width:g}" height="8" rx="2" fill="currentColor"/></svg>'
    )


def _figure(title: str, drawing: str, height: float, legend: str) -> str:
    return (
        f'<figure class="chart"><figcaption>{escape(title)}</figcaption>{legend}'
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {axes.WIDTH} {height:g}" role="img" '
        f'aria-label="{escape(title)}" font-family="system-ui, sans-serif" font-size="13" '
        f'fill="currentColor">{drawing}</svg></figure>'
    )


def _legend(names: Sequence[str]) -> str:
    entries = "".join(
        f'<li><svg viewBox="0 0 28 12" width="28" height="12" aria-hidden="true">'
        f"{_paint(i, _stroke(i, 'M1,6 L27,6'))}</svg> {escape(name)}</li>"
        for i, name in enumerate(names)
    )
    return f'<ul class="legend">{entries}</ul>'


def _paint(index: int, drawing: str) -> str:
    """Colour a drawing by series; a page may restyle the classes, elsewhere the colour holds."""
    colour = index % len(_COLOURS)
    return f'<g class="c{colour}" color="{_COLOURS[colour]}">{drawing}</g>'


def _stroke(index: int, path: str) -> str:
    dash = _DASHES[index % len(_DASHES)]
    style = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<path d="{path}" fill="none" stroke="currentColor" stroke-width="2.2"{style}/>'


def _line(
    one: Series,
    index: int,
    places: Sequence[float],
    down: Scale,
    x: Sequence[float] | Sequence[str],
) -> str:
    runs = list(_runs(places, one.values, down))
    path = " ".join(_path(run, stepped=one.stepped) for run in runs)
    dots = _dots(one, places, down, x) if len(places) <= _MAX_POINTS else ""
    return _paint(index, _band(one, places, down) + (_stroke(index, path) if path else "") + dots)


def _path(run: Sequence[tuple[float, float]], *, stepped: bool) -> str:
    (first, height), *rest = run
    if stepped:
        return f"M{first:g},{height:g}" + "".join(f" V{b:g} H{a:g}" for a, b in rest)
    return f"M{first:g},{height:g}" + "".join(f" L{a:g},{b:g}" for a, b in rest)


def _runs(
    places: Sequence[float], values: Sequence[float | None], down: Scale
) -> Iterator[list[tuple[float, float]]]:
    """Yield the stretches without gaps."""
    run: list[tuple[float, float]] = []
    for place, value in zip(places, values, strict=True):
        if value is not None and math.isfinite(value):
            run.append((place, down(value)))
        elif run:
            yield run
            run = []
    if run:
        yield run


def _band(one: Series, places: Sequence[float], down: Scale) -> str:
    known = [
        (place, down(low), down(high))
        for place, low, high in zip(places, one.low, one.high, strict=False)
        if low is not None and high is not None and math.isfinite(low) and math.isfinite(high)
    ]
    if not known:
        return ""
    if len(known) == 1:
        ((place, low, high),) = known
        return f'<path d="M{place:g},{low:g} V{high:g}" stroke="currentColor" stroke-width="1.5"/>'
    edge = [f"{p:g},{h:g}" for p, _, h in known] + [f"{p:g},{w:g}" for p, w, _ in reversed(known)]
    return f'<polygon points="{" ".join(edge)}" fill="currentColor" opacity="0.18"/>'


def _dots(
    one: Series, places: Sequence[float], down: Scale, x: Sequence[float] | Sequence[str]
) -> str:
    return "".join(
        f'<circle cx="{place:g}" cy="{down(value):g}" r="3.2" fill="currentColor">'
        f"<title>{escape(f'{one.name}, {label}: {number(value)}')}</title></circle>"
        for place, value, label in zip(places, one.values, x, strict=True)
        if value is not None and math.isfinite(value)
    )


def _bar(bar: Bar, across: Scale, top: float, unit: str) -> str:
    start, end = sorted((across(0), across(bar.value)))
    block = (
        f'<rect x="{start:g}" y="{top + 18:g}" width="{max(end - start, 1):g}" height="14" '
        'fill="currentColor" rx="2"/>'
    )
    return _bar_words(bar, top, unit) + _paint(0, block) + _whisker(bar, across, top)


def _dot(dot: Bar, across: Scale, top: float) -> str:
    circle = f'<circle cx="{across(dot.value):g}" cy="{top + 25:g}" r="5" fill="currentColor"/>'
    return _bar_words(dot, top, "") + _whisker(dot, across, top) + _paint(0, circle)


def _bar_words(bar: Bar, top: float, unit: str) -> str:
    text = f"{number(bar.value)} {unit}".strip()
    if bar.low is not None and bar.high is not None:
        text += f" [{number(bar.low)}, {number(bar.high)}]"
    room = int(axes.WIDTH / axes.CHARACTER) - len(text) - 1
    label = (
        bar.label if len(bar.label) <= room else f"{bar.label[: room - 1]}\N{HORIZONTAL ELLIPSIS}"
    )
    return (
        f'<text x="2" y="{top + 12:g}">{escape(label)}<title>{escape(bar.label)}</title></text>'
        f'<text x="{axes.WIDTH - 2}" y="{top + 12:g}" text-anchor="end">{escape(text)}</text>'
    )


def _whisker(bar: Bar, across: Scale, top: float) -> str:
    if bar.low is None or bar.high is None:
        return ""
    middle, low, high = top + 25, across(bar.low), across(bar.high)
    return (
        f'<path d="M{low:g},{middle:g} L{high:g},{middle:g} M{low:g},{middle - 5:g} v10 '
        f'M{high:g},{middle - 5:g} v10" stroke="currentColor" stroke-width="1.5"/>'
    )


def _moments(marks: Sequence[Mark], x: Sequence[float] | Sequence[str], across: Scale) -> str:
    """Draw lines down, their words on three levels so that neighbours do not collide."""
    drawn = []
    for i, mark in enumerate(marks):
        place = float(mark.x) if axes.numeric(x) else float(list(map(str, x)).index(str(mark.x)))
        top, bottom = axes.TOP + 10 + 15 * (i % 3), axes.HEIGHT - axes.BOTTOM
        drawn.append(axes.vertical(across(place), mark.label, top, bottom))
    return "".join(drawn)


def _every_value(series: Sequence[Series]) -> list[float]:
    columns = (c for one in series for c in (one.values, one.low, one.high))
    return [v for column in columns for v in column if v is not None and math.isfinite(v)]


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
