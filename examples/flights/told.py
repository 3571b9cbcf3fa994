"""Turn what the stages gave into the story that the report shows."""

import datetime
import json
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

from components.foundation.verdict import Verdict
from components.governance.report import rendering
from components.governance.report.story import (
    Effect,
    Measure,
    Month,
    Point,
    Quarantined,
    Release,
    Rollout,
    Stage,
    Story,
)
from pipelines.laptop.memo import Outcome

_CHAMPION, _REPLACED = "champion", "champion until replaced"
_INTERVALS = ("auc", "log_loss", "brier")


def write(path: pathlib.Path, outcomes: Sequence[Outcome], seconds: float) -> pathlib.Path:
    """Write the report, and the story it was made from beside it."""
    story = tell(outcomes, seconds, ended=datetime.datetime.now(datetime.UTC))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").write_text(story.to_json())
    rendering.write(story, path)
    return path.resolve()


def tell(outcomes: Sequence[Outcome], seconds: float, *, ended: datetime.datetime) -> Story:
    """Build the story of a run from its stages, in order."""
    started = ended - datetime.timedelta(seconds=seconds)
    return Story(
        title="Flights: will it arrive more than 15 minutes late?",
        run_id=f"flights-{started:%Y%m%dT%H%M%S}",
        started=started.isoformat(timespec="seconds"),
        seconds=seconds,
        stages=tuple(stage for outcome in outcomes for stage in _stages(outcome)),
        quarantine=tuple(_quarantine(outcomes)),
        verdicts=tuple(v for outcome in outcomes for v in _verdicts(outcome)),
        evaluations=tuple(m for outcome in outcomes for m in _measures(outcome)),
        blessing=_blessing(outcomes),
        rollouts=tuple(_rollout(o) for o in outcomes if o.title.startswith("Roll out")),
        months=tuple(_months(outcomes)),
        releases=tuple(_releases(outcomes)),
    )


def _outputs(outcome: Outcome) -> dict[str, dict[str, Any]]:
    outputs: dict[str, dict[str, Any]] = outcome.result.get("outputs", {})
    return outputs


def _stages(outcome: Outcome) -> Iterator[Stage]:
    for step in outcome.result.get("steps", []):
        given = _outputs(outcome).get(step["name"], {})
        if rows := _rows(given):
            yield Stage(
                stage=outcome.title,
                name=step["title"],
                rows_in=rows[0],
                rows_out=rows[1],
                quarantined=int(sum((given.get("quarantined") or {}).values()))
                + int(given.get("torn", 0)),
                seconds=step["seconds"],
                skipped=outcome.skipped or step["cached"],
            )


def _rows(given: dict[str, Any]) -> tuple[int | None, int] | None:
    """Find how many rows went in and out of a step, in the words of its outputs."""
    if "rows_out" in given:
        return int(given["rows_in"]), int(given["rows_out"])
    if "total" in given:
        return None, int(given["rows"])
    if isinstance(given.get("rows"), int | float) and "table" in given:
        return int(given["rows"]), int(given["rows"])
    return None


def _quarantine(outcomes: Sequence[Outcome]) -> Iterator[Quarantined]:
    """The newest count of every table and rule; curating again counts again."""
    newest: dict[tuple[str, str], int] = {}
    for outcome in outcomes:
        for given in _outputs(outcome).values():
            for name, rows in (given.get("quarantined") or {}).items():
                table, _, rule = name.partition(": ")
                newest[table, rule] = int(rows)
            if given.get("torn"):
                table = given["table"].partition("@")[0].rpartition("/")[2]
                newest[table, "torn line"] = int(given["torn"])
    for (table, rule), rows in newest.items():
        yield Quarantined(table, rule, rows)


def _verdicts(outcome: Outcome) -> Iterator[Verdict]:
    for given in _outputs(outcome).values():
        if "verdict" in given:
            yield Verdict.from_dict(given["verdict"])


def _measures(outcome: Outcome) -> Iterator[Measure]:
    given = _outputs(outcome).get("evaluate")
    if not given:
        return
    model = outcome.title.rpartition(" ")[2]
    found = json.loads(pathlib.Path(given["evaluation"]["path"]).read_text())
    rows = int(found["metrics"]["rows"])
    for metric in _INTERVALS:
        interval = found["intervals"][metric]
        yield Measure(
            model, metric, interval["estimate"], interval["low"], interval["high"], rows=rows
        )
    yield Measure(model, "calibration_error", found["metrics"]["calibration_error"], rows=rows)
    for part in found["slices"]:
        if part["slice"].startswith("origin=") and part.get("auc") is not None:
            yield Measure(model, "auc", part["auc"], slice=part["slice"], rows=part["rows"])


def _blessing(outcomes: Sequence[Outcome]) -> Verdict | None:
    for outcome in reversed(outcomes):
        if given := _outputs(outcome).get("bless"):
            return Verdict.from_dict(given["verdict"])
    return None


def _rollout(outcome: Outcome) -> Rollout:
    """A rollout that never began is told by the deployment's verdict."""
    given = _outputs(outcome)
    judged = given.get("roll-out") or given["deploy"]
    points: list[dict[str, Any]] = []
    if "history" in judged:
        points = json.loads(pathlib.Path(judged["history"]["path"]).read_text())
    return Rollout(
        name=outcome.title.removeprefix("Roll out "),
        verdict=Verdict.from_dict(judged["verdict"]),
        points=tuple(_point(point) for point in points),
    )


def _point(point: dict[str, Any]) -> Point:
    return Point(
        seconds=point["seconds"],
        requests=point["requests"],
        weight=point["weight"],
        champion_errors=_share(point, "champion"),
        candidate_errors=_share(point, "candidate"),
        e_value=point["e_value"],
    )


def _share(point: dict[str, Any], arm: str) -> float | None:
    requests: int = point[f"{arm}_requests"]
    return point[f"{arm}_errors"] / requests if requests else None


def _months(outcomes: Sequence[Outcome]) -> Iterator[Month]:
    """Drift as it was judged in the month; performance as the newest labels have it."""
    watched = [o for o in outcomes if o.title.startswith("Monitor month")]
    windows: dict[str, dict[str, Any]] = {}
    for outcome in watched:
        metrics = _outputs(outcome)["measure-performance"]["metrics"]
        windows.update({window["window"]: window for window in metrics["windows"]})
    for outcome in watched:
        drift = _outputs(outcome)["detect-drift"]["verdict"]
        month = outcome.result["month"]
        yield _month(month, drift, windows.get(month, {}))


def _month(month: str, drift: dict[str, Any], window: dict[str, Any]) -> Month:
    known = bool(window.get("labelled"))
    return Month(
        month=month,
        decision=drift["decision"],
        drifted=tuple(_drifted(drift["evidence"].get("findings", []))),
        auc=window.get("auc") if known else None,
        low=window.get("auc_low") if known else None,
        high=window.get("auc_high") if known else None,
        coverage=window.get("coverage"),
    )


def _drifted(findings: Sequence[dict[str, Any]]) -> Iterator[Effect]:
    """Each column once, the farthest first, though several questions are asked of one."""
    effects: dict[str, float] = {}
    for found in findings:
        if found["drifted"]:
            column, effect = found["column"], found["effect"]
            effects[column] = max(effect, effects.get(column, effect))
    for column, effect in sorted(effects.items(), key=lambda item: -item[1]):
        yield Effect(column, effect)


def _releases(outcomes: Sequence[Outcome]) -> Iterator[Release]:
    """Every release that was deployed, in that order, and what became of it."""
    fates: dict[str, str] = {}
    for outcome in outcomes:
        given = _outputs(outcome)
        if "deploy" not in given:
            continue
        fate = _fate(given)
        if fate == _CHAMPION:
            fates = {uri: _REPLACED if f == _CHAMPION else f for uri, f in fates.items()}
        fates[given["deploy"]["release"]] = fate
    for uri, fate in fates.items():
        model, version = uri.split("/")[-2:]
        yield Release(model, version, f"sha256:{version}…", uri, fate)


def _fate(given: dict[str, dict[str, Any]]) -> str:
    if "roll-out" not in given:
        return "never started"
    match given["roll-out"]["verdict"]["decision"]:
        case "promote" | "stable":
            return _CHAMPION
        case "roll back":
            return "rolled back"
        case decision:
            return f"undecided ({decision})"
