"""What a model has to be before it may serve, as a project writes it down in YAML.

minimum: {auc: 0.60}                  # of all test rows
maximum: {log_loss: 0.55, calibration_error: 0.05}
slices:
  columns: [origin, carrier]
  rows: 500                           # smaller slices are not judged
  minimum: {auc: 0.55}
champion:
  margin: 0.0                         # log loss it may lose; 0: it has to be better
groups: scheduled                     # rows of one day are resampled together
resamples: 400

Of a regression the names are mae, rmse, r2, median_absolute_error, bias, wape and coverage; a
margin is in the label's unit, and `champion: {by: mae}` lets that decide instead of the RMSE.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import yaml

from components.evaluation.evaluate import detail
from components.foundation.errors import UserError, nearest
from components.foundation.statistics import bootstrap
from components.foundation.statistics.task import Task, yardstick


@dataclass(frozen=True, slots=True)
class Limits:
    """Ends that metrics have to keep within."""

    minimum: Mapping[str, float] = field(default_factory=dict)
    maximum: Mapping[str, float] = field(default_factory=dict)

    def broken(self, metrics: Mapping[str, float | None], *, of: str) -> list[str]:
        """Say which limits do not hold; a metric without a value breaks its limit."""
        low = [(n, e, "at least") for n, e in self.minimum.items() if not _holds(metrics, n, e, 1)]
        high = [(n, e, "at most") for n, e in self.maximum.items() if not _holds(metrics, n, e, -1)]
        return [
            f"{name} of {of} is {_number(metrics.get(name))}, expected {words} {end}"
            for name, end, words in (*low, *high)
        ]

    @classmethod
    def parse(cls, value: Mapping[str, Any], known: tuple[str, ...], where: str) -> Self:
        ends = [_numbers(value.get(kind, {}), known, f"{where}{kind}") for kind in _ENDS]
        return cls(*ends)


@dataclass(frozen=True, slots=True)
class Expectations:
    """All of it; what the YAML leaves out is not asked for."""

    limits: Limits
    slice_limits: Limits
    slice_columns: tuple[str, ...]
    slice_rows: int
    margin: float
    groups: str
    resamples: int
    decides: str = ""  # the metric between two models; empty: the task's first

    @classmethod
    def parse(cls, text: str, task: Task = Task.CLASSIFICATION) -> Self:
        """Read the YAML.

        Raises:
            UserError: it is not YAML, or has a name that is not known; the nearest is named.
        """
        value = _mapping(text)
        _known(value, ("minimum", "maximum", "slices", "champion", "groups", "resamples"), "")
        slices = value.get("slices") or {}
        _known(slices, ("columns", "rows", "minimum", "maximum"), "slices: ")
        champion = value.get("champion") or {}
        _known(champion, ("margin", "by"), "champion: ")
        stick = yardstick(task)
        return cls(
            limits=Limits.parse(value, (*stick.metrics, *detail.NAMES[task]), ""),
            slice_limits=Limits.parse(slices, tuple(stick.metrics), "slices: "),
            slice_columns=tuple(slices.get("columns", ())),
            slice_rows=_whole(slices.get("rows", 200), "slices: rows"),
            margin=_at_least_zero(champion.get("margin", 0.0)),
            groups=str(value.get("groups") or ""),
            resamples=_whole(value.get("resamples", 400), "resamples"),
            decides=_one_of(champion.get("by", ""), stick.decides),
        )


_ENDS = ("minimum", "maximum")


def _holds(metrics: Mapping[str, float | None], name: str, end: float, sign: int) -> bool:
    value = metrics.get(name)
    return value is not None and sign * value >= sign * end


def _number(value: float | None) -> str:
    return "unknown" if value is None else bootstrap.figure(value)


def _mapping(text: str) -> Mapping[str, Any]:
    try:
        value = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise UserError(
            f"expectations: not YAML: {error}; correct the text", code="expectations-malformed"
        ) from error
    if not isinstance(value, dict):
        raise UserError(
            f"expectations: got {type(value).__name__}; expected names with values",
            code="expectations-malformed",
        )
    return value


def _known(value: Mapping[str, Any], names: tuple[str, ...], where: str) -> None:
    if not isinstance(value, dict):
        raise UserError(
            f"expectations: {where}got {value!r}; expected names with values",
            code="expectations-malformed",
        )
    for name in value:
        if name not in names:
            raise UserError(
                f"expectations: {where}{name!r}: {nearest(str(name), list(names))}",
                code="expectations-malformed",
            )


def _numbers(value: Any, known: tuple[str, ...], where: str) -> dict[str, float]:
    _known(value, known, f"{where}: ")
    for name, end in value.items():
        if isinstance(end, bool) or not isinstance(end, int | float):
            raise UserError(
                f"expectations: {where}: {name} is {end!r}; expected a number",
                code="expectations-malformed",
            )
    return {name: float(end) for name, end in value.items()}


def _whole(value: Any, what: str) -> int:
    if type(value) is not int or value < 1:
        raise UserError(
            f"expectations: {what} is {value!r}; expected a whole number above 0",
            code="expectations-malformed",
        )
    return value


def _one_of(value: Any, known: tuple[str, ...]) -> str:
    if value and value not in known:
        raise UserError(
            f"expectations: champion: by {value!r}; {nearest(str(value), list(known))}",
            code="expectations-malformed",
        )
    return str(value)


def _at_least_zero(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise UserError(
            f"expectations: champion: margin is {value!r}; expected 0 or more",
            code="expectations-malformed",
        )
    return float(value)
