"""What the steps of a run say of rows, windows and rollouts, in the words of their outputs."""

import json
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from components.foundation import digests
from components.foundation.cost import Cost
from components.foundation.errors import InfrastructureError, Refused
from components.governance.report.story import Effect, Measure, Point, Quarantined, Window

Outputs = Mapping[str, Any]

_CHANNEL = "s3://falaj-models/"  # pointers to releases, which are no tables
TABLE = re.compile(r"s3://[^@\s]+@\d+")


def written(given: Outputs) -> Iterator[tuple[str, int | None]]:
    """Yield the table versions that a step wrote, with their rows as far as it says."""
    rows = given.get("rows")
    for name, value in given.items():
        if not (isinstance(value, str) and TABLE.fullmatch(value)) or value.startswith(_CHANNEL):
            continue
        match rows:
            case _ if name == "table" and "rows_out" in given:
                yield value, whole(given["rows_out"])
            case _ if name == "table" and "total" in given:
                yield value, whole(given["total"])
            case dict():
                yield value, whole(rows.get(name))
            case _ if name == "scored":
                yield value, whole(given.get("summary", {}).get("rows"))
            case _:
                yield value, whole(rows)


def kept_back(given: Outputs) -> int:
    return int(sum((given.get("quarantined") or {}).values())) + int(given.get("torn") or 0)


def quarantined(given: Outputs) -> Iterator[Quarantined]:
    into = str(given.get("table", ""))
    for name, rows in (given.get("quarantined") or {}).items():
        table, _, rule = name.partition(": ")
        yield Quarantined(table, rule, int(rows), into)
    if given.get("torn"):
        table = into.partition("@")[0].rpartition("/")[2]
        yield Quarantined(table, "torn line", int(given["torn"]), into)


def measures(found: Mapping[str, Any], *, model: str, entry: int) -> Iterator[Measure]:
    """Yield an evaluation's metrics with their intervals, then the same metrics by slice."""
    metrics = found["metrics"]
    where: dict[str, Any] = {"entry": entry, "table": str(found.get("table", ""))}
    rows = whole(metrics.get("rows"))
    for name, one in found["intervals"].items():
        ends = (one["estimate"], one["low"], one["high"])
        yield Measure(model, name, *ends, rows=rows, **where)
    if (error := metrics.get("calibration_error")) is not None:
        yield Measure(model, "calibration_error", error, rows=rows, **where)
    for piece in found["slices"]:
        of = {"slice": piece["slice"], "rows": whole(piece["rows"]), **where}
        known = (name for name in found["intervals"] if piece.get(name) is not None)
        yield from (Measure(model, name, piece[name], **of) for name in known)


def point(point: Mapping[str, Any]) -> Point:
    return Point(
        seconds=float(point["seconds"]),
        requests=point["requests"],
        weight=float(point["weight"]),
        champion_errors=_share(point, "champion"),
        candidate_errors=_share(point, "candidate"),
        e_value=point["e_value"],
    )


def _share(point: Mapping[str, Any], arm: str) -> float | None:
    requests: int = point[f"{arm}_requests"]
    return point[f"{arm}_errors"] / requests if requests else None


def counts(answers: Mapping[str, Any] | None) -> dict[str, int]:
    return {str(code): int(count) for code, count in (answers or {}).items()}


def numbers(named: Mapping[str, Any] | None) -> dict[str, float]:
    return {name: float(value) for name, value in (named or {}).items()}


def measured(given: Outputs) -> list[dict[str, Any]]:
    windows: list[dict[str, Any]] = (given.get("metrics") or {}).get("windows", [])
    return windows


def months(date: str) -> int:
    return 12 * int(date[:4]) + int(date[5:7])


def window_of(
    name: str, drift: Mapping[str, Any], drift_entry: int, window: Outputs, entry: int
) -> Window:
    metric = next((n.removesuffix("_low") for n in window if n.endswith("_low")), "")
    metric = "auc" if "auc_low" in window else "rmse" if "rmse_low" in window else metric
    known = bool(window.get("labelled"))
    return Window(
        name=name,
        decision=drift["decision"],
        drifted=tuple(_drifted(drift["evidence"].get("findings", []))),
        metric=metric if known else "",
        value=window.get(metric) if known else None,
        low=window.get(f"{metric}_low") if known else None,
        high=window.get(f"{metric}_high") if known else None,
        coverage=window.get("coverage"),
        predictions=whole(window.get("predictions")),
        state=str(window.get("state", "")),
        drift_entry=drift_entry,
        performance_entry=entry,
    )


def _drifted(findings: Sequence[Mapping[str, Any]]) -> Iterator[Effect]:
    """Each column once, the farthest first, though several questions are asked of one."""
    effects: dict[str, float] = {}
    for found in findings:
        if found["drifted"]:
            column, effect = found["column"], found["effect"]
            effects[column] = max(effect, effects.get(column, effect))
    for column, effect in sorted(effects.items(), key=lambda item: -item[1]):
        yield Effect(column, effect)


def artifact(described: Mapping[str, Any]) -> Any:
    """Read an artifact that is JSON, once its digest is the one that its step wrote down."""
    path = pathlib.Path(described["path"])
    if not path.exists():
        raise InfrastructureError(
            f"{path}: a run's artifact is gone; run the job again", code="artifact-missing"
        )
    got = str(digests.of_file(path))
    if described.get("digest") != got:
        raise Refused(
            f"{path}: digest is {got}, the step that wrote it said {described.get('digest')}; "
            "it was changed: run the job again",
            code="artifact-changed",
        )
    return json.loads(path.read_text(encoding="utf-8"))


def cost(found: Mapping[str, float]) -> Cost | None:
    """Return what a step cost, if that was measured; counts are whole again."""
    if not found:
        return None
    counted = {name: int(n) for name, n in found.items() if not name.endswith("seconds")}
    return Cost.from_dict({**found, **counted})


def whole(number: Any) -> int | None:
    return int(number) if isinstance(number, int | float) else None
