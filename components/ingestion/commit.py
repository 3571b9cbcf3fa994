"""The commit rule of all ingestion: rows and how far the source was read, in one transaction.

A run that is killed leaves either both or neither, so running again neither loses a row nor
doubles one. A run that finds no news commits nothing and returns the version it found.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from components.foundation.errors import UserError
from components.foundation.tables import TableRef, Tables
from components.ingestion import drift

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Landed:
    """What a run leaves: the table at its new version, the rows it added, and all there are."""

    table: TableRef
    rows: int
    total: int


@dataclass
class Landing:
    """A raw table that sources grow, as far as this run has seen it.

    Attributes:
        ref: pinned to the version seen last, so that a commit loses if another run has moved
            the same source since; unpinned while there is no table yet.
        rows: how many rows this run has added.
    """

    tables: Tables
    ref: TableRef
    rows: int = 0

    @classmethod
    def open(cls, tables: Tables, target: str) -> Self:
        """Open the table at an address without a version, e.g. `s3://falaj-raw/flights`."""
        ref = TableRef.unversioned(target.rstrip("/"))
        return cls(tables, tables.newest(ref) or ref)

    def position(self, source: str) -> int | None:
        """Return how far a source has been read into this table, if at all."""
        return self.tables.transaction(self.ref, source)

    def append(self, rows: "pa.Table", *, positions: Mapping[str, int]) -> None:
        """Add rows and move the positions of their sources, both or neither."""
        rows = self._fitted(rows)
        write = self.tables.create if self.ref.version is None else self.tables.append
        self._seen(write(self.ref, rows, transactions=positions), rows)

    def replace(self, rows: "pa.Table", *, predicate: str, positions: Mapping[str, int]) -> None:
        """Put rows in the place of those that match a predicate, and move the positions."""
        if self.ref.version is None:
            self.append(rows, positions=positions)
            return
        rows = self._fitted(rows)
        new = self.tables.replace_where(self.ref, rows, predicate=predicate, transactions=positions)
        self._seen(new, rows)

    def landed(self, source: str) -> Landed:
        """Sum up the run; raises UserError if the source has never had a row."""
        if self.ref.version is None:
            raise UserError(
                f"{source}: is empty, so there is nothing to make {self.ref.uri} from; "
                "fill the source or correct its name",
                code="source-empty",
            )
        return Landed(self.ref, self.rows, self.tables.rows(self.ref))

    def _fitted(self, rows: "pa.Table") -> "pa.Table":
        if self.ref.version is None:
            return rows
        return drift.fit(rows, self.tables.schema(self.ref), table=self.ref.uri)

    def _seen(self, ref: TableRef, rows: "pa.Table") -> None:
        self.ref = ref
        self.rows += rows.num_rows
