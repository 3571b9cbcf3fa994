"""Tell whether a window looks like the reference, by effect, noise and multiplicity.

Reads: the profile of the reference and that of the window, made with it. Writes: a verdict with
every column's effect, a page.
Needs: nothing but the evidence bucket.
Fails when: the profiles have other columns or bins (exit 2). Drift is no failure: the verdict
says so. Too few rows give an inconclusive verdict, never a stable one.
"""

from typing import NamedTuple

from kfp import dsl

from components.face import component


@component("data")
def detect_drift(
    reference: dsl.Input[dsl.Artifact],
    window: dsl.Input[dsl.Artifact],
    report: dsl.Output[dsl.HTML],
    subject: str = "window",
    score: str = "score",
    alpha: float = 0.01,
    effect_floor: float = 0.03,
    share_floor: float = 0.02,
    min_rows: int = 500,
    correction: str = "benjamini-hochberg",
) -> NamedTuple("Outputs", [("verdict", dict), ("decision", str)]):
    """Compare the profile of a window with its reference; the verdict says stable or drift.

    Args:
        reference: profile made at training.
        window: profile of what was seen, made with that reference.
        report: page with every column's effect.
        subject: what is watched, e.g. "delays, July".
        score: name of the column that holds the model's score; listed first.
        alpha: chance of a false alarm over all columns together.
        effect_floor: least PSI that matters; 0.03 is about 0.17 standard deviations.
        share_floor: least change that matters in a share of nulls or unseen levels.
        min_rows: with fewer rows the verdict is inconclusive.
        correction: benjamini-hochberg or bonferroni.

    Returns:
        verdict: the judgement; `drifted` lists the columns, the score first, then by effect.
        decision: stable, drift or inconclusive.
    """
    import pathlib

    from components.monitoring.detect_drift import drift
    from components.monitoring.detect_drift.report import render
    from components.preparation.profile.profile import Profile
    from components.step import step

    with step("detect_drift") as here:
        floors = drift.Floors.parse(alpha, effect_floor, share_floor, min_rows, correction)
        before, after = (Profile.read(pathlib.Path(one.path)) for one in (reference, window))
        verdict = drift.judge(before, after, subject=subject, score=score, floors=floors)
        page, decision = render(here.record(verdict)), str(verdict.decision)
        here.publish(report, page, rows=after.rows, decision=decision)
        return (verdict.to_dict(), decision)
