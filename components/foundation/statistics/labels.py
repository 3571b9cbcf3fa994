"""The rows of a table that have a label, and the labels as numbers."""

from typing import TYPE_CHECKING

import numpy as np

from components.foundation.errors import UserError
from components.foundation.statistics.metrics import Floats
from components.foundation.statistics.task import Task, yardstick

if TYPE_CHECKING:
    import pyarrow as pa


def known(table: "pa.Table", label: str, *, task: Task, source: str) -> "tuple[pa.Table, Floats]":
    """Leave out the rows whose label is null; return the others, and their labels.

    Raises:
        UserError: a label is none of this task: no number, neither 0 nor 1, or not finite.
    """
    import pyarrow.types as is_

    kind = table.schema.field(label).type
    numbers = (is_.is_integer, is_.is_floating, is_.is_decimal, is_.is_boolean, is_.is_null)
    if not any(fits(kind) for fits in numbers):
        raise UserError(
            f"{source}: label {label!r} is {kind}; expected a number: cast it in the SQL",
            code="label-not-a-number",
        )
    rows = table.filter(table.column(label).is_valid())
    labels = rows.column(label).to_numpy(zero_copy_only=False).astype(np.float64)
    if wrong := yardstick(task).wrong(labels):
        raise UserError(
            f"{source}: label {label!r} is {wrong}",
            code="label-not-binary" if task is Task.CLASSIFICATION else "label-not-a-number",
        )
    return rows, labels
