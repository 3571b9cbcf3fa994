"""Measure a model, as it will be served, on rows it never saw.

Reads: the folder of a model, of export_onnx or of a trainer (what is served is what is judged:
    decision record 0003); the features, label and slices of a table.
Writes: an evaluation (JSON), a report, metrics for the dashboard; if asked, the rows with
    their scores as a table.
Needs: image release (ONNX Runtime); `torch` or `tensorflow` for a program of theirs.
Fails when: the table lacks a column that the model takes; no row has a label; the runtime
    refuses some rows. A poor model does not fail the step: `bless` and a gate judge it.
"""

from typing import NamedTuple

from kfp import dsl

from components.face import component


@component("release")
def evaluate(
    model: dsl.Input[dsl.Model],
    test: str,
    label: str,
    report: dsl.Output[dsl.HTML],
    evaluation: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    classification: dsl.Output[dsl.ClassificationMetrics],
    slices: list = [],  # noqa: B006 - kfp wants the default in the signature
    threshold: float = 0.5,
    bootstrap: int = 200,
    groups: str = "",
    seed: int = 1,
    scored: str = "",
    task: str = "classification",
) -> NamedTuple("Outputs", [("summary", dict), ("scored", str)]):
    """Measure a model, as it will be served, on rows it never saw.

    Args:
        model: folder with signature.json and a program: model.onnx, program.pt2 or saved_model.
        test: table of rows later than any the model was trained on.
        label: column with 0 or 1, or of a regression a number; rows where it is null are left
            out, and counted.
        report: metrics, slices, and calibration and confusion or residuals, as a page.
        evaluation: the same as JSON.
        metrics: the numbers for the dashboard.
        classification: the confusion matrix for the dashboard; empty of a regression.
        slices: columns by whose values the rows are also measured apart.
        threshold: score from which a row is called positive; of classification.
        bootstrap: how many resamples the intervals come from.
        groups: column whose values are resampled whole, such as the day, because rows of a
            day share its weather; empty: every row by itself.
        seed: of the resamples.
        scored: table to write the rows with their scores to, e.g. s3://falaj-features/delays/scored;
            empty for none.
        task: classification or regression, as the model was trained.

    Returns:
        The metrics by name; the table of scored rows, if one was asked for.
    """
    from components.evaluation.evaluate.exam import Exam
    from components.evaluation.evaluate.measure import Settings
    from components.evaluation.evaluate.report import render
    from components.step import step

    with step("evaluate") as here:
        how = Settings(threshold, bootstrap, seed, slices, groups)
        exam = Exam.sit(model.path, here.reads(test), how, here.tables, label=label, task=task)
        found = exam.measured()
        here.publish(report, render(found))
        here.publish(evaluation, found.to_dict(), rows=found.scores.rows, model=found.model)
        here.log(metrics, found.metrics())
        here.log_confusions(classification, found.confusions())
        written = exam.write(here.tables, scored)
        return (found.metrics(), here.writes(written) if written else "")
