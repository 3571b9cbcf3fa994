"""The page of a drift verdict: what moved, by how much, against which floor."""

from collections.abc import Mapping
from typing import Any

from components.foundation.page import Html, badge, judged, number, page, table
from components.foundation.svg import Bar, Mark, bar_chart
from components.foundation.verdict import Verdict

_SHOWN = 12


def render(verdict: Verdict) -> str:
    """Make the page; it holds shares and statistics, never values of rows."""
    findings = verdict.evidence.get("findings", [])
    rows, reference = (number(verdict.evidence[name]) for name in ("rows", "reference_rows"))
    body = (
        judged(verdict, f"{rows} rows against {reference}", verdict.time)
        + (_chart(findings, verdict.evidence["effect_floor"]) if findings else "")
        + (_table(findings) if findings else "")
        + '<p class="soft">Without labels nobody can see that the same features came to mean '
        "something else; performance with labels shows that.</p>"
    )
    return page(verdict.subject, body)


def _chart(findings: list[Mapping[str, Any]], floor: float) -> str:
    moved = [f for f in findings if f["question"] == "distribution"][:_SHOWN]
    bars = [Bar(f["column"], f["effect"]) for f in moved]
    title = "How far distributions moved (PSI)"
    return bar_chart(bars, title=title, marks=[Mark(floor, "floor")])


def _table(findings: list[Mapping[str, Any]]) -> str:
    headers = ["column", "what", "effect", "floor", "chance", "p, adjusted", ""]
    rows = [
        [
            f["column"],
            f["question"],
            f["effect"],
            f["floor"],
            f["noise"],
            f["p_adjusted"],
            Html(badge("drifted" if f["drifted"] else "stable", good=not f["drifted"])),
        ]
        for f in findings
    ]
    return table(headers, rows)
