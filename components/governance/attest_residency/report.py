"""Show a residency verdict as a page for the dashboard."""

from components.foundation.page import judged, page, table
from components.foundation.verdict import Verdict


def render(verdict: Verdict) -> str:
    facts = verdict.evidence
    return page(
        verdict.subject.capitalize(),
        judged(verdict, facts["legal_basis"], facts["legal_status"])
        + table(["How we know", "What"], _known(verdict))
        + table(
            ["Field", "Value", "Country", "Problem", "Way out"],
            [list(finding.values()) for finding in facts["findings"]],
            caption="Findings",
        ),
    )


def _known(verdict: Verdict) -> list[list[str]]:
    names = {
        "looked_up": "in the registry",
        "declared": "declared",
        "not_attested": "not attested",
    }
    return [[names[key], text] for key in names for text in verdict.evidence[key]]
