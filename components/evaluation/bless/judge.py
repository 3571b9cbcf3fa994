"""The decision: limits and floors first, then the champion."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from components.evaluation.bless.duel import Contender, Duel, base_rate, fight
from components.evaluation.bless.expectations import Expectations
from components.evaluation.evaluate.measure import Slice, sliced
from components.evaluation.labels import Labelled
from components.foundation.statistics.metrics import Calibration, Confusion, finite
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
    """Judge a challenger by what a project expects, and against the champion or the base rate."""
    duel = fight(rows, challenger, champion or base_rate(rows), asked=asked, seed=seed)
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

    Better means: the interval of the difference in log loss ends below 0 (below the margin,
    if there is one), and ranking has not become worse.
    """
    loss, than = duel.log_loss, duel.champion.name
    words = f"log loss {_signed(loss.estimate)} [{_signed(loss.low)}, {_signed(loss.high)}]"
    if duel.same:
        return Decision.INCONCLUSIVE, f"is the champion already ({than})"
    if broken:
        return Decision.REFUSE, "; ".join(broken)
    if loss.low > margin:
        return Decision.REFUSE, f"worse than {than}: {words}"
    if duel.auc.high < 0:
        return Decision.REFUSE, f"ranks worse than {than}: AUC {_signed(duel.auc.estimate)}"
    if loss.high < 0:
        return Decision.ACCEPT, f"better than {than}: {words}"
    if loss.high < margin:
        return Decision.ACCEPT, f"not worse than {than} by {margin}: {words}"
    return Decision.INCONCLUSIVE, f"cannot be told from {than}: {words}"


def _whole(rows: Labelled, duel: Duel, asked: Expectations) -> list[str]:
    scores = duel.challenger.scores
    confusion = Confusion.at(0.5, rows.labels, scores)
    error = Calibration.of(rows.labels, scores).expected_error
    metrics = {
        **duel.challenger_scores.to_dict(),
        "calibration_error": finite(error),
        "precision": finite(confusion.precision),
        "recall": finite(confusion.recall),
        "accuracy": finite(confusion.accuracy),
    }
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
    return f"{value:+.4f}"
