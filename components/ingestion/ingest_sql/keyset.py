"""Read a table in chunks by a growing key, each chunk one commit.

`WHERE key > ? ORDER BY key LIMIT ?` costs the same for the last chunk as for the first,
which OFFSET does not, and the key of the last row is the position to go on from.
"""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.foundation import cost
from components.foundation.errors import UserError
from components.ingestion.commit import Landed, Landing
from components.ingestion.ingest_sql import arrow, database

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    import sqlalchemy as sa


_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows in key order, and the greatest key among them."""

    rows: "pa.Table"
    last: int


@dataclass(frozen=True)
class Keyset:
    """A table with a key that only grows: a row that comes later has a greater one.

    The key is an integer or a time. How far was read is kept as an integer in either case (of a
    time, microseconds since 1970), because that is what a table's transaction can hold.
    """

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
            after = _position(rows[-1][0])
            values = [row[1:] for row in rows]
            yield Chunk(arrow.table(values, schema, timezone=self.timezone), after)

    def _fetch(self, after: int | None, size: int) -> "Sequence[sa.Row[Any]]":
        """Fetch whole groups of equal keys only, so none is cut by the end of a chunk."""
        import sqlalchemy as sa

        query = sa.select(self.key.label("falaj_key"), *self.columns)
        new = self.key.is_not(None) if after is None else self.key > self._value(after)
        query = query.where(new)
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

    def _value(self, position: int) -> int | datetime.datetime:
        """Return the key at a position; a time as the column has it, with or without a zone."""
        import sqlalchemy as sa

        if not isinstance(self.key.type, sa.DateTime):
            return position
        moment = _EPOCH + datetime.timedelta(microseconds=position)
        return moment if self.key.type.timezone else moment.replace(tzinfo=None)


def _position(key: int | datetime.datetime) -> int:
    if not isinstance(key, datetime.datetime):
        return int(key)
    moment = key if key.tzinfo else key.replace(tzinfo=datetime.UTC)
    return (moment - _EPOCH) // datetime.timedelta(microseconds=1)


def open_keyset(
    engine: "sa.Engine", table: str, *, key: str, columns: "Sequence[str]", timezone: str
) -> Keyset:
    """Find a table, its key and columns; raises UserError if one is not there or fits no key."""
    import sqlalchemy as sa

    found = database.table(engine, table)
    (column,) = database.columns(found, [key])
    if not isinstance(column.type, sa.Integer | sa.DateTime):
        raise UserError(
            f"table {table!r}: key {key!r} is {column.type!r}; expected an integer or a time that "
            "grows: a text has no place to go on from, so give its row a number in a view",
            code="key-not-integer",
        )
    return Keyset(engine, column, database.columns(found, columns), timezone)


def ingest(landing: Landing, keyset: Keyset, *, table: str, chunk_rows: int) -> Landed:
    """Append every row beyond the landing's position, a commit a chunk."""
    source = f"sql:{table}:{keyset.key.name}"
    for chunk in keyset.chunks(after=landing.position(source), size=chunk_rows):
        cost.reads(keyset.uri, rows=chunk.rows.num_rows, bytes=chunk.rows.nbytes)
        landing.append(chunk.rows, positions={source: chunk.last})
    return landing.landed(f"{database.shown(keyset.engine.url)}: table {table!r}")
