"""Measure how right predictions were, window by window, once labels have come.

Reads: observations (id, time, score) and labels (id, label, known_at). Writes: a verdict, the
metrics of each window with intervals and label coverage, a page.
Needs: the object store; DuckDB's memory limit of 1 GB.
Fails when: a column is missing, a label or a score is none of the task (exit 2).
Missing labels are no failure: the verdict is inconclusive.
"""

from typing import NamedTuple

from kfp import dsl

from components.face import component


@component("data")
def measure_performance(
    observations: str,
    labels: str,
    report: dsl.Output[dsl.HTML],
    by: str = "month",
    since: str = "",
    until: str = "",
    subject: str = "",
    min_auc: float = 0.0,
    min_coverage: float = 0.8,
    min_labels: int = 100,
    max_rmse: float = 0.0,
    task: str = "classification",
) -> NamedTuple("Outputs", [("verdict", dict), ("metrics", dict)]):
    """Join late labels to predictions; measure AUC and log loss, or RMSE and MAE, by window.

    Args:
        observations: reference of the predictions, e.g. s3://falaj-curated/observations/delays@9.
        labels: reference of what came true.
        report: page with the metrics over time.
        by: how long a window is: month or day (UTC).
        since: start, inclusive, RFC 3339 or YYYY-MM-DD; empty: open.
        until: end, exclusive; empty: open.
        subject: what is watched; empty: the name of the observations table.
        min_auc: a window whose AUC is below this beyond chance is drift; 0: none is.
        min_coverage: least share of predictions with a label; below it nothing is judged.
        min_labels: least number of labels in a window.
        max_rmse: of a regression, a window whose RMSE is above this beyond chance is drift, in
            the label's unit; 0: none is.
        task: classification or regression, as the model was trained.

    Returns:
        verdict: stable, drift, or inconclusive while labels are missing.
        metrics: every window's numbers.
    """
    from components.monitoring.measure_performance import join, realised
    from components.monitoring.measure_performance.report import render
    from components.step import step

    with step("measure_performance") as here:
        length = join.By.parse(by)
        floors = realised.Floors.parse(min_auc, min_coverage, min_labels, max_rmse, task)
        seen, known = (here.tables.files(here.reads(t), here.cache) for t in (observations, labels))
        windows = realised.measure(seen, known, by=length, since=since, until=until, floors=floors)
        refs, named = [str(seen.ref), str(known.ref)], subject or seen.ref.name
        verdict = realised.judge(windows, subject=named, floors=floors, judged=refs)
        page, decision = render(here.record(verdict)), str(verdict.decision)
        here.publish(report, page, windows=len(windows), decision=decision)
        return (verdict.to_dict(), {"by": by, "windows": verdict.evidence["windows"]})
