"""DuckDB over cached data files: under a memory limit, and cut off from everything else.

Reads the immutable Parquet files that `Tables.files` fetched, never an Arrow dataset: Arrow
reads ahead outside of DuckDB's limit. The SQL that runs here can open those files, spill to
its own folder, and do nothing more: no other file, no network, no change of settings.
"""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.foundation import sql
from components.foundation.errors import FULL, FalajError, InfrastructureError, UserError
from components.foundation.tables import DataFiles

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

BATCH_ROWS = 65_536
_OVERHEAD_MB = 384  # the interpreter, its libraries, and the Parquet writer of Delta Lake
_LEAST_MB = 128


@dataclass(frozen=True, slots=True)
class Limits:
    """What the whole process may use; DuckDB gets what is left after the rest of it.

    One thread, so that the same rows in the same order give the same answer: sums of floats,
    `any_value`, ties of `row_number` and `LIMIT` follow who comes first.
    """

    memory_mb: int = 1024
    threads: int = 1

    def __post_init__(self) -> None:
        if self.duckdb_mb < _LEAST_MB:
            raise UserError(
                f"memory limit {self.memory_mb} MB: the process itself needs {_OVERHEAD_MB} MB; "
                f"expected at least {_OVERHEAD_MB + _LEAST_MB}",
                code="memory-limit-too-small",
            )

    @property
    def duckdb_mb(self) -> int:
        return self.memory_mb - _OVERHEAD_MB


@contextlib.contextmanager
def opened(
    files: Sequence[DataFiles], limits: Limits | None = None
) -> Iterator["duckdb.DuckDBPyConnection"]:
    """Open an empty database that can read these files and nothing else."""
    import duckdb

    paths = [str(path) for one in files for path in one.paths]
    with (
        tempfile.TemporaryDirectory(prefix="falaj-spill-") as spill,
        duckdb.connect() as connection,
        explained(),
    ):
        for setting in _settings(limits or Limits(), spill, paths):
            connection.execute(setting)
        yield connection


def _settings(limits: Limits, spill: str, paths: Sequence[str]) -> list[str]:
    listed = ", ".join(map(sql.literal, paths))
    return [
        f"SET memory_limit = '{limits.duckdb_mb}MB'",
        f"SET threads = {limits.threads}",
        f"SET temp_directory = {sql.literal(spill)}",
        "SET preserve_insertion_order = false",
        "SET TimeZone = 'UTC'",
        f"SET allowed_directories = [{sql.literal(spill)}]",
        f"SET allowed_paths = [{listed}]",
        "SET enable_external_access = false",
        "SET lock_configuration = true",
    ]


@contextlib.contextmanager
def streamed(
    connection: "duckdb.DuckDBPyConnection", query: str
) -> Iterator["pa.RecordBatchReader"]:
    """Run a query as a stream of batches, in types that Delta Lake has.

    The next batch is made while the last is used: a writer keeps a second core busy.
    What DuckDB raises while somebody else reads the stream comes out of this block as ours.
    """
    import duckdb
    import pyarrow as pa

    failures: list[duckdb.Error] = []

    def batches(reader: "pa.RecordBatchReader") -> Iterator["pa.RecordBatch"]:
        try:
            yield from _ahead(reader, pool)
        except duckdb.Error as error:
            failures.append(error)
            raise

    with explained(), ThreadPoolExecutor(1) as pool:
        reader = connection.sql(_storable(connection, query)).to_arrow_reader(BATCH_ROWS)
        try:
            yield pa.RecordBatchReader.from_batches(reader.schema, batches(reader))
        except BaseException as error:
            if failures:
                raise _translate(failures[0]) from error
            raise
        finally:
            pool.shutdown()  # a batch may be under way, when whoever reads has failed
            reader.close()  # an open result would keep the connection from a second try


def _ahead(reader: "pa.RecordBatchReader", pool: ThreadPoolExecutor) -> Iterator["pa.RecordBatch"]:
    """Read one batch ahead, in a thread; the query itself still runs in one at a time."""
    batches = iter(reader)
    coming = pool.submit(next, batches, None)
    while (batch := coming.result()) is not None:
        coming = pool.submit(next, batches, None)
        yield batch


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Turn what DuckDB raises into our errors."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise _translate(error) from error


_TYPES = frozenset(
    {"BIGINT", "BLOB", "BOOL", "BOOLEAN", "DATE", "DECIMAL", "DOUBLE", "FLOAT", "HUGEINT",
     "INT128", "INT16", "INT32", "INT64", "INT8", "INTEGER", "SMALLINT", "TIME", "TIMESTAMP",
     "TINYINT", "UUID", "VARCHAR"}
)  # fmt: skip


def reason(error: "duckdb.Error") -> str:
    """Say what DuckDB said; of an error that met rows its kind alone, as it may quote one."""
    import duckdb

    told = (
        duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException,
        duckdb.OutOfMemoryException, duckdb.IOException,
        duckdb.PermissionException,
    )  # fmt: skip
    text = " ".join(str(error).split("\n\n", 1)[0].split())[:400]
    if isinstance(error, told):
        return text
    kind = type(error).__name__.removesuffix("Exception")
    to = [word for word in re.findall(r"\w+", text) if word in _TYPES]
    return f"{kind} error on the rows" + (f", as {to[-1]}" if to else "")


def _translate(error: "duckdb.Error") -> FalajError:
    import duckdb

    text = reason(error)
    match error:
        case duckdb.IOException() if _full(text):
            return InfrastructureError(
                f"DuckDB: {text}; give the step a larger volume for temporary files",
                code="disk-full",
            )
        case duckdb.OutOfMemoryException():
            return UserError(
                f"DuckDB: {text}; raise memory_limit_mb or select less", code="memory-limit-reached"
            )
        case duckdb.IOException() | duckdb.InternalException() | duckdb.FatalException():
            return InfrastructureError(f"DuckDB: {text}; run the step again", code="engine-failed")
        case _:
            return UserError(
                f"DuckDB refused the SQL: {text}; correct it (TRY_CAST gives NULL for a bad value)",
                code="sql-failed",
            )


def _full(text: str) -> bool:
    return any(os.strerror(number) in text for number in FULL)


def _storable(connection: "duckdb.DuckDBPyConnection", query: str) -> str:
    """Wrap a query so that columns of types unknown to Delta Lake are cast, if any are."""
    shape = connection.sql(query)
    kinds = dict(zip(shape.columns, map(str, shape.types), strict=True))
    casts = {column: _cast(column, kind) for column, kind in kinds.items()}
    if all(to is None for to in casts.values()):
        return query
    listed = ", ".join(
        f"CAST({sql.name(column)} AS {to}) AS {sql.name(column)}" if to else sql.name(column)
        for column, to in casts.items()
    )
    return f"SELECT {listed} FROM ({query})"  # noqa: S608 - quoted above


def _cast(column: str, kind: str) -> str | None:
    """Return the type to cast to, if Delta Lake lacks this one."""
    if kind in {"HUGEINT", "UHUGEINT", "UBIGINT", "UINTEGER", "USMALLINT", "UTINYINT"}:
        return "BIGINT"  # sum() of integers is HUGEINT; a value that does not fit is an error
    if kind in {"UUID", "JSON"} or kind.startswith("ENUM"):
        return "VARCHAR"
    if kind.startswith("TIMESTAMP_"):
        return "TIMESTAMP"
    if kind.startswith(("TIME", "INTERVAL", "BIT", "UNION")) and not kind.startswith("TIMESTAMP"):
        raise UserError(
            f"column {column!r} is {kind}, which Delta Lake does not have; cast it in the SQL",
            code="type-unsupported",
        )
    return None
