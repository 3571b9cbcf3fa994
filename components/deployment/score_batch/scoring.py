"""Score rows with a release and write observations, exactly once.

Rows stream from cached files through ONNX Runtime into the table: memory holds a batch.
What was scored is remembered as a Delta application transaction, so the same rows and
release again write nothing; newer rows replace exactly the dates that they hold.
"""

import contextlib
import json
import pathlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from components.evaluation.runtime import ServedModel
from components.foundation import engine, sql
from components.foundation.errors import UserError, nearest
from components.foundation.sealing import release as releases
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.uri import ReleaseUri
from components.foundation.signature import Array
from components.foundation.storage import ObjectStore
from components.foundation.tables import DataFiles, TableRef, Tables

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

VARIANT = "batch"
_ID, _TIME, _DATE = "falaj_id", "falaj_time", "falaj_date"


@dataclass(frozen=True, slots=True)
class Order:
    """What to score, and where the observations go.

    Attributes:
        source: the rows: features, an id, and the time that each row's event belongs to.
        batch_rows: rows that are scored and held at once.
    """

    source: TableRef
    target: TableRef
    release: ReleaseUri
    id_column: str
    time_column: str
    batch_rows: int = 65_536

    @property
    def transaction(self) -> str:
        return f"score_batch {self.source.uri} {self.release}"


@dataclass(frozen=True, slots=True)
class Extent:
    """How many rows there are, and on which dates."""

    rows: int
    dates: tuple[str, ...]


def score(
    order: Order, tables: Tables, store: ObjectStore, keys: KeyRing, *, cache: pathlib.Path
) -> tuple[TableRef, int]:
    """Write the observations of every row; return their table and how many there are.

    Raises:
        Refused: the release is not as it was signed.
        UserError: rows lack a column, or an id or time is missing or not unique.
    """
    files = tables.files(order.source, cache)
    _check_columns(order, files)
    with (
        opened(order.release, store=store, keys=keys) as model,
        engine.opened([files]) as connection,
    ):
        extent = _extent(connection, files, order)

        def write() -> None:
            if tables.transaction(order.target, order.transaction) != order.source.version:
                with engine.streamed(connection, _query(files, order, model)) as rows:
                    _write(order, tables, _observations(rows, order, model), extent)

        tables.settings.patience.again(write)
    return tables.resolve(order.target.at(None)), extent.rows


@contextlib.contextmanager
def opened(release: ReleaseUri, *, store: ObjectStore, keys: KeyRing) -> Iterator[ServedModel]:
    """Verify and decrypt a release into a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="falaj-release-") as folder:
        destination = pathlib.Path(folder) / "model"
        releases.unseal(str(release), destination, store=store, keys=keys)
        yield ServedModel.open(destination)


def _check_columns(order: Order, files: DataFiles) -> None:
    for name in (order.id_column, order.time_column):
        if name not in files.schema.names:
            known = nearest(name, files.schema.names)
            raise UserError(
                f"table {order.source}: has no column {name!r}; {known}", code="column-unknown"
            )


def _extent(connection: "duckdb.DuckDBPyConnection", files: DataFiles, order: Order) -> Extent:
    """Count rows and dates in one pass; refuse rows that cannot be told apart or placed."""
    identity, time = sql.name(order.id_column), sql.name(order.time_column)
    with engine.explained():
        ((rows, identities, times, different, dates),) = connection.execute(
            f"SELECT count(*), count({identity}), count({time}), count(DISTINCT {identity}), "  # noqa: S608 - quoted
            f"list(DISTINCT CAST({time} AS DATE)) FROM {files.duckdb_source()}"
        ).fetchall()
    if not rows:
        raise UserError(
            f"table {order.source}: has no rows to score; is its window right?", code="no-rows"
        )
    if identities < rows or times < rows or different < rows:
        raise UserError(
            f"table {order.source}: {rows} rows have {identities} values of {order.id_column!r} "
            f"({different} different) and {times} of {order.time_column!r}; every row needs an "
            "id of its own and a time",
            code="row-identity",
        )
    return Extent(rows, tuple(sorted(date.isoformat() for date in dates)))


def _query(files: DataFiles, order: Order, model: ServedModel) -> str:
    features = [tensor.name for tensor in model.signature.inputs]
    missing = [name for name in features if name not in files.schema.names]
    if missing:
        known = nearest(missing[0], files.schema.names)
        raise UserError(
            f"table {order.source}: lacks the model's {missing[0]!r}; {known}",
            code="model-input-missing",
        )
    identity, time = sql.name(order.id_column), sql.name(order.time_column)
    return (
        f"SELECT CAST({identity} AS VARCHAR) AS {_ID}, CAST({time} AS TIMESTAMPTZ) AS {_TIME}, "  # noqa: S608 - quoted
        f"CAST({time} AS DATE) AS {_DATE}, {sql.names(features)} FROM {files.duckdb_source()}"
    )


def _write(order: Order, tables: Tables, rows: "pa.RecordBatchReader", extent: Extent) -> None:
    transactions = {order.transaction: order.source.version or 0}
    if not tables.exists(order.target):
        tables.create(order.target, rows, by=["date"], transactions=transactions)
        return
    dates = ", ".join(f"'{date}'" for date in extent.dates)
    tables.replace_where(
        order.target,
        rows,
        predicate=f"variant = '{VARIANT}' AND version = '{order.release.version}' "
        f"AND date IN ({dates})",
        transactions=transactions,
    )


def _observations(
    rows: "pa.RecordBatchReader", order: Order, model: ServedModel
) -> "pa.RecordBatchReader":
    import pyarrow as pa

    schema = observation_schema()
    batches = (
        observed
        for batch in rows
        for start in range(0, batch.num_rows, order.batch_rows)
        for observed in _scored(batch.slice(start, order.batch_rows), order, model).to_batches()
    )
    return pa.RecordBatchReader.from_batches(schema, batches)


def observation_schema() -> "pa.Schema":
    import pyarrow as pa

    fields: list[pa.Field[Any]] = [
        pa.field("date", pa.date32()),
        pa.field("time", pa.timestamp("us", tz="UTC")),
        *(pa.field(name, pa.string()) for name in ("id", "model", "version", "variant")),
        pa.field("score", pa.float64()),
        pa.field("features", pa.string()),
    ]
    return pa.schema(fields)


def _scored(batch: "pa.RecordBatch", order: Order, model: ServedModel) -> "pa.Table":
    import pyarrow as pa

    inputs = model.signature.feed(pa.Table.from_batches([batch]))
    count = batch.num_rows
    columns = [
        batch.column(_DATE),
        batch.column(_TIME).cast(pa.timestamp("us", tz="UTC")),
        batch.column(_ID),
        pa.repeat(order.release.model, count),
        pa.repeat(order.release.version, count),
        pa.repeat(VARIANT, count),
        pa.array(model.run(inputs)),
        _as_json(inputs),
    ]
    return pa.Table.from_arrays(columns, schema=observation_schema())


def _as_json(inputs: Mapping[str, Array]) -> "pa.Array[Any]":
    """Write what the model saw as the server does: one object a row, null where missing."""
    import pyarrow.compute as pc

    parts: list[Any] = []
    for name, values in inputs.items():
        parts += [f"{',' if parts else '{'}{json.dumps(name)}:", _numbers(values)]
    # Arrow writes columns at once; row by row in Python takes longer than the model does.
    rows: pa.Array[Any] = pc.binary_join_element_wise(
        *parts, "}", "", null_handling="replace", null_replacement="null"
    )
    return rows


def _numbers(values: Array) -> "pa.Array[Any]":
    """Write numbers as JSON has them; what it cannot say (NaN, infinity) is null."""
    import pyarrow as pa

    if values.dtype.kind != "f":
        return pa.array(values).cast(pa.string())
    return pa.array(values.astype(np.float64), mask=~np.isfinite(values)).cast(pa.string())
