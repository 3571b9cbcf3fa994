"""Axes of the charts of `components.foundation.svg`: scales, ticks, and lines across them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 400, 250  # user units, about pixels on a phone
LEFT, RIGHT, TOP, BOTTOM = 54, 12, 28, 30
CHARACTER = 8.0  # width of a character at the font size of the axes, in a wide font


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear map from data to user units."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / ((self.high - self.low) or 1)
        return round(self.start + share * (self.end - self.start), 1)


def x_scale(x: Sequence[float] | Sequence[str]) -> Scale:
    """Leave a margin at both ends, wider for names."""
    places = spread(x) or [0.0]
    inset = 6 if numeric(x) else 30
    return Scale(min(places), max(places), LEFT + inset, WIDTH - RIGHT - inset)


def extent(values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of some values, never equal; (0, 1) when there are none."""
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    if low == high:
        return (low - abs(low) * 0.1, high + abs(high) * 0.1) if low else (0.0, 1.0)
    return low, high


def tick_values(low: float, high: float, *, wanted: int = 5) -> list[float]:
    """Return round numbers that enclose a range: steps of 1, 2 or 5 times a power of ten."""
    raw = (high - low) / wanted or 1.0
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * f for f in (1, 2, 5, 10) if power * f >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def tick_text(value: float, ticks: Sequence[float]) -> str:
    """Write a tick with as many digits as its neighbours need."""
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    return f"{value:,.{max(0, -math.floor(math.log10(step) + 1e-9))}f}"


def numeric(x: Sequence[float] | Sequence[str]) -> bool:
    """Say whether an axis is linear, or has names."""
    return all(isinstance(value, int | float) for value in x)


def spread(x: Sequence[float] | Sequence[str]) -> list[float]:
    """Return numbers as they are; texts one apart."""
    return [float(v) for v in x] if numeric(x) else [float(i) for i in range(len(x))]


def y_axis(ticks: Sequence[float], down: Scale) -> str:
    """Draw a faint line across at each tick."""
    return "".join(
        f'<path d="M{LEFT},{down(tick):g} H{WIDTH - RIGHT}" stroke="currentColor" '
        f'opacity="0.18"/><text x="{LEFT - 6}" y="{down(tick) + 4:g}" text-anchor="end">'
        f"{tick_text(tick, ticks)}</text>"
        for tick in ticks
    )


def x_axis(x: Sequence[float] | Sequence[str], places: Sequence[float], across: Scale) -> str:
    """Write numbers at round places, or as many names as there is room for."""
    if numeric(x):
        ticks = [t for t in tick_values(across.low, across.high) if across.low <= t <= across.high]
        shown = [(across(tick), tick_text(tick, ticks)) for tick in ticks]
    else:
        longest = max((len(str(label)) for label in x), default=1) + 1
        room = max(1, int((WIDTH - LEFT - RIGHT) / (longest * CHARACTER)))
        every = math.ceil(len(x) / room)
        shown = [(places[i], str(x[i])) for i in range(0, len(x), every)]
    return "".join(
        f'<text x="{place:g}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">'
        f"{escape(label)}</text>"
        for place, label in shown
    )


def names(x_label: str, y_label: str) -> str:
    """Say what each axis counts."""
    across = (
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT + 6}" text-anchor="end" opacity="0.8">'
        f"{escape(x_label)}</text>"
        if x_label
        else ""
    )
    up = f'<text x="2" y="12" opacity="0.8">{escape(y_label)}</text>' if y_label else ""
    return across + up


def horizontal(place: float, label: str) -> str:
    """Draw a line across, with a few words above it."""
    return (
        f'<path d="M{LEFT},{place:g} H{WIDTH - RIGHT}" stroke="currentColor" '
        f'stroke-dasharray="6 4"/><text x="{LEFT + 4}" y="{place - 4:g}" '
        f'font-size="12">{escape(label)}</text>'
    )


def vertical(place: float, label: str, top: float, bottom: float) -> str:
    """Draw a line down, with a few words on the side that has room."""
    left = place < WIDTH / 2
    anchor, shift = ("start", 4) if left else ("end", -4)
    return (
        f'<path d="M{place:g},{top - 10:g} V{bottom:g}" stroke="currentColor" '
        f'stroke-dasharray="3 3" opacity="0.6"/><text x="{place + shift:g}" y="{top:g}" '
        f'text-anchor="{anchor}" font-size="12">{escape(label)}</text>'
    )
