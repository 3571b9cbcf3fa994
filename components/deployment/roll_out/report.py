"""What a rollout looked like, as one page."""

import math
from collections.abc import Sequence

from components.deployment.roll_out.trial import Point
from components.foundation.page import charts, evidence, judged, page
from components.foundation.svg import Mark, Series, line_chart
from components.foundation.verdict import Verdict


def render(verdict: Verdict, history: Sequence[Point]) -> str:
    """Draw the candidate's share, the errors and the evidence over the requests."""
    drawn = charts(*_charts(verdict, history)) if history else ""
    return page(verdict.subject, judged(verdict, verdict.time) + drawn + evidence(verdict.evidence))


def _charts(verdict: Verdict, history: Sequence[Point]) -> tuple[str, ...]:
    x = [float(point["requests"]) for point in history]
    end = [Mark(x[-1], str(verdict.decision))]
    alpha = verdict.evidence.get("alpha", 0.05)
    bound = [math.log10(1 / alpha)] * len(x)
    share = Series("candidate", [float(point["weight"]) for point in history], stepped=True)
    errors = [
        Series(name, [_percent(point, name) for point in history])
        for name in ("champion", "candidate")
    ]
    found = [
        Series("evidence", [math.log10(max(point["e_value"], 1e-3)) for point in history]),
        Series("bound", bound),
    ]
    return (
        line_chart([share], title="Share of traffic, %", x=x, x_label="requests", marks=end),
        line_chart(errors, title="Errors so far, %", x=x, x_label="requests", marks=end),
        line_chart(
            found,
            title="Evidence that the candidate errs more often, log10 of the e-value",
            x=x,
            x_label="requests",
            marks=end,
        ),
    )


def _percent(point: Point, arm: str) -> float | None:
    requests = point[f"{arm}_requests"]
    return 100 * point[f"{arm}_errors"] / requests if requests else None
