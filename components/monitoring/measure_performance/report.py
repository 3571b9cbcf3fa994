"""The page of realised performance: AUC over time with intervals, and how many labels came."""

from collections.abc import Mapping
from html import escape
from typing import Any

from components.foundation.page import Html, badge, page, table
from components.foundation.svg import Series, line_chart
from components.foundation.verdict import Verdict


def render(verdict: Verdict) -> str:
    windows = verdict.evidence["windows"]
    body = (
        f"<p>{badge(str(verdict.decision), good=verdict.passes)} {escape(verdict.reason)}</p>"
        f"<p class=soft>{escape(', '.join(verdict.evidence['tables']))}; {escape(verdict.time)}</p>"
    )
    return page(verdict.subject, body + (_charts(windows) + _table(windows) if windows else ""))


def _charts(windows: list[Mapping[str, Any]]) -> str:
    names = [w["window"] for w in windows]
    auc = Series(
        "AUC",
        [w["auc"] for w in windows],
        low=[w["auc_low"] for w in windows],
        high=[w["auc_high"] for w in windows],
    )
    promised = Series("mean score", [w["mean_score"] for w in windows])
    happened = Series("rate that happened", [w["base_rate"] for w in windows])
    return (
        '<div class="charts">'
        + line_chart([auc], title="Realised AUC, 95 % interval", x=names)
        + line_chart([promised, happened], title="Promised and happened", x=names)
        + "</div>"
    )


def _table(windows: list[Mapping[str, Any]]) -> str:
    headers = ["window", "predictions", "with label", "AUC", "log loss", "Brier", "calibration", ""]
    rows = [
        [
            w["window"],
            w["predictions"],
            f"{w['coverage']:.1%}",
            w["auc"],
            w["log_loss"],
            w["brier"],
            w["calibration_error"],
            Html(badge(w["state"], good={"holds": True, "below the floor": False}.get(w["state"]))),
        ]
        for w in windows
    ]
    return table(headers, rows)
