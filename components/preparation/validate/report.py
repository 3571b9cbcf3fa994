"""The page of a contract's verdict: one line a rule."""

from collections.abc import Mapping
from html import escape
from typing import Any

from components.foundation.page import Html, badge, judged, page, table
from components.foundation.verdict import Verdict


def render(verdict: Verdict) -> str:
    """Make the page; it holds counts, never values of rows."""
    evidence = verdict.evidence
    body = (
        judged(verdict, evidence["table"], verdict.time)
        + table(
            ["rule", "expected", "rows that break it", "fraction", "tolerated", "severity", ""],
            [_row(finding) for finding in evidence["rules"]],
        )
        + (f"<p>Freshness {escape(evidence['freshness'])}</p>" if "freshness" in evidence else "")
    )
    return page(verdict.subject, body)


def _row(finding: Mapping[str, Any]) -> list[object]:
    warns = finding["severity"] == "warning"
    word = "holds" if finding["holds"] else ("warns" if warns else "broken")
    good = True if finding["holds"] else (None if warns else False)
    return [
        finding["rule"],
        finding["expected"],
        finding["broken"],
        f"{finding['fraction']:.3%}",
        f"{finding['tolerated']:.3%}",
        finding["severity"],
        Html(badge(word, good=good)),
    ]
