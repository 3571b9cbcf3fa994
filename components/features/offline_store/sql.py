"""Names and times in DuckDB's SQL, and a connection that reaches nothing but its files."""

import pathlib
import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb


def quoted(name: str) -> str:
    """Quote an identifier."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def listed(names: Iterable[str]) -> str:
    return ", ".join(map(quoted, names))


def microseconds(column: str) -> str:
    """Read a time as microseconds since 1970; a time without a zone is in UTC."""
    return f"epoch_us(CAST({quoted(column)} AS TIMESTAMPTZ))"


def connect(scratch: pathlib.Path, *, memory_limit: str = "") -> "duckdb.DuckDBPyConnection":
    """Open DuckDB in UTC; what does not fit in memory goes below a scratch folder.

    Each connection spills to a folder of its own, because two processes in one folder take
    the same file names; DuckDB makes it when it spills and removes it when it closes.
    """
    import duckdb

    scratch.mkdir(parents=True, exist_ok=True)
    config: dict[str, str | bool | int | float | list[str]] = {
        "temp_directory": str(scratch / uuid.uuid4().hex),
        "autoinstall_known_extensions": False,
        "python_enable_replacements": False,
        **({"memory_limit": memory_limit} if memory_limit else {}),
    }
    connection = duckdb.connect(config=config)
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")
    return connection
