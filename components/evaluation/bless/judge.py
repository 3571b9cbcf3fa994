"""The decision: limits and floors first, then the champion."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from components.evaluation.bless.duel import Contender, Duel, constant, fight
from components.evaluation.bless.expectations import Expectations
from components.evaluation.evaluate import detail
from components.evaluation.evaluate.measure import Slice, sliced
from components.evaluation.labels import Labelled
from components.foundation.statistics import bootstrap
from components.foundation.statistics.task import Task, yardstick
from components.foundation.verdict import Decision, Verdict


@dataclass(frozen=True, slots=True)
class Blessing:
    """What was compared, what did not hold, and what follows."""

    duel: Duel
    slices: tuple[Slice, ...]
    broken: tuple[str, ...]
    verdict: Verdict


def judge(
    rows: Labelled,
    challenger: Contender,
    champion: Contender | None,
    *,
    model: str,
    asked: Expectations,
    seed: int,
) -> Blessing:
    """Judge a challenger by what a project expects, and against the champion or a constant."""
    duel = fight(rows, challenger, champion or constant(rows), asked=asked, seed=seed)
    parts = [
        part
        for part in sliced(rows, challenger.scores, asked.slice_columns)
        if part.scores.rows >= asked.slice_rows
    ]
    broken = [*_whole(rows, duel, asked), *_parts(parts, asked)]
    decision, reason = decide(duel, broken, margin=asked.margin)
    evidence = {
        **duel.to_dict(),
        "broken": broken,
        "slices": len(parts),
        "margin": asked.margin,
        "resamples": asked.resamples,
        "groups": asked.groups,
        "table": rows.source,
        "expected": _expected(asked),
    }
    verdict = Verdict(f"bless {model}", decision, reason, evidence, judged=challenger.digest)
    return Blessing(duel, tuple(parts), tuple(broken), verdict)


def decide(duel: Duel, broken: Sequence[str], *, margin: float) -> tuple[Decision, str]:
    """Decide on a duel.

    Better means: the interval of the difference in what decides (log loss, RMSE or MAE) ends
    below 0 (below the margin, if there is one), and the guard (AUC, MAE) has not become worse.
    """
    stick, than = yardstick(duel.task), duel.champion.name
    loss, guard = duel.differences[duel.decides], duel.differences[stick.guard]
    title = stick.metrics[duel.decides].title
    words = f"{title} {_signed(loss.estimate)} [{_signed(loss.low)}, {_signed(loss.high)}]"
    if duel.same:
        return Decision.INCONCLUSIVE, f"is the champion already ({than})"
    if broken:
        return Decision.REFUSE, "; ".join(broken)
    if loss.low > margin:
        return Decision.REFUSE, f"worse than {than}: {words}"
    if duel.task is Task.CLASSIFICATION and guard.high < 0:
        return Decision.REFUSE, f"ranks worse than {than}: AUC {_signed(guard.estimate)}"
    if duel.task is Task.REGRESSION and guard.low > margin:  # in the unit of the margin
        title = stick.metrics[stick.guard].title
        return Decision.REFUSE, f"worse than {than}: {title} {_signed(guard.estimate)}"
    if loss.high < 0:
        return Decision.ACCEPT, f"better than {than}: {words}"
    if loss.high < margin:
        return Decision.ACCEPT, f"not worse than {than} by {margin}: {words}"
    return Decision.INCONCLUSIVE, f"cannot be told from {than}: {words}"


def _whole(rows: Labelled, duel: Duel, asked: Expectations) -> list[str]:
    closer = detail.of(rows, duel.challenger.scores, band=duel.challenger.band)
    metrics = {**duel.challenger_scores.to_dict(), **closer.metrics()}
    return asked.limits.broken(metrics, of="all rows")


def _parts(parts: Sequence[Slice], asked: Expectations) -> list[str]:
    return [
        line
        for part in parts
        for line in asked.slice_limits.broken(part.scores.to_dict(), of=part.name)
    ]


def _expected(asked: Expectations) -> dict[str, Any]:
    return {"whole": asdict(asked.limits), "slices": asdict(asked.slice_limits)}


def _signed(value: float) -> str:
    return bootstrap.figure(value, sign="+")
