"""What a column holds, as counts in fixed bins or of fixed levels.

No raw values: edges are quantiles rounded to four digits and open at both ends, there is no
minimum or maximum, and rare levels are folded into "other".
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from components.foundation.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

Floats: TypeAlias = NDArray[np.float64]
Values: TypeAlias = "pa.ChunkedArray[Any] | pa.Array[Any]"

BINS = 20
MAX_LEVELS = 64  # a column with more whole numbers is numeric; strings beyond them are "other"
_RARE_SHARE = 0.001
_RARE_ROWS = 10
_DIGITS = 4
_NUDGE = 1e-6  # an edge lies this far above its value: float32 and float64 fall in one bin


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean and squared deviations, added as Chan does: no cancellation, any order."""

    rows: int = 0
    mean: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, values: Floats) -> "Moments":
        if not values.size:
            return cls()
        mean = float(values.mean())
        return cls(values.size, mean, float(((values - mean) ** 2).sum()))

    def __add__(self, other: "Moments") -> "Moments":
        rows = self.rows + other.rows
        if not rows:
            return self
        apart = other.mean - self.mean
        return Moments(
            rows,
            self.mean + apart * other.rows / rows,
            self.squares + other.squares + apart**2 * self.rows * other.rows / rows,
        )


@dataclass(frozen=True, slots=True)
class Numeric:
    """Counts between fixed edges: bin i holds edges[i-1] < value <= edges[i], the ends are open."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    nulls: int = 0
    moments: Moments = Moments()

    @property
    def rows(self) -> int:
        return sum(self.counts) + self.nulls

    def blank(self) -> "Numeric":
        return Numeric(self.edges, (0,) * len(self.counts))

    def update(self, column: "Values") -> "Numeric":
        """Return the counts with a column's values added; NaN and infinities are nulls."""
        known = numbers(column)
        places = np.searchsorted(np.asarray(self.edges), known, side="left")
        counts = np.bincount(places, minlength=len(self.counts))
        seen = tuple(int(count) for count in counts)
        return self + Numeric(self.edges, seen, len(column) - known.size, Moments.of(known))

    def __add__(self, other: "Column") -> "Numeric":
        if not isinstance(other, Numeric) or other.edges != self.edges:
            raise UserError(
                "profiles of other bins cannot be added; use one reference for both",
                code="not-additive",
            )
        counts = tuple(a + b for a, b in zip(self.counts, other.counts, strict=True))
        return Numeric(self.edges, counts, self.nulls + other.nulls, self.moments + other.moments)

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": "numeric",
            "edges": list(self.edges),
            "counts": list(self.counts),
            "nulls": self.nulls,
            "mean": self.moments.mean,
            "squares": self.moments.squares,
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "Numeric":
        counts = tuple(value["counts"])
        moments = Moments(sum(counts), value["mean"], value["squares"])
        return cls(tuple(value["edges"]), counts, value["nulls"], moments)


@dataclass(frozen=True, slots=True)
class Categorical:
    """Counts of fixed levels, and of everything else as one."""

    levels: tuple[str, ...]
    counts: tuple[int, ...]
    other: int = 0
    nulls: int = 0

    @property
    def rows(self) -> int:
        return sum(self.counts) + self.other + self.nulls

    def blank(self) -> "Categorical":
        return Categorical(self.levels, (0,) * len(self.levels))

    def update(self, column: "Values") -> "Categorical":
        found = level_counts(column)
        counts = tuple(found.get(level, 0) for level in self.levels)
        total = sum(found.values())
        seen = Categorical(self.levels, counts, total - sum(counts), len(column) - total)
        return self + seen

    def __add__(self, other: "Column") -> "Categorical":
        if not isinstance(other, Categorical) or other.levels != self.levels:
            raise UserError(
                "profiles with other levels cannot be added; use one reference for both",
                code="not-additive",
            )
        counts = tuple(a + b for a, b in zip(self.counts, other.counts, strict=True))
        return replace(
            self, counts=counts, other=self.other + other.other, nulls=self.nulls + other.nulls
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": "categorical",
            "levels": list(self.levels),
            "counts": list(self.counts),
            "other": self.other,
            "nulls": self.nulls,
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "Categorical":
        fields = (tuple(value["levels"]), tuple(value["counts"]), value["other"], value["nulls"])
        return cls(*fields)


Column: TypeAlias = Numeric | Categorical


def fit(column: "Values") -> Column:
    """Choose bins or levels for a column; return them blank.

    Numbers get bins, unless they are few whole ones; texts and booleans get levels.

    Raises:
        UserError: a column of another type.
    """
    if _is_number(column):
        known = numbers(column)
        if not _few_whole(known):
            edges = _edges(known)
            return Numeric(edges, (0,) * (len(edges) + 1))
    levels = _frequent(level_counts(column))
    return Categorical(levels, (0,) * len(levels))


def numbers(column: "Values") -> Floats:
    """Return the finite values of a numeric column."""
    import pyarrow as pa

    values: Floats = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values[np.isfinite(values)]


def level_counts(column: "Values") -> dict[str, int]:
    """Count the values of a column by their text; 3 and 3.0 are one level."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if _is_number(column):
        values, counts = np.unique(numbers(column), return_counts=True)
        return dict(zip(map(_text, values.tolist()), counts.tolist(), strict=True))
    found = pc.value_counts(pc.drop_null(column.cast(pa.string())))
    texts, rows = found.field("values").to_pylist(), found.field("counts").to_numpy()
    return dict(zip(map(str, texts), rows.tolist(), strict=True))


def _text(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


def _is_number(column: "Values") -> bool:
    import pyarrow.types as is_

    kind = column.type
    if is_.is_integer(kind) or is_.is_floating(kind) or is_.is_decimal(kind) or is_.is_null(kind):
        return True
    if is_.is_boolean(kind) or is_.is_string(kind) or is_.is_large_string(kind):
        return False
    raise UserError(
        f"a column of type {kind} has no profile; leave it out, or derive a number",
        code="type-without-profile",
    )


def _few_whole(values: Floats) -> bool:
    distinct = np.unique(values)
    return distinct.size <= MAX_LEVELS and bool((distinct == np.floor(distinct)).all())


def _frequent(counts: Mapping[str, int]) -> tuple[str, ...]:
    """Return the levels that are frequent enough to tell of nobody, the most frequent first."""
    least = max(_RARE_ROWS, _RARE_SHARE * sum(counts.values()))
    frequent = [level for level, count in counts.items() if count >= least]
    return tuple(sorted(frequent, key=lambda level: (-counts[level], level))[:MAX_LEVELS])


def _edges(values: Floats) -> tuple[float, ...]:
    """Return inner edges: rounded quantiles, and a bin of its own for each very common value."""
    quantiles = np.quantile(values, np.arange(1, BINS) / BINS, method="inverted_cdf")
    spread = float(quantiles[-1] - quantiles[0]) or abs(float(quantiles[0])) or 1.0
    common = set(quantiles[1:][quantiles[1:] == quantiles[:-1]].tolist())
    edges = {_above(_rounded(v, spread), spread) for v in quantiles.tolist() if v not in common}
    for value in common:
        edges |= {_above(value, spread), _below(value, spread)}
    return tuple(sorted(edges))


def _rounded(value: float, spread: float) -> float:
    return round(value, _DIGITS - 1 - math.floor(math.log10(spread)))


def _above(value: float, spread: float) -> float:
    return value + _NUDGE * max(abs(value), spread * _NUDGE)


def _below(value: float, spread: float) -> float:
    return value - _NUDGE * max(abs(value), spread * _NUDGE)
