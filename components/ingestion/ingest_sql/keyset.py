"""Read a table in chunks by a growing key, each chunk one commit.

`WHERE key > ? ORDER BY key LIMIT ?` costs the same for the last chunk as for the first,
which OFFSET does not, and the key of the last row is the position to go on from.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.foundation.errors import UserError
from components.ingestion.commit import Landed, Landing
from components.ingestion.ingest_sql import arrow, database

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    import sqlalchemy as sa


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows in key order, and the greatest key among them."""

    rows: "pa.Table"
    last: int


@dataclass(frozen=True)
class Keyset:
    """A table with an integer key that only grows: a row that comes later has a greater one."""

    engine: "sa.Engine"
    key: "sa.Column[Any]"
    columns: "Sequence[sa.Column[Any]]"
    timezone: str = "UTC"

    @property
    def uri(self) -> str:
        return database.uri(self.engine, self.key.table)

    def chunks(self, *, after: int | None, size: int) -> Iterator[Chunk]:
        """Yield what has a key greater than `after`, at most `size` rows at a time."""
        schema = arrow.schema(self.columns)
        while rows := self._fetch(after, size):
            after = int(rows[-1][0])
            values = [row[1:] for row in rows]
            yield Chunk(arrow.table(values, schema, timezone=self.timezone), after)

    def _fetch(self, after: int | None, size: int) -> "Sequence[sa.Row[Any]]":
        """Fetch whole groups of equal keys only, so none is cut by the end of a chunk."""
        import sqlalchemy as sa

        query = sa.select(self.key.label("falaj_key"), *self.columns)
        query = query.where(self.key > after if after is not None else self.key.is_not(None))
        with database.speaking_to(self.engine), self.engine.connect() as connection:
            rows = connection.execute(query.order_by(self.key).limit(size + 1)).all()
        if len(rows) <= size:
            return rows
        whole = [row for row in rows if row[0] != rows[-1][0]]
        if not whole:
            raise UserError(
                f"table {self.key.table.description!r}: more than {size} rows share "
                f"one {self.key.name}; give a key that tells rows apart",
                code="key-not-unique",
            )
        return whole


def open_keyset(
    engine: "sa.Engine", table: str, *, key: str, columns: "Sequence[str]", timezone: str
) -> Keyset:
    """Find a table, its key and columns; raises UserError if one is not there or not integer."""
    import sqlalchemy as sa

    found = database.table(engine, table)
    (column,) = database.columns(found, [key])
    if not isinstance(column.type, sa.Integer):
        raise UserError(
            f"table {table!r}: key {key!r} is {column.type!r}; expected an integer that grows",
            code="key-not-integer",
        )
    return Keyset(engine, column, database.columns(found, columns), timezone)


def ingest(landing: Landing, keyset: Keyset, *, table: str, chunk_rows: int) -> Landed:
    """Append every row beyond the landing's position, a commit a chunk."""
    source = f"sql:{table}:{keyset.key.name}"
    for chunk in keyset.chunks(after=landing.position(source), size=chunk_rows):
        landing.append(chunk.rows, positions={source: chunk.last})
    return landing.landed(f"{database.shown(keyset.engine.url)}: table {table!r}")
