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
from components.foundation.statistics.metrics import Floats
from components.foundation.tables import TableRef, Tables

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Labelled:
    """Rows with their labels, 0 or 1."""

    source: str
    table: "pa.Table"
    labels: Floats
    unlabelled: int  # how many rows were left out for want of a label

    def coded(self, name: str) -> tuple[list[str], NDArray[np.int64]]:
        """Return a column's values as text, and which of them each row has."""
        texts = [_text(value) for value in self.table.column(name).to_pylist()]
        names, places = np.unique(texts, return_inverse=True)
        return [str(text) for text in names], places

    def groups(self, name: str) -> NDArray[np.int64] | None:
        """Return which rows vary together: of a time, those of a day; None if no name is given."""
        return self.coded(name)[1] if name else None


def read(
    tables: Tables, ref: TableRef, signature: Signature, *, label: str, others: Sequence[str] = ()
) -> Labelled:
    """Read what a model takes, the label, and other columns; leave out rows without a label.

    Raises:
        UserError: the table lacks a column that the model takes, the label or another; a
            label is neither 0 nor 1; no row has one.
    """
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
    return labelled(tables.read(ref, list(dict.fromkeys(wanted))), label=label, source=str(ref))


def labelled(table: "pa.Table", *, label: str, source: str) -> Labelled:
    """Leave out rows without a label; raises UserError when none is left or one is no label."""
    known = table.filter(table.column(label).is_valid())
    if not known.num_rows:
        raise UserError(
            f"{source}: none of {table.num_rows} rows has a label; nothing to judge by",
            code="no-labels",
        )
    labels = known.column(label).to_numpy(zero_copy_only=False).astype(np.float64)
    if not np.isin(labels, (0.0, 1.0)).all():
        raise UserError(
            f"{source}: label {label!r} is {np.unique(labels)[:5]}; expected 0 and 1",
            code="label-not-binary",
        )
    return Labelled(source, known, labels, table.num_rows - known.num_rows)


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
