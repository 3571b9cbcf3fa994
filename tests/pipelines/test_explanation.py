"""A verdict in words says what was measured, against which bound, and what would change it."""

from collections.abc import Mapping
from typing import Any

import pytest

from components.foundation.verdict import Decision, Verdict
from pipelines import explanation

RULE = {"rule": "carrier: one_of", "severity": "error", "expected": "AA, UA", "tolerated": 0.001}
SCORES = {"log_loss": 0.55, "auc": 0.71, "rows": 100.0}
GAP = {"estimate": -0.03, "low": -0.06, "high": -0.006}
SIDES = {"champion": 0, "candidate": 7, "bake": 0}


def words(subject: str, evidence: Mapping[str, Any]) -> str:
    return "\n".join(explanation.evidence(Verdict(subject, Decision.REFUSE, "r", dict(evidence))))


def contract(broken: int, *, severity: str = "error") -> dict[str, Any]:
    rows, share = 10_000, broken / 10_000
    found = {"broken": broken, "fraction": share, "holds": share <= 0.001, "severity": severity}
    return {"rows": rows, "table": "s3://raw/flights@7", "rules": [{**RULE, **found}]}


def test_a_broken_rule_says_how_many_fewer_rows_would_have_passed() -> None:
    said = words("contract flights", contract(25))

    assert "25 rows (0.250%) break it, tolerated: 10 (0.100%); expected: AA, UA" in said
    assert "15 fewer would have let the table through" in said


def test_a_rule_that_holds_says_what_one_more_row_would_do() -> None:
    assert "one more than tolerated would refuse the table" in words("contract f", contract(3))
    assert "would warn" in words("contract f", contract(3, severity="warning"))


def test_rules_that_no_row_broke_are_counted_and_not_listed() -> None:
    said = words("contract flights", contract(0))

    assert "the other 1 rules were broken by no row" in said
    assert "carrier" not in said


BLESSED = {
    "challenger": {**SCORES, "name": "the challenger"},
    "champion": {**SCORES, "name": "champion 0d6b"},
    "difference": {"auc": GAP, "log_loss": GAP},
    "level": 0.95,
    "margin": 0.0,
    "broken": ["auc 0.5 of all rows, at least 0.6"],
    "expected": {"whole": {"minimum": {"auc": 0.6}, "maximum": {}}},
}
ROLLED = {
    **{f"{side}_requests": 100 for side in SIDES},
    **{f"{side}_errors": errors for side, errors in SIDES.items()},
    **{"alpha": 0.05, "e_value": 31.0, "difference_low": 0.01, "difference_high": 0.2},
    **{"margin": 0.05, "step": 1, "steps": [5, 25], "seconds": 3.0},
}
MOVED = {"column": "temp", "question": "distribution", "effect": 0.5, "floor": 0.03}
DRIFTED = {
    **{"rows": 10, "reference_rows": 20, "alpha": 0.01, "correction": "holm"},
    **{"effect_floor": 0.03, "findings": [{**MOVED, "p_adjusted": 0.001, "drifted": True}]},
}
WINDOW = {"window": "2013-07", "labelled": 5, "predictions": 10, "coverage": 0.5, "state": "few"}
SEEN = {
    "windows": [{**WINDOW, "auc": 0.7, "auc_low": 0.6, "auc_high": 0.8}],
    **{"min_auc": 0.65, "min_coverage": 0.8, "min_labels": 100},
}
TRIED = {"difference": 1e-8, "difference_limit": 1e-5, "errors": 0, "p99_limit_ms": 250}
SMOKED = {**TRIED, "malformed": [{"name": "no JSON", "got": 200, "wanted": 400, "good": False}]}
VIEW = {"view": "planes", "rows": 3317, "compared": 1000, "different": 2, "missing": 0}
SCANNED = {
    **{"files": 4, "operators": 12, "tensors": 3, "pickles": 1, "scanners": ["opcodes"]},
    "provenance": {"licence": "Apache-2.0", "source": "here", "trained_by": ""},
    "findings": [{"file": "a.pkl", "rule": "pickle", "says": "asks for os.system"}],
}
KINDS: dict[str, tuple[Mapping[str, Any], list[str]]] = {
    "bless delays": (
        BLESSED,
        ["-0.0600 to -0.0060", "below 0; it ends at -0.0060", "at least 0.6"],
    ),
    "rollout a -> b": (ROLLED, ["7 errors of 100 requests (7.00%)", "e-value 31; 20 rolls"]),
    "drift delays": (DRIFTED, ["temp, distribution: effect 0.5, floor 0.03", "1 of 1 questions"]),
    "performance x": (SEEN, ["5 of 10 have labels (50.0%, at least 80%", "wholly below 0.65"]),
    "scan": (SCANNED, ["4 files", "trained by nobody", "a.pkl: pickle: asks for os.system"]),
    "smoke test": (SMOKED, ["1.0e-08, bound 1e-05", "no JSON: answered 200, wanted 400", "250 ms"]),
    "export to ONNX": (
        {"max_difference": 1e-3, "tolerance": 1e-4, "rows": 256},
        ["largest difference 1.0e-03", "at most 1e-04 would have been let through"],
    ),
    "online features of x": ({"views": [VIEW]}, ["2 different"]),
    "training set x": ({"rows": 10, "leaks": ["temp"], "views": []}, ["knows the future: temp"]),
    "residency laptop": (
        {"profile": "pdpl", "findings": ["aws me-south-1 is in BH"], "declared": ["x in AE"]},
        ["declared: x in AE", "aws me-south-1 is in BH; mended, the site would pass"],
    ),
    "deploy x": ({"slot": "a", "replicas": 1.0, "steps": [5, 25]}, ["replicas: 1", "steps: 5, 25"]),
}


@pytest.mark.parametrize("subject", KINDS)
def test_every_kind_of_verdict_has_its_numbers_and_bounds(subject: str) -> None:
    evidence, expected = KINDS[subject]

    said = words(subject, evidence)

    assert [phrase for phrase in expected if phrase not in said] == []


@pytest.mark.parametrize("subject", KINDS)
def test_evidence_of_other_code_is_said_plainly(subject: str) -> None:
    assert words(subject, {"strange": 3.5, "deep": {"down": "x"}}) == "strange: 3.5\ndeep, down: x"


def test_a_verdict_without_numbers_says_so() -> None:
    assert "the reason says all" in words("anything", {})
