"""A blessing as a page."""

from html import escape

from components.evaluation.bless.judge import Blessing
from components.foundation.page import badge, page, table
from components.foundation.statistics.metrics import finite

_NAMES = {"log_loss": "log loss", "auc": "AUC", "brier": "Brier score"}


def render(blessing: Blessing) -> str:
    """Show the decision, both models' metrics, their differences and the slices."""
    verdict = blessing.verdict
    body = (
        f"<p>{badge(str(verdict.decision), good=verdict.passes)}</p>"
        f"<p>{escape(verdict.reason)}</p>" + _metrics(blessing) + _slices(blessing)
    )
    return page(verdict.subject, body)


def _metrics(blessing: Blessing) -> str:
    duel = blessing.duel
    rows = [
        [
            _NAMES[name],
            getattr(duel.challenger_scores, name),
            getattr(duel.champion_scores, name),
            interval.estimate,
            interval.low,
            interval.high,
        ]
        for name, interval in (
            ("log_loss", duel.log_loss),
            ("auc", duel.auc),
            ("brier", duel.brier),
        )
    ]
    return table(
        ["metric", "challenger", duel.champion.name, "difference", "from", "to"],
        rows,
        caption="On the same rows, with the 95 % interval of the difference",
    )


def _slices(blessing: Blessing) -> str:
    return table(
        ["slice", "rows", "base rate", "AUC", "log loss"],
        [
            [
                part.name,
                part.scores.rows,
                part.scores.base_rate,
                finite(part.scores.auc),
                part.scores.log_loss,
            ]
            for part in blessing.slices
        ],
        caption="The challenger by slice",
    )
