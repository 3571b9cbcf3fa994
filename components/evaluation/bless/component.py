"""Judge a challenger against the champion on the same rows.

Reads: the folder of a model; a table of test rows; the model's champion channel and the sealed
    release it names (verified and opened); without a champion, the mean label stands in.
Writes: a verdict, a report.
Needs: image release, or `torch` or `tensorflow` for programs of theirs; the key ring.
Fails when: the table lacks a column of either model; the expectations have an unknown name;
    the champion's seal does not hold. A challenger that is not better does not fail the
    step: the verdict says so, and a gate stops the run.
"""

from typing import NamedTuple

from kfp import dsl

from components.face import component


@component("release")
def bless(
    challenger: dsl.Input[dsl.Model],
    test: str,
    label: str,
    model_name: str,
    expectations: str,
    report: dsl.Output[dsl.HTML],
    seed: int = 1,
    task: str = "classification",
) -> NamedTuple("Outputs", [("verdict", dict), ("decision", str)]):
    """Judge a challenger against the champion on the same rows.

    Args:
        challenger: folder with signature.json and a program: model.onnx, program.pt2 or
            saved_model.
        test: table of rows that neither model was trained on.
        label: column with 0 or 1, or of a regression a number; rows where it is null are left
            out.
        model_name: whose champion channel to look in, e.g. delays.
        expectations: YAML with minimum and maximum metrics, slice floors and the margin
            against the champion.
        report: both models, their differences with intervals, slices.
        seed: of the resamples.
        task: classification or regression, as the challenger was trained.

    Returns:
        The verdict and its decision: accept, refuse or inconclusive.
    """
    from components.evaluation.bless.champion import Seat
    from components.evaluation.bless.contest import Contest
    from components.evaluation.bless.report import render
    from components.step import step

    with step("bless") as here:
        contest = Contest.parse(challenger.path, label, task, expectations, seed=seed)
        seat = Seat(model_name, here.store, here.keys)
        found = contest.hold(here.reads(test), seat, here.tables)
        verdict = here.record(found.verdict)
        here.publish(report, render(found), decision=str(verdict.decision))
        return (verdict.to_dict(), str(verdict.decision))
