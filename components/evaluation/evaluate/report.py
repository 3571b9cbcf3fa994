"""An evaluation as a page."""

from typing import assert_never

from components.evaluation.evaluate.detail import Chances, Residuals
from components.evaluation.evaluate.measure import Evaluation
from components.foundation import svg
from components.foundation.page import number, page, table
from components.foundation.statistics.metrics import Calibration, Confusion, finite
from components.foundation.statistics.regression import Bin
from components.foundation.statistics.task import yardstick


def render(evaluation: Evaluation) -> str:
    """Show metrics with intervals, what the task has besides, and slices."""
    metrics = table(
        ["metric", "value", "from", "to"],
        [
            [_title(evaluation, name), interval.estimate, interval.low, interval.high]
            for name, interval in evaluation.intervals.items()
        ],
        caption="Metrics with 95 % intervals",
    )
    parts = (_words(evaluation), metrics, _detail(evaluation.detail), _slices(evaluation))
    return page(f"Evaluation on {evaluation.table}", "".join(parts))


def _title(evaluation: Evaluation, metric: str) -> str:
    return yardstick(evaluation.task).metrics[metric].title


def _words(evaluation: Evaluation) -> str:
    found = evaluation.scores.to_dict()
    rows = (
        f"{number(evaluation.scores.rows)} rows with a label, {number(evaluation.unlabelled)} "
        "without left out"
    )
    happened, promised = found[yardstick(evaluation.task).mean_label], found["mean_score"]
    match evaluation.detail:
        case Chances():
            means = f"{_percent(happened)} % positive, {_percent(promised)} % promised"
        case Residuals() as kept:
            means = f"{number(happened)} on average, {number(promised)} predicted{_band(kept)}"
        case _:
            assert_never(evaluation.detail)
    return f"<p>{rows}; {means}.</p>"


def _band(found: Residuals) -> str:
    if found.band is None:
        return ""
    low, high = map(number, found.band)
    return (
        f"; {_percent(found.coverage)} % of the labels lie from {low} to {high} of their "
        "prediction, as 90 % of the validation rows did"
    )


def _percent(share: float | None) -> str:
    return number(None if share is None else finite(share * 100))


def _detail(found: Chances | Residuals) -> str:
    match found:
        case Chances():
            return calibration(found.calibration) + confusion(found.confusion)
        case Residuals():
            return residuals(found.deciles)
        case _:
            assert_never(found)


def residuals(deciles: tuple[Bin, ...]) -> str:
    """Draw observed against predicted, and errors, by tenths of the prediction."""
    predicted = [float(f"{one.predicted:.4g}") for one in deciles]
    error = svg.Series(
        "mean error",
        [one.predicted - one.observed for one in deciles],
        low=[one.low for one in deciles],
        high=[one.high for one in deciles],
    )
    observed = svg.Series("observed", [one.observed for one in deciles])
    perfect = svg.Series("predicted", predicted)
    charts = svg.line_chart(
        [observed, perfect], title="Observed by prediction", x=predicted, x_label="predicted"
    ) + svg.line_chart(
        [error],
        title="Error by prediction, and where 80 % of errors lie",
        x=predicted,
        x_label="predicted",
        marks=[svg.Level(0.0, "no error")],
    )
    return f'<div class="charts">{charts}</div>' + table(
        ["rows", "predicted", "observed", "mean error", "a tenth below", "a tenth above"],
        [
            [one.rows, one.predicted, one.observed, one.predicted - one.observed, one.low, one.high]
            for one in deciles
        ],
        caption="By tenths of the prediction; an error is prediction minus label",
    )


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


_SLICED = ("mae", "rmse", "bias", "r2")


def _slices(evaluation: Evaluation) -> str:
    if not evaluation.slices:
        return ""
    stick = yardstick(evaluation.task)
    shown = {stick.mean_label: stick.mean_label.replace("_", " "), "mean_score": "mean score"}
    named = ("auc", "log_loss") if isinstance(evaluation.detail, Chances) else _SLICED
    shown |= {name: stick.metrics[name].title for name in named}
    return table(
        ["slice", "rows", *shown.values()],
        [
            [part.name, part.scores.rows, *(part.scores.to_dict()[name] for name in shown)]
            for part in evaluation.slices
        ],
        caption="Slices",
    )
