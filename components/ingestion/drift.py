"""Notice when a source changes the type of a column of a raw table that exists."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from components.foundation.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

# What a column may turn into without losing anything: number kinds only widen.
_WIDENS = {("integer", "double")}


def fit(rows: "pa.Table", schema: "pa.Schema", *, table: str) -> "pa.Table":
    """Cast rows to the types the table has; columns that are new stay as they are.

    Raises:
        UserError: a column changed its kind (say, from a number to text).
    """
    for name in rows.column_names:
        if name in schema.names:
            rows = _fit_column(rows, schema.field(name), table)
    return rows


def _fit_column(rows: "pa.Table", want: "pa.Field[Any]", table: str) -> "pa.Table":
    position = rows.schema.get_field_index(want.name)
    got = rows.schema.field(position).type
    if got.equals(want.type):
        return rows
    if not _fits(_kind(got), _kind(want.type)):
        raise UserError(
            f"table {table}: column {want.name!r} is {_kind(want.type)}, the source now gives "
            f"{_kind(got)}; restore the source's type, or ingest into a new table",
            code="source-type-changed",
        )
    return rows.set_column(position, want, rows.column(position).cast(want.type))


def _fits(got: str, want: str) -> bool:
    return got in {want, "null"} or (got, want) in _WIDENS


def _kind(type_: "pa.DataType") -> str:
    import pyarrow.types as is_

    kinds: dict[str, Callable[[pa.DataType], bool]] = {
        "integer": is_.is_integer,
        "double": is_.is_floating,
        "text": lambda t: is_.is_string(t) or is_.is_large_string(t),
        "a timestamp": is_.is_timestamp,
    }
    return next((name for name, matches in kinds.items() if matches(type_)), str(type_))
