"""Training rows as arrays: named inputs, labels, weights, and what they look like."""

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from components.foundation.choice import chosen
from components.foundation.errors import UserError, nearest
from components.foundation.signature import Signature, Tensor
from components.foundation.statistics import labels
from components.foundation.statistics.task import Task, yardstick

if TYPE_CHECKING:
    import pyarrow as pa

Arrays: TypeAlias = Mapping[str, NDArray[Any]]
Floats32: TypeAlias = NDArray[np.float32]


class ClassWeight(enum.StrEnum):
    """How rows count in the loss: each the same, or both classes the same in sum."""

    NONE = "none"
    BALANCED = "balanced"

    @classmethod
    def parse(cls, text: str) -> "ClassWeight":
        return chosen(text, cls, setting="class_weight")


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows: an array an input, a label and a weight a row."""

    inputs: Arrays
    labels: Floats32
    weights: Floats32


@dataclass(frozen=True, slots=True)
class Rows:
    """All rows of a table that have a label."""

    inputs: Arrays
    labels: Floats32
    unlabelled: int  # how many rows were left out for want of a label

    def __len__(self) -> int:
        return int(self.labels.size)

    @property
    def base_rate(self) -> float:
        """Mean of the labels: of classes, the share of positive ones."""
        return float(self.labels.mean(dtype=np.float64))

    def weights(self, kind: ClassWeight) -> Floats32:
        match kind:
            case ClassWeight.NONE:
                return np.ones(len(self), np.float32)
            case ClassWeight.BALANCED:
                rate = self.base_rate
                positive, negative = 0.5 / rate, 0.5 / (1 - rate)
                return np.where(self.labels == 1, positive, negative).astype(np.float32)

    def shuffled(self, weights: Floats32, *, size: int, seed: int, epoch: int) -> Iterator[Batch]:
        """Yield every row once, in an order that only the seed and the epoch decide."""
        order = np.random.default_rng([seed, epoch]).permutation(len(self))
        for start in range(0, len(self), size):
            some = order[start : start + size]
            inputs = {name: array[some] for name, array in self.inputs.items()}
            yield Batch(inputs, self.labels[some], weights[some])


def signature(
    table: "pa.Table", features: Sequence[str], task: Task = Task.CLASSIFICATION
) -> Signature:
    """Derive what the model takes from the training columns, and gives by its task.

    Integers become INT64, floats FP32; so do integers with nulls, because a runtime has no
    null for integers, and NaN for floats.

    Raises:
        UserError: a feature is neither a number nor true or false.
    """
    output = Tensor(yardstick(task).output, "FP32")
    return Signature(tuple(_tensor(table, name) for name in features), (output,))


def labelled(
    table: "pa.Table",
    signature: Signature,
    *,
    label: str,
    task: Task = Task.CLASSIFICATION,
    source: str = "training",
) -> Rows:
    """Split a table into inputs and labels; rows whose label is null are left out.

    Raises:
        UserError: a label is none of the task, or all are the same.
    """
    known, exact = labels.known(table, label, task=task, source=source)
    if np.unique(exact).size < 2:
        one = "of one class; expected both 0 and 1"
        same = "equal; expected some that differ"
        raise UserError(
            f"{source}: label {label!r}: {exact.size} labelled rows, all "
            f"{one if task is Task.CLASSIFICATION else same}; is the period right?",
            code="label-one-class",
        )
    unlabelled = table.num_rows - known.num_rows
    return Rows(signature.feed(known), exact.astype(np.float32), unlabelled)


def columns(schema: "pa.Schema", features: Sequence[str], label: str) -> list[str]:
    """Return the columns to read.

    Raises:
        UserError: no features, one is named twice, one or the label is not a column, or
            the label is among the features.
    """
    if not features or len(set(features)) != len(features):
        raise UserError(
            f"features {list(features)}: expected at least one, each named once",
            code="features-malformed",
        )
    for name in (*features, label):
        if name not in schema.names:
            raise UserError(
                f"{name!r} is not a column; {nearest(name, schema.names)}", code="column-unknown"
            )
    if label in features:
        raise UserError(
            f"label {label!r} is among the features; the model would only copy it",
            code="label-among-features",
        )
    return [*features, label]


def _tensor(table: "pa.Table", name: str) -> Tensor:
    import pyarrow.types as is_

    kind = table.schema.field(name).type
    if is_.is_integer(kind) or is_.is_boolean(kind):
        return Tensor(name, "FP32" if table.column(name).null_count else "INT64")
    if is_.is_floating(kind):
        return Tensor(name, "FP32")
    raise UserError(
        f"feature {name!r} is {kind}; expected a number: encode it in the features, "
        "so that serving encodes it alike",
        code="feature-not-a-number",
    )
