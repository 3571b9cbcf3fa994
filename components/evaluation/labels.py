"""Rows to judge by: those of a table that have a label."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from components.foundation.errors import UserError, nearest
from components.foundation.signature import Signature
from components.foundation.statistics import labels
from components.foundation.statistics.metrics import Floats
from components.foundation.statistics.task import Task, Yardstick, yardstick
from components.foundation.tables import TableRef, Tables

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Truth:
    """Where a table says what came true, of which task, and what else is read of it.

    Attributes:
        label: column with 0 or 1, or a number.
        beside: further columns; empty names are none.
    """

    label: str
    task: Task = Task.CLASSIFICATION
    beside: Sequence[str] = ()

    def with_columns(self, names: Sequence[str]) -> Self:
        return replace(self, beside=(*self.beside, *names))


@dataclass(frozen=True)
class Labelled:
    """Rows with their labels: 0 or 1, or numbers, as the task is."""

    source: str
    table: "pa.Table"
    labels: Floats
    unlabelled: int  # how many rows were left out for want of a label
    task: Task = Task.CLASSIFICATION

    @property
    def yardstick(self) -> Yardstick:
        return yardstick(self.task)

    def coded(self, name: str) -> tuple[list[str], NDArray[np.int64]]:
        """Return a column's values as text, and which of them each row has."""
        texts = [_text(value) for value in self.table.column(name).to_pylist()]
        names, places = np.unique(texts, return_inverse=True)
        return [str(text) for text in names], places

    def groups(self, name: str) -> NDArray[np.int64] | None:
        """Return which rows vary together: of a time, those of a day; None if no name is given."""
        return self.coded(name)[1] if name else None


def read(tables: Tables, ref: TableRef, signature: Signature, truth: Truth) -> Labelled:
    """Read what a model takes, the label, and what is beside; leave out rows without a label.

    Raises:
        UserError: the model is of another task; the table lacks a column that the model
            takes, the label or another; a label is none of the task; no row has one.
    """
    _same_task(signature, truth.task, ref)
    schema = tables.schema(ref)
    inputs = [tensor.name for tensor in signature.inputs]
    wanted = [*inputs, truth.label, *filter(None, truth.beside)]
    for name in wanted:
        if name not in schema.names:
            what = "an input of the model" if name in inputs else "asked for"
            raise UserError(
                f"{ref}: has no column {name!r}, {what}; {nearest(name, schema.names)}; "
                "was the model trained on other features?",
                code="column-unknown",
            )
    table = tables.read(ref, list(dict.fromkeys(wanted)))
    return labelled(table, label=truth.label, source=str(ref), task=truth.task)


def labelled(
    table: "pa.Table", *, label: str, source: str, task: Task = Task.CLASSIFICATION
) -> Labelled:
    """Leave out rows without a label; raises UserError when none is left or one is no label."""
    known, values = labels.known(table, label, task=task, source=source)
    if not known.num_rows:
        raise UserError(
            f"{source}: none of {table.num_rows} rows has a label; nothing to judge by",
            code="no-labels",
        )
    return Labelled(source, known, values, table.num_rows - known.num_rows, task)


def _same_task(signature: Signature, task: Task, ref: TableRef) -> None:
    """Refuse a model of another task, as far as the name of its answer tells."""
    given = signature.outputs[0].name
    for other in Task:
        if other is not task and given == yardstick(other).output:
            raise UserError(
                f"{ref}: the model gives {given!r}, so it is of task {other}, not {task}; "
                "give `task` the one it was trained for",
                code="task-unknown",
            )


def _text(value: Any) -> str:
    match value:
        case None:
            return "(none)"
        case datetime.datetime():
            return value.date().isoformat()
        case _:
            return str(value)
