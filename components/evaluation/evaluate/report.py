"""An evaluation as a page."""

from components.evaluation.evaluate.measure import Evaluation
from components.foundation import svg
from components.foundation.page import number, page, table
from components.foundation.statistics.metrics import Calibration, Confusion, finite

_NAMES = {"auc": "AUC", "log_loss": "log loss", "brier": "Brier score"}


def render(evaluation: Evaluation) -> str:
    """Show metrics with intervals, calibration, confusion and slices."""
    scores = evaluation.scores
    words = (
        f"<p>{number(scores.rows)} rows with a label, {number(evaluation.unlabelled)} without "
        f"left out; {number(finite(scores.base_rate * 100))} % positive, "
        f"{number(finite(scores.mean_score * 100))} % promised.</p>"
    )
    metrics = table(
        ["metric", "value", "from", "to"],
        [
            [_NAMES[name], interval.estimate, interval.low, interval.high]
            for name, interval in evaluation.intervals.items()
        ],
        caption="Metrics with 95 % intervals",
    )
    parts = (words, metrics, calibration(evaluation.calibration), confusion(evaluation.confusion))
    return page(f"Evaluation on {evaluation.table}", "".join(parts) + _slices(evaluation))


def calibration(found: Calibration) -> str:
    """Draw what happened against what was promised; the diagonal is perfect."""
    points = found.points()
    promised = [round(mean, 3) for _, mean, _ in points]
    return svg.line_chart(
        [
            svg.Series("happened", [rate for _, _, rate in points]),
            svg.Series("promised", promised),
        ],
        title="Calibration",
        x=promised,
        x_label="promised",
    )


def confusion(found: Confusion) -> str:
    return table(
        [f"at {found.threshold}", "was positive", "was negative"],
        [
            ["called positive", found.true_positive, found.false_positive],
            ["called negative", found.false_negative, found.true_negative],
        ],
        caption="Confusion",
    )


def _slices(evaluation: Evaluation) -> str:
    if not evaluation.slices:
        return ""
    return table(
        ["slice", "rows", "base rate", "mean score", "AUC", "log loss"],
        [
            [
                part.name,
                part.scores.rows,
                part.scores.base_rate,
                part.scores.mean_score,
                finite(part.scores.auc),
                part.scores.log_loss,
            ]
            for part in evaluation.slices
        ],
        caption="Slices",
    )
