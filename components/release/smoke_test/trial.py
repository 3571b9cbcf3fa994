"""Try a candidate in the real server: same answers, in time, and no word too many."""

import pathlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from components.foundation import digests
from components.foundation.signature import Array
from components.foundation.verdict import Decision, Verdict
from components.release.smoke_test.malformed import Outcome, outcomes
from components.release.smoke_test.process import Answer, Client, DidNotStart, serving
from components.release.smoke_test.reference import Sample, difference

_MODEL = "candidate"
_INFER = f"/v2/models/{_MODEL}/infer"
_WARM_UP = 10


@dataclass(frozen=True, slots=True)
class Limits:
    """What a candidate may not exceed: milliseconds at the 99th percentile, difference."""

    p99_ms: float
    difference: float


@dataclass(frozen=True, slots=True)
class Trial:
    """What was seen; no difference is known when a row was not answered."""

    rows: int
    errors: int
    difference: float | None
    milliseconds: tuple[float, ...] = ()
    malformed: list[Outcome] = field(default_factory=list)

    def percentile(self, fraction: float) -> float:
        ordered = sorted(self.milliseconds)
        return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))]

    def complaint(self, limits: Limits) -> str:
        """Return the first thing that is wrong, in a sentence; empty when nothing is."""
        p99 = self.percentile(0.99)
        for case in self.malformed:
            if not case.good:
                said = ", with internals in its answer" if case.leaks else ""
                return f"{case.name}: the server answered {case.got}, expected {case.wanted}{said}"
        if self.errors:
            return f"{self.errors} of {self.rows} rows were answered with an error"
        if self.difference is not None and self.difference > limits.difference:
            return f"answers differ by {self.difference:.3g} from the program's own in this process"
        if p99 > limits.p99_ms:
            return f"p99 is {p99:.1f} ms, the limit {limits.p99_ms:g} ms"
        return ""


def judge(folder: pathlib.Path, sample: Sample, limits: Limits, env: Mapping[str, str]) -> Verdict:
    """Serve a candidate, try it, and say whether it may be sealed."""
    judged = str(digests.of_folder(folder))
    subject = "smoke test"
    try:
        with serving(folder, model=_MODEL, environment=env) as client:
            trial = _try(client, folder, sample)
    except DidNotStart as refusal:
        return Verdict(subject, Decision.REFUSE, f"does not start: {refusal}", judged=judged)
    complaint = trial.complaint(limits)
    fine = f"{trial.rows} rows as in this process, p99 within {limits.p99_ms:g} ms"
    decision = Decision.REFUSE if complaint else Decision.ACCEPT
    evidence, measured = _evidence(trial, limits), _measured(trial)
    return Verdict(subject, decision, complaint or fine, evidence, judged, measured=measured)


def _try(client: Client, folder: pathlib.Path, sample: Sample) -> Trial:
    first = sample.request(slice(0, 1))
    for _ in range(_WARM_UP):
        client.send("POST", _INFER, first)
    whole = (slice(None), client.send("POST", _INFER, sample.request()))
    singles = [(rows, client.send("POST", _INFER, sample.request(rows))) for rows in sample.each()]
    errors = sum(answer.status != 200 for _, answer in singles)
    answered = errors == 0 and whole[1].status == 200
    return Trial(
        rows=sample.rows,
        errors=errors or int(not answered),
        difference=_difference([whole, *singles], sample.predicted(folder)) if answered else None,
        milliseconds=tuple(answer.seconds * 1e3 for _, answer in singles),
        malformed=outcomes(client, first, _INFER, hidden=str(folder)),
    )


def _difference(answers: list[tuple[slice, Answer]], want: Mapping[str, Array]) -> float:
    return max(difference(answer.json(), want, rows) for rows, answer in answers)


def _evidence(trial: Trial, limits: Limits) -> dict[str, Any]:
    return {
        "rows": trial.rows,
        "errors": trial.errors,
        "difference": _finite(trial.difference),
        "difference_limit": limits.difference,
        "p99_limit_ms": limits.p99_ms,
        "malformed": [{**asdict(case), "good": case.good} for case in trial.malformed],
    }


def _measured(trial: Trial) -> dict[str, float]:
    return {
        "p50_ms": round(trial.percentile(0.5), 3),
        "p99_ms": round(trial.percentile(0.99), 3),
    }


def _finite(value: float | None) -> float | None:
    """Return what JSON can say; an infinite difference is one too large."""
    return None if value is None else min(value, 1e300)
