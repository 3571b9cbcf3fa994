"""One row a prediction: time, id, model, version, variant, features, score."""

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from components.foundation.signature import Array

_NAME_BYTES = 100  # of an id in memory, about
_OBJECT_BYTES = 56  # of a BYTES element in memory, beside its text


@dataclass(frozen=True, slots=True)
class Prediction:
    """A batch that was answered.

    Attributes:
        time: when.
        ids: names its rows, or what gives the names; asked later, off the way of the answer.
        features: the inputs, as they came; nobody may change the arrays any more.
        score: one number a row.
    """

    time: datetime.datetime
    ids: Sequence[str] | Callable[[], Sequence[str]]
    features: Mapping[str, Array]
    score: Array

    @property
    def rows(self) -> int:
        return len(self.score)

    def names(self) -> Sequence[str]:
        return self.ids() if callable(self.ids) else self.ids

    def held_bytes(self) -> int:
        """Estimate the memory that holding on to this takes, with what its arrays look into.

        It does not depend on the number of rows, except that BYTES have to be added up.
        """
        total = self.score.nbytes + _NAME_BYTES * len(self.score)
        seen: set[int] = set()
        for values in self.features.values():
            if values.base is None:
                total += values.nbytes
            else:
                total += _owned(values, seen)
            if values.dtype.kind == "O":
                total += sum(map(len, values.flat)) + _OBJECT_BYTES * values.size
        return total


def _owned(view: Array, seen: set[int]) -> int:
    """Return the size of what a view keeps alive, such as a request's body, but once."""
    owner = view
    while (base := getattr(owner, "base", None)) is not None:
        owner = base
    if isinstance(owner, memoryview):
        owner = owner.obj
    if id(owner) in seen:
        return 0
    seen.add(id(owner))
    return owner.nbytes if hasattr(owner, "nbytes") else max(len(owner), view.nbytes)


@dataclass(frozen=True, slots=True)
class Source:
    """Who answered."""

    model: str
    version: str
    variant: str


def score_of(output: Array, rows: int | None = None) -> Array:
    """Return one number a row of a model's first output: its last column.

    Args:
        output: rows first, unless the model has no batch.
        rows: how many there are; unless given, the length of the output.

    Returns:
        An array of its own; NaN throughout where an output holds no numbers, or none that
        can be told apart by row.
    """
    rows = len(output) if rows is None else rows
    if not output.size or output.size % rows or output.dtype.kind not in "fiub":
        return np.full(rows, np.nan)
    return output.reshape(rows, -1)[:, -1].copy()
