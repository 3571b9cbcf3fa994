"""What the online store answers, for a person."""

from components.foundation.page import judged, page, table
from components.foundation.verdict import Verdict

_HEADERS = ("view", "rows", "read back", "missing", "different", "features that differ")


def render(verdict: Verdict) -> str:
    """Show how many rows were loaded and read back, view by view."""
    rows = [
        (
            view["view"],
            view["rows"],
            view["compared"],
            view["missing"],
            view["different"],
            ", ".join(view["features"]) or "none",
        )
        for view in verdict.evidence["views"]
    ]
    return page(verdict.subject.capitalize(), judged(verdict) + table(_HEADERS, rows))
