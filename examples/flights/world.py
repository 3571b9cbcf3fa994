"""Put the data where an enterprise has it: a SQL database and objects in S3.

The weather is behind a REST service: `weather_service`. Everything here may be called again.
"""

import contextlib
import functools
import pathlib
import sqlite3
from typing import TYPE_CHECKING

from components.foundation.errors import UserError
from components.foundation.storage import Address, NotFound, ObjectStore
from examples.flights import faults, published

if TYPE_CHECKING:
    import polars as pl

_SCHEMA = """
CREATE TABLE IF NOT EXISTS flights (
    seq INTEGER PRIMARY KEY,            -- in order of entry
    id INTEGER NOT NULL,                -- should be unique, and is not
    scheduled_departure DATETIME NOT NULL,  -- UTC
    scheduled_arrival DATETIME NOT NULL,    -- UTC
    departure_time INTEGER NOT NULL,    -- local, HHMM
    carrier TEXT NOT NULL,
    flight INTEGER NOT NULL,
    tailnum TEXT,
    origin TEXT NOT NULL,
    dest TEXT NOT NULL,
    distance FLOAT NOT NULL             -- miles, mostly
);
CREATE TABLE IF NOT EXISTS arrivals (
    seq INTEGER PRIMARY KEY,
    flight_id INTEGER NOT NULL,
    dep_delay FLOAT,                    -- minutes
    arr_delay FLOAT,                    -- minutes; NULL if it never arrived as planned
    cancelled BOOLEAN NOT NULL,
    known_at DATETIME NOT NULL          -- UTC
);
"""
_INSERT_FLIGHT = "INSERT OR IGNORE INTO flights VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_ARRIVAL = "INSERT OR IGNORE INTO arrivals VALUES (?, ?, ?, ?, ?, ?)"
_TIME = "%Y-%m-%d %H:%M:%S"
_LANDING = Address("falaj-raw", "landing")
_PLANES_AN_OBJECT, _AIRPORTS_AN_OBJECT = 1000, 800


def advance(database: pathlib.Path, upto_month: int) -> dict[str, int]:
    """Let time pass: flights of months 1 to `upto_month` and the arrivals of those before it.

    A database that does not exist is made; what is already there stays as it is. So on the
    first of July, June's arrivals being known, the month is 7. Returns the rows added by table.

    Raises:
        UserError: the month is not one of 2013.
    """
    import polars as pl

    if not 1 <= upto_month <= 12:
        raise UserError(
            f"month {upto_month}: expected 1 to 12, the data is of one year", code="example-data"
        )
    database.parent.mkdir(parents=True, exist_ok=True)
    added = {}
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.executescript(_SCHEMA)
        for table, insert, frame, month in (
            ("flights", _INSERT_FLIGHT, schedule(), upto_month),
            ("arrivals", _INSERT_ARRIVAL, arrivals(), upto_month - 1),
        ):
            (last,) = connection.execute(f"SELECT coalesce(max(seq), 0) FROM {table}").fetchone()  # noqa: S608 - one of two names above
            rows = frame.filter((pl.col("month") <= month) & (pl.col("seq") > last))
            connection.executemany(insert, rows.drop("month").iter_rows())
            added[table] = rows.height
    return added


@functools.cache
def schedule() -> "pl.DataFrame":
    """Return the flights table as the database has it, faults and all, and each row's month."""
    import polars as pl

    known = published.flights().select(
        "id",
        "scheduled_departure",
        "scheduled_arrival",
        pl.col("sched_dep_time").alias("departure_time"),
        "carrier",
        "flight",
        "tailnum",
        "origin",
        "dest",
        pl.col("distance").cast(pl.Float64),
        "month",
    )
    times = pl.col("scheduled_departure", "scheduled_arrival").dt.strftime(_TIME)
    return faults.plant(known).with_row_index("seq", offset=1).with_columns(times)


@functools.cache
def arrivals() -> "pl.DataFrame":
    """Return the arrivals table, and each row's month.

    A month's arrivals are known at noon UTC of the first of the next: by then all have landed.
    """
    import polars as pl

    known = pl.datetime(2013, 1, 1, 12).dt.offset_by(pl.format("{}mo", "month"))
    return published.flights().select(
        pl.col("id").alias("seq"),
        pl.col("id").alias("flight_id"),
        "dep_delay",
        "arr_delay",
        pl.col("dep_time").is_null().alias("cancelled"),
        known.dt.strftime(_TIME).alias("known_at"),
        "month",
    )


def upload_landing(store: ObjectStore) -> list[str]:
    """Put planes and airports as several CSV objects each; return where all of them are."""
    planes = _parts(published.planes(), "planes", _PLANES_AN_OBJECT)
    airports = _parts(published.airports(), "airports", _AIRPORTS_AN_OBJECT)
    texts = {**planes, **airports}
    for address, text in texts.items():
        _put_if_new(store, address, text.encode())
    return [str(address) for address in texts]


def _parts(frame: "pl.DataFrame", name: str, rows: int) -> dict[Address, str]:
    """Cut a frame into CSV texts; the first one is where the torn lines are."""
    parts = [part.write_csv() for part in frame.iter_slices(rows)]
    parts[0] = faults.tear(parts[0], lines=faults.TORN[name])
    return {_LANDING / name / f"{i}.csv": text for i, text in enumerate(parts, start=1)}


def _put_if_new(store: ObjectStore, address: Address, data: bytes) -> None:
    with contextlib.suppress(NotFound):
        if store.get(address) == data:
            return
    store.put(address, data)
