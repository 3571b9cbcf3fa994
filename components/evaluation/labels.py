"""Rows to judge by: those of a table that have a label."""

import contextlib
import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from components.foundation import digests, once
from components.foundation.errors import UserError, nearest
from components.foundation.signature import Signature
from components.foundation.statistics import labels
from components.foundation.statistics.metrics import Floats
from components.foundation.statistics.task import Task, Yardstick, yardstick
from components.foundation.tables import TableRef, Tables

if TYPE_CHECKING:
    import pyarrow as pa


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


def read(
    tables: Tables,
    ref: TableRef,
    signature: Signature,
    *,
    label: str,
    others: Sequence[str] = (),
    task: Task = Task.CLASSIFICATION,
) -> Labelled:
    """Read what a model takes, the label, and other columns; leave out rows without a label.

    Raises:
        UserError: the model is of another task; the table lacks a column that the model
            takes, the label or another; a label is none of the task; no row has one.
    """
    _same_task(signature, task, ref)
    schema = tables.schema(ref)
    inputs = [tensor.name for tensor in signature.inputs]
    wanted = [*inputs, label, *filter(None, others)]
    for name in wanted:
        if name not in schema.names:
            what = "an input of the model" if name in inputs else "asked for"
            raise UserError(
                f"{ref}: has no column {name!r}, {what}; {nearest(name, schema.names)}; "
                "was the model trained on other features?",
                code="column-unknown",
            )
    table = tables.read(ref, list(dict.fromkeys(wanted)))
    return labelled(table, label=label, source=str(ref), task=task)


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


def write_scored(tables: Tables, target: str, rows: Labelled, scores: Floats) -> str:
    """Write the rows with a column `score` to a table, if one is named; return it pinned.

    The same rows with the same scores are written once.
    """
    if not target:
        return ""
    import pyarrow as pa

    table = rows.table.append_column("score", pa.array(scores))
    recipe = digests.of_json([rows.source, table.column_names, str(digests.of_bytes(scores.data))])
    made = once.replace(
        tables,
        TableRef.unversioned(target),
        recipe,
        lambda: contextlib.nullcontext(table.to_reader()),
    )
    return str(made)


def _text(value: Any) -> str:
    match value:
        case None:
            return "(none)"
        case datetime.datetime():
            return value.date().isoformat()
        case _:
            return str(value)
