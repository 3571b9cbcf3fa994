"""Delta tables as DuckDB sources: pinned, fetched once, read as plain files."""

import pathlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from components.features.offline_store.sql import connect, quoted
from components.foundation.errors import UserError
from components.foundation.tables import TableRef, Tables

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import pyarrow as pa

_FRAME = "__entity_frame"


@dataclass(frozen=True)
class Sources:
    """The tables of one store, at the versions it was told to read."""

    tables: Tables
    cache: pathlib.Path
    memory_limit: str = ""
    versions: Mapping[str, int] = field(default_factory=dict)

    def connect(self) -> "duckdb.DuckDBPyConnection":
        return connect(self.cache / "duckdb", memory_limit=self.memory_limit)

    def ref(self, uri: str) -> TableRef:
        """Pin a table at the version asked for, or else at its latest."""
        version = self.versions.get(uri)
        known = f"{uri}@{'latest' if version is None else version}"
        return self.tables.resolve(TableRef.parse(known))

    def expression(self, ref: TableRef) -> str:
        """Fetch what the cache lacks, and return the table as an expression in DuckDB."""
        return self.tables.files(ref, self.cache).duckdb_source()

    def schema(self, ref: TableRef) -> "pa.Schema":
        return self.tables.schema(ref)

    def entities(self, connection: "duckdb.DuckDBPyConnection", rows: "pd.DataFrame | str") -> str:
        """Make entity rows of any kind available, and return the SELECT that reads them."""
        if not isinstance(rows, str):
            connection.register(_FRAME, rows)
            return f"SELECT * FROM {quoted(_FRAME)}"  # noqa: S608 - our own quoted name
        query = f"SELECT * FROM {quoted(rows)}" if _is_reference(rows) else rows  # noqa: S608
        for name in connection.get_table_names(query):
            if not _is_reference(name):
                raise UserError(
                    f'entity rows: table {name!r}; expected quoted references such as "s3://b/t@7"',
                    code="entity-rows",
                )
            source = self.expression(self.tables.resolve(TableRef.parse(name)))
            connection.execute(f"CREATE TEMP VIEW {quoted(name)} AS SELECT * FROM {source}")  # noqa: S608
        return query


def _is_reference(text: str) -> bool:
    return text.startswith("s3://") and not any(c.isspace() or c == '"' for c in text)
