"""Raw tables in, one SELECT, a curated table out; bad rows into quarantine on the way.

Every output is a function of pinned inputs, SQL and contracts, and remembers which: the same
work again writes nothing. SQL that may heed the order of rows sees them in the order of their
content, in one thread, since files hold them in one that differs from run to run.
"""

import contextlib
import dataclasses
import functools
import pathlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.foundation import digests, engine, once, sql
from components.foundation.errors import UserError, nearest
from components.foundation.tables import DataFiles, TableRef, Tables
from components.preparation.curate import sieve
from components.preparation.validate import contract as c

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

QUARANTINE = "falaj-quarantine"
_THREADS = 2  # of SQL that heeds no order; each takes memory that DuckDB does not count
_MADE = sql.name("the rows to make")
_MAKE = 3  # part of every recipe; raise it when the same inputs must be worked again


@dataclass(frozen=True, slots=True)
class Order:
    """What to make, from what."""

    inputs: Mapping[str, TableRef]  # alias -> pinned table
    sql: str
    target: TableRef
    contracts: Mapping[str, str]  # alias -> the contract's YAML text
    limits: engine.Limits

    def __post_init__(self) -> None:
        sql.select(self.sql, reads=self.inputs)
        for alias in self.contracts:
            if alias not in self.inputs:
                known = nearest(alias, list(self.inputs))
                raise UserError(
                    f"contract for {alias!r}: no such table in `tables`; {known}",
                    code="contract-without-table",
                )

    def recipe(self) -> digests.Digest:
        inputs = {alias: str(ref) for alias, ref in self.inputs.items()}
        return digests.of_json([_MAKE, inputs, self.sql, dict(self.contracts)])

    def quarantine_recipe(self, alias: str) -> digests.Digest:
        return digests.of_json([_MAKE, str(self.inputs[alias]), self.contracts[alias]])


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was made, and how many rows went where."""

    table: TableRef
    quarantines: Mapping[str, TableRef]  # alias -> table of its bad rows
    rows_in: int
    rows_out: int
    quarantined: Mapping[str, int]  # "alias: rule" -> rows


def work(order: Order, tables: Tables, cache: pathlib.Path) -> Outcome:
    """Carry out an order, or find that it has been carried out.

    Raises:
        UserError: the SQL or a contract does not fit the tables.
    """
    files = {alias: tables.files(ref, cache) for alias, ref in order.inputs.items()}
    sieves = {
        alias: sieve.Sieve.of(alias, files[alias], c.parse(text))
        for alias, text in order.contracts.items()
    }
    bench = _Bench(order, files, sieves)
    with contextlib.closing(bench):
        set_aside = {
            alias: once.replace(
                tables,
                TableRef(QUARANTINE, alias),
                order.quarantine_recipe(alias),
                functools.partial(bench.rows, sieves[alias].bad),
            )
            for alias in sieves
        }
        made = once.replace(tables, order.target, order.recipe(), bench.made, ordered=True)
    return Outcome(
        table=made,
        quarantines=set_aside,
        rows_in=sum(tables.rows(ref) for ref in order.inputs.values()),
        rows_out=tables.rows(made),
        quarantined=_by_rule(set_aside, tables, cache),
    )


class _Bench:
    """A database with every table attached, opened when the first rows are wanted."""

    def __init__(
        self, order: Order, files: Mapping[str, DataFiles], sieves: Mapping[str, sieve.Sieve]
    ) -> None:
        self._order, self._files, self._sieves = order, files, sieves
        self._stack = contextlib.ExitStack()
        self._connection: duckdb.DuckDBPyConnection | None = None

    @contextlib.contextmanager
    def rows(self, query: str) -> Iterator["pa.RecordBatchReader"]:
        with engine.streamed(self._opened(), query) as stream:
            yield stream

    def made(self) -> AbstractContextManager["pa.RecordBatchReader"]:
        """Open the rows of the table to make, in the order of their content."""
        view = f"CREATE OR REPLACE TEMP VIEW {_MADE} AS {self._order.sql}"
        with engine.explained():
            self._opened().execute(view)
        return self.rows(f"FROM {_MADE} ORDER BY ALL")

    def close(self) -> None:
        self._stack.close()

    def _opened(self) -> "duckdb.DuckDBPyConnection":
        if self._connection is None:
            in_order = sql.heeds_order(self._order.sql)
            threads = 1 if in_order else _THREADS
            limits = dataclasses.replace(self._order.limits, threads=threads)
            opening = engine.opened(list(self._files.values()), limits)
            self._connection = self._stack.enter_context(opening)
            self._attach(self._connection, in_order)
        return self._connection

    def _attach(self, connection: "duckdb.DuckDBPyConnection", in_order: bool) -> None:
        for alias, files in self._files.items():
            if alias in self._sieves:
                rows = self._sieves[alias].attached(connection)
            else:
                rows = f"SELECT {sql.names(files.schema.names)} FROM {files.duckdb_source()}"  # noqa: S608
            sorting = in_order and (alias in self._sieves or not files.ordered)
            source = f"{rows} ORDER BY ALL" if sorting else rows
            connection.execute(f"CREATE TEMP VIEW {sql.name(alias)} AS {source}")


def _by_rule(
    set_aside: Mapping[str, TableRef], tables: Tables, cache: pathlib.Path
) -> dict[str, int]:
    files = {alias: tables.files(ref, cache) for alias, ref in set_aside.items()}
    counts: dict[str, int] = {}
    with engine.opened(list(files.values())) as connection:
        for alias, of in files.items():
            found = connection.execute(
                f"SELECT {sieve.RULE}, count(*) FROM {of.duckdb_source()} GROUP BY 1 ORDER BY 1"  # noqa: S608
            )
            counts.update({f"{alias}: {rule}": number for rule, number in found.fetchall()})
    return counts
