"""The page of a smoke test."""

from components.foundation.page import Html, badge, judged, page, table
from components.foundation.verdict import Verdict


def render(verdict: Verdict) -> str:
    """Make the page; it holds counts and times, never values of rows."""
    evidence = {**verdict.evidence, **verdict.measured}
    malformed = evidence.pop("malformed", [])
    body = (
        judged(verdict, verdict.judged, verdict.time)
        + table(["seen", "value"], evidence.items())
        + table(
            ["malformed request", "expected", "answered", ""],
            [[c["name"], c["wanted"], c["got"], _word(c["good"])] for c in malformed],
        )
    )
    return page(verdict.subject, body)


def _word(good: bool) -> Html:
    return Html(badge("refused well" if good else "not so", good=good))
