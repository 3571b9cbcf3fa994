"""The page of realised performance: AUC or RMSE with intervals, and how many labels came."""

from collections.abc import Mapping
from typing import Any

from components.foundation.page import Html, badge, charts, judged, page, table
from components.foundation.statistics.task import Task, yardstick
from components.foundation.svg import Series, line_chart
from components.foundation.verdict import Verdict


def render(verdict: Verdict) -> str:
    windows = verdict.evidence["windows"]
    task = Task.parse(verdict.evidence.get("task", "classification"))
    body = judged(verdict, *verdict.evidence["tables"], verdict.time)
    shown = _charts(windows, task) + _table(windows, task) if windows else ""
    return page(verdict.subject, body + shown)


def _charts(windows: list[Mapping[str, Any]], task: Task) -> str:
    names, stick = [w["window"] for w in windows], yardstick(task)
    watched = "auc" if task is Task.CLASSIFICATION else "rmse"
    title = stick.metrics[watched].title
    line = Series(
        title,
        [w[watched] for w in windows],
        low=[w[f"{watched}_low"] for w in windows],
        high=[w[f"{watched}_high"] for w in windows],
    )
    happened = "rate that happened" if task is Task.CLASSIFICATION else "mean that happened"
    both = [
        Series("mean score", [w["mean_score"] for w in windows]),
        Series(happened, [w[stick.mean_label] for w in windows]),
    ]
    return charts(
        line_chart([line], title=f"Realised {title}, 95 % interval", x=names),
        line_chart(both, title="Promised and happened", x=names),
    )


_COLUMNS = {
    Task.CLASSIFICATION: {
        "auc": "AUC",
        "log_loss": "log loss",
        "brier": "Brier",
        "calibration_error": "calibration",
    },
    Task.REGRESSION: {"rmse": "RMSE", "mae": "MAE", "bias": "bias", "r2": "R²"},
}
_GOOD = {"holds": True, "below the floor": False, "above the ceiling": False}


def _table(windows: list[Mapping[str, Any]], task: Task) -> str:
    columns = _COLUMNS[task]
    headers = ["window", "predictions", "with label", *columns.values(), ""]
    rows = [
        [
            w["window"],
            w["predictions"],
            f"{w['coverage']:.1%}",
            *(w[name] for name in columns),
            Html(badge(w["state"], good=_GOOD.get(w["state"]))),
        ]
        for w in windows
    ]
    return table(headers, rows)
