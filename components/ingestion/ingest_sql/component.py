"""Grow a raw table from a SQL table, by a key that only grows.

Reads: one table or view of a SQL database, over SQLAlchemy.
Writes: one Delta table; each chunk of rows and the key reached commit together.
Needs: the database's driver in the image; a key whose later rows are greater.
Fails when: the database refuses or does not answer, the table, key or a column is not there,
the table has never had a row, or a column changed its type.
"""

from typing import NamedTuple, Optional

from components.face import component


@component("data")
def ingest_sql(
    connection: str,
    table: str,
    target: str,
    key: str,
    columns: Optional[list[str]] = None,
    chunk_rows: int = 50_000,
    timezone: str = "UTC",
    password_env: str = "",
) -> NamedTuple("Outputs", [("table", str), ("rows", int), ("total", int)]):
    """Append a SQL table's new rows to a raw table, exactly once.

    Args:
        connection: SQLAlchemy URL without a password, e.g. "postgresql+psycopg://reader@db/shop".
        table: table or view to read, "name" or "schema.name".
        target: raw table to grow, without a version, e.g. "s3://falaj-raw/flights".
        key: column that only grows, an integer or a time; reading goes on behind the greatest
            one committed, so of a time rows must not come later with the same one.
        columns: columns to read; all of them when left out.
        chunk_rows: rows read and committed at a time; bounds the memory.
        timezone: zone of timestamps that carry none, e.g. "Asia/Dubai"; stored as UTC instants.
        password_env: environment variable that holds the password; none when empty.

    Returns:
        table: the raw table, pinned to the version this run leaves.
        rows: rows that were new.
        total: rows in the table.
    """
    from components.ingestion import secret
    from components.ingestion.commit import Landing
    from components.ingestion.ingest_sql import database, keyset
    from components.step import step

    with step("ingest_sql") as here:
        engine = database.connect(connection, password=secret.read(here.environment, password_env))
        source = keyset.open_keyset(
            engine, table, key=key, columns=columns or [], timezone=timezone
        )
        here.uses(source.uri)
        landing = Landing.open(here.tables, target)
        landed = keyset.ingest(landing, source, table=table, chunk_rows=chunk_rows)
        return (here.writes(landed.table), landed.rows, landed.total)
