"""Point-in-time joins in DuckDB: every entity row gets the features known at its time.

Times are compared as microseconds since 1970 in UTC; a time without a zone is UTC.
"""

import datetime
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.features.offline_store.sql import listed, microseconds, quoted
from components.foundation import engine
from components.foundation.errors import InfrastructureError, UserError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_ROW, _TIME = quoted("__row"), quoted("__time")


@dataclass(frozen=True, slots=True)
class View:
    """The rows that a feature view offers to the join.

    Attributes:
        name: the view's name, for messages and reports.
        source: a table expression in DuckDB.
        keys: entity column -> column of the source; empty when the view has no entity.
        features: column of the result -> column of the source.
        timestamp: when a value holds from.
        created: when a value was written, "" when unknown; breaks ties.
        ttl: how long a value holds, None for ever.
    """

    name: str
    source: str
    keys: Mapping[str, str]
    features: Mapping[str, str]
    timestamp: str
    created: str = ""
    ttl: datetime.timedelta | None = None

    @property
    def ttl_us(self) -> int | None:
        return self.ttl // datetime.timedelta(microseconds=1) if self.ttl else None

    @property
    def matched_time(self) -> str:
        """The column of the joined table that holds the matched value's time."""
        return f"__time:{self.name}"

    @property
    def matched_known(self) -> str:
        """The column of the joined table that says when the matched value was written."""
        return f"__known:{self.name}"


@dataclass(frozen=True, slots=True)
class Joined:
    """A joined table in DuckDB, in the order of its entity rows."""

    connection: "duckdb.DuckDBPyConnection"
    columns: tuple[str, ...]
    views: tuple[View, ...]
    rows: int

    def streamed(self) -> AbstractContextManager["pa.RecordBatchReader"]:
        """Open the rows as a stream; memory stays within the connection's limit."""
        return engine.streamed(self.connection, self._ordered)

    def table(self) -> "pa.Table":
        rows: pa.Table = self.connection.sql(self._ordered).to_arrow_table()
        return rows

    @property
    def _ordered(self) -> str:
        return f"SELECT {listed(self.columns)} FROM joined ORDER BY {_ROW}"  # noqa: S608


def join(
    connection: "duckdb.DuckDBPyConnection",
    entities: str,
    views: Sequence[View],
    *,
    timestamp: str,
    as_written: bool = False,
) -> Joined:
    """Join views to the rows of an entity query, as of each row's time.

    Args:
        connection: holds the sources; gets the tables `entity` and `joined`.
        entities: a SELECT of entity rows; duplicates survive.
        views: what to join.
        timestamp: the column of the entity rows that says when.
        as_written: leave out values written after the row's time, so a late correction
            cannot leak into the past.

    Raises:
        UserError: a name is missing, or would stand twice in the result.
        InfrastructureError: the join gave more or fewer rows than it got.
    """
    columns = _entity_rows(connection, entities, timestamp)
    _check_names(columns, views)
    joins = (_asof(place, view, as_written) for place, view in enumerate(views))
    selected = ", ".join([f"e.{_ROW}", *(f"e.{quoted(c)}" for c in columns), f"e.{_TIME}"])
    matched = (_matched(place, view) for place, view in enumerate(views))
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE joined AS SELECT {', '.join([selected, *matched])} "  # noqa: S608
        f"FROM entity e {' '.join(joins)}"
    )
    given, got = _count(connection, "entity"), _count(connection, "joined")
    if given != got:
        raise InfrastructureError(
            f"point-in-time join: {given} entity rows went in and {got} came out; nothing was "
            "written; run the step again, and report it if it repeats",
            code="join-lost-rows",
        )
    features = tuple(name for view in views for name in view.features)
    return Joined(connection, (*columns, *features), tuple(views), got)


def latest(view: View, *, start_us: int, end_us: int) -> str:
    """Select the newest row of every key between two times, both included.

    Of rows as new as each other the last written counts, then the one whose values sort first.
    """
    keys = listed([*view.keys.values()])
    values = map(quoted, view.features.values())
    newest = ", ".join([f"{microseconds(view.timestamp)} DESC{_newest_written(view)}", *values])
    partition = f"PARTITION BY {keys} " if keys else ""
    return (
        f"{every(view, start_us=start_us, end_us=end_us)} QUALIFY row_number() OVER "
        f"({partition}ORDER BY {newest}) = 1"
    )


def every(view: View, *, start_us: int | None, end_us: int | None) -> str:
    """Select all rows between two times, both included; None is no bound."""
    stamps = [view.timestamp, *([view.created] if view.created else [])]
    columns = dict.fromkeys([*view.keys.values(), *view.features.values(), *stamps])
    time = microseconds(view.timestamp)
    bounds = [f"{time} IS NOT NULL"]
    bounds += [f"{time} >= {start_us}"] if start_us is not None else []
    bounds += [f"{time} <= {end_us}"] if end_us is not None else []
    return f"SELECT {listed(columns)} FROM {view.source} WHERE {' AND '.join(bounds)}"  # noqa: S608


def _entity_rows(
    connection: "duckdb.DuckDBPyConnection", entities: str, timestamp: str
) -> tuple[str, ...]:
    """Evaluate the entity query once, number its rows, and return its columns."""
    columns = tuple(connection.sql(f"SELECT * FROM ({entities}) LIMIT 0").columns)  # noqa: S608
    if timestamp not in columns:
        raise UserError(
            f"entity rows: no column {timestamp!r} among {', '.join(columns)}; the join needs "
            "to know when each row happened",
            code="entity-column-missing",
        )
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE entity AS SELECT row_number() OVER () AS {_ROW}, "  # noqa: S608
        f"{microseconds(timestamp)} AS {_TIME}, * FROM ({entities})"
    )
    return columns


def _check_names(columns: Sequence[str], views: Sequence[View]) -> None:
    taken = dict.fromkeys(columns, "the entity rows")
    for view in views:
        for key in view.keys:
            if key not in columns:
                raise UserError(
                    f"feature view {view.name}: the entity rows lack its key {key!r}; they have "
                    f"{', '.join(columns)}",
                    code="entity-column-missing",
                )
        for feature in view.features:
            if feature in taken:
                raise UserError(
                    f"feature view {view.name}: {feature!r} already comes from {taken[feature]}; "
                    "leave one out, or ask for full feature names",
                    code="feature-named-twice",
                )
            taken[feature] = view.name


def _asof(place: int, view: View, as_written: bool) -> str:
    keys = [f"e.{quoted(mine)} = v{place}.{quoted(theirs)}" for mine, theirs in view.keys.items()]
    conditions = " AND ".join([*keys, f"e.{_TIME} >= v{place}.{quoted('__from')}"])
    rows = _candidates(view, as_written)
    return f"ASOF LEFT JOIN ({rows}) v{place} ON {conditions}"


def _candidates(view: View, as_written: bool) -> str:
    """Select the rows of a view, one for each key and moment from which it is the answer.

    As written, a value can be known only from the later of its two times. Of those known
    at a moment the one with the newest time wins; a row that does not win at its own
    moment never will, so only the winners stay and one inequality finds the right one.
    """
    keys = listed([*view.keys.values()])
    time, known = microseconds(view.timestamp), _known(view)
    since = f"greatest({time}, {known})" if as_written else time
    rows = (
        f"SELECT *, {time} AS {_TIME}, {known} AS {quoted('__known')}, "  # noqa: S608
        f"{since} AS {quoted('__from')} FROM {view.source} WHERE {time} IS NOT NULL"
    )
    partition = f"PARTITION BY {keys}" if keys else ""
    if as_written and view.created:
        pair = f"({_TIME}, {quoted('__known')})"
        wins = f"max({pair}) OVER ({partition} ORDER BY {quoted('__from')})"
        rows = f"SELECT * FROM ({rows}) QUALIFY {pair} = {wins}"  # noqa: S608
    first = ", ".join([f"{quoted('__known')} DESC", *map(quoted, view.features.values())])
    apart = ", ".join(filter(None, [keys, quoted("__from")]))
    return (
        f"SELECT * FROM ({rows}) QUALIFY row_number() OVER "  # noqa: S608
        f"(PARTITION BY {apart} ORDER BY {first}) = 1"
    )


def _known(view: View) -> str:
    time = microseconds(view.timestamp)
    return f"coalesce({microseconds(view.created)}, {time})" if view.created else time


def _newest_written(view: View) -> str:
    return f", {_known(view)} DESC" if view.created else ""


def _matched(place: int, view: View) -> str:
    """Select a view's columns; a value older than its time to live is null."""
    alive = f"v{place}.{_TIME} >= e.{_TIME} - {view.ttl_us}" if view.ttl else "true"
    values = [
        f"CASE WHEN {alive} THEN v{place}.{quoted(theirs)} END AS {quoted(mine)}"
        for mine, theirs in view.features.items()
    ]
    times = [
        f"v{place}.{_TIME} AS {quoted(view.matched_time)}",
        f"v{place}.{quoted('__known')} AS {quoted(view.matched_known)}",
    ]
    return ", ".join([*times, *values])


def _count(connection: "duckdb.DuckDBPyConnection", table: str) -> int:
    found = connection.execute(f"SELECT count(*) FROM {quoted(table)}").fetchall()  # noqa: S608
    return int(found[0][0])
