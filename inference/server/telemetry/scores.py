"""Scores as counts in the bins of the sealed profile, so that drift can be told from them.

The bins are those of the profile: bin i holds edges[i-1] < score <= edges[i], the ends are open,
and what is not finite is missing.
"""

import json
import math
import pathlib
from bisect import bisect_left
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from components.foundation.errors import UserError
from components.foundation.signature import Array

COLUMN = "score"  # what a profile calls it
_VERSION = 1
_FEW = 16  # scores up to which Python's own bisection beats the start of numpy's


class Counted(NamedTuple):
    """Scores of one batch: how many by bin, how many of none, and their sum."""

    bins: Mapping[int, int]
    missing: int = 0
    total: float = 0.0


def count(scores: Array, edges: tuple[float, ...]) -> Counted:
    """Count scores between edges; whatever is no number is not counted at all."""
    if scores.dtype.kind not in "biuf":
        return Counted({})
    if scores.size <= _FEW:
        return _count_few(scores.ravel().tolist(), edges)
    values = scores.ravel().astype(np.float64)
    known = values[np.isfinite(values)]
    counts = np.bincount(np.searchsorted(np.asarray(edges), known, side="left"))
    filled = np.flatnonzero(counts)
    bins = dict(zip(filled.tolist(), counts[filled].tolist(), strict=True))
    return Counted(bins, values.size - known.size, float(known.sum()))


def _count_few(values: list[float], edges: tuple[float, ...]) -> Counted:
    known = [value for value in values if math.isfinite(value)]
    bins: dict[int, int] = {}
    for value in known:
        place = bisect_left(edges, value)
        bins[place] = bins.get(place, 0) + 1
    return Counted(bins, len(values) - len(known), sum(known))


def read_edges(folder: pathlib.Path) -> tuple[float, ...]:
    """Read the score's edges from the profile in a model's folder; none where there is none.

    A folder without a profile has no edges, nor has a score that the profile counts by levels.

    Raises:
        UserError: the profile cannot be read.
    """
    path = folder / "profile.json"
    if not path.exists():
        return ()
    try:
        value: Any = json.loads(path.read_bytes())
        if value["version"] != _VERSION:
            raise ValueError(f"version {value['version']!r}, expected {_VERSION}")
        return _edges(value["columns"].get(COLUMN) or {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path}: is no profile ({type(error).__name__}: {error}); fetch the release again",
            code="profile-malformed",
        ) from error


def _edges(column: Mapping[str, Any]) -> tuple[float, ...]:
    if column.get("kind") != "numeric":
        return ()
    edges = tuple(float(edge) for edge in column["edges"])
    if not all(map(math.isfinite, edges)) or list(edges) != sorted(set(edges)):
        raise ValueError("edges of the score that do not rise")
    return edges
