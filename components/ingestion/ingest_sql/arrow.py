"""SQL values as Arrow: one column type for another, and times as instants in UTC."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from components.foundation.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa
    import sqlalchemy as sa


def schema(columns: "Sequence[sa.Column[Any]]") -> "pa.Schema":
    """Return the Arrow schema of SQL columns; raises UserError for a type without a place."""
    import pyarrow as pa

    return pa.schema([(column.name, _type(column)) for column in columns])


def table(rows: Sequence[Sequence[Any]], schema: "pa.Schema", *, timezone: str) -> "pa.Table":
    """Turn rows into a table; times without a zone are read in `timezone`.

    Raises:
        UserError: a value does not fit its column's declared type.
    """
    import pyarrow as pa

    values = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [_array(value, field, timezone) for value, field in zip(values, schema, strict=True)]
    return pa.table(arrays, schema=schema)


def _array(values: Sequence[Any], field: "pa.Field[Any]", timezone: str) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        if pa.types.is_timestamp(field.type) and all(v is None or not v.tzinfo for v in values):
            naive = pa.array(values, pa.timestamp("us"))
            return pc.assume_timezone(naive, timezone).cast(field.type)
        return pa.array(values, field.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        place, kind = _misfit(values, field.type)
        raise UserError(
            f"column {field.name!r}: row {place} read is {kind}, expected {field.type}; correct it "
            "at the source, or leave the column out with `columns`",
            code="value-of-another-type",
        ) from error


def _misfit(values: Sequence[Any], wanted: "pa.DataType") -> tuple[int, str]:
    """Find the first value that does not fit: its place and kind, never itself."""
    import pyarrow as pa

    for place, value in enumerate(values, 1):
        try:
            pa.scalar(value, wanted)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            return place, f"{type(value).__name__} that does not fit"
    return len(values), "of a mixed kind"


def _type(column: "sa.Column[Any]") -> "pa.DataType":
    import pyarrow as pa
    import sqlalchemy as sa

    match column.type:
        case sa.Boolean():
            return pa.bool_()
        case sa.Integer():
            return pa.int64()
        case sa.Float():
            return pa.float64()
        case sa.Numeric(precision=int(precision), scale=int(scale)) if precision <= 38:
            return pa.decimal128(precision, scale)
        case sa.DateTime():
            return pa.timestamp("us", "UTC")
        case sa.Date():
            return pa.date32()
        case sa.String():  # Text and Enum too
            return pa.string()
        case sa.LargeBinary():
            return pa.binary()
    raise UserError(
        f"column {column.name!r}: no place for SQL type {column.type!r}; cast it in a view, or "
        "leave it out with `columns`",
        code="type-unsupported",
    )
