"""A blessing as a page."""

from components.evaluation.bless.judge import Blessing
from components.foundation.page import judged, page, table
from components.foundation.statistics.task import yardstick


def render(blessing: Blessing) -> str:
    """Show the decision, both models' metrics, their differences and the slices."""
    verdict = blessing.verdict
    body = judged(verdict, verdict.time) + _metrics(blessing) + _slices(blessing)
    return page(verdict.subject, body)


def _metrics(blessing: Blessing) -> str:
    duel, stick = blessing.duel, yardstick(blessing.duel.task)
    own, other = duel.challenger_scores.to_dict(), duel.champion_scores.to_dict()
    return table(
        ["metric", "challenger", duel.champion.name, "difference", "from", "to"],
        [
            [stick.metrics[name].title, own[name], other[name], one.estimate, one.low, one.high]
            for name, one in duel.differences.items()
        ],
        caption="On the same rows, with the 95 % interval of the difference",
    )


def _slices(blessing: Blessing) -> str:
    stick = yardstick(blessing.duel.task)
    shown = {stick.mean_label: stick.mean_label.replace("_", " ")}
    shown |= {name: stick.metrics[name].title for name in (stick.guard, stick.decides[0])}
    return table(
        ["slice", "rows", *shown.values()],
        [
            [part.name, part.scores.rows, *(part.scores.to_dict()[name] for name in shown)]
            for part in blessing.slices
        ],
        caption="The challenger by slice",
    )
