"""The few words and marks that every section of the report shares."""

import contextlib
from html import escape

from components.foundation.page import Html, badge, number
from components.foundation.verdict import Decision

_UNDECIDED = {Decision.CONTINUE, Decision.INCONCLUSIVE}


def decided(decision: str) -> Html:
    """Show a decision; one that is neither yes nor no stays grey."""
    good: bool | None = None
    with contextlib.suppress(ValueError):
        known = Decision(decision)
        good = None if known in _UNDECIDED else known.passes
    return Html(badge(decision, good=good))


def duration(seconds: float) -> str:
    """Write seconds as people say them; `duration(90) == "1 min 30 s"`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def short(digest: str) -> str:
    """Show the first digits of a digest, and all of it on pressing or printing to text."""
    if not digest:
        return ""
    name = digest.removeprefix("sha256:")
    return f'<code class="id" title="{escape(digest)}">{escape(name[:12])}</code>'


def interval(value: float, low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return number(value)
    return f"{number(value)} [{number(low)}, {number(high)}]"


def percent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 3)
