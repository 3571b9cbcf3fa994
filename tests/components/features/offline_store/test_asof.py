"""The join alone, on tables made by hand, without Feast and without S3."""

import datetime
import random
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from components.features.offline_store import asof
from components.foundation.errors import InfrastructureError, UserError

NOON = datetime.datetime(2013, 1, 1, 12, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)
STAMP = pa.timestamp("us", tz="UTC")


@pytest.fixture
def connection(tmp_path: Any) -> duckdb.DuckDBPyConnection:
    from components.features.offline_store.sql import connect

    return connect(tmp_path / "scratch")


def entities(connection: duckdb.DuckDBPyConnection, *rows: tuple[str | None, float]) -> str:
    """Register entity rows as (key, hours after noon)."""
    table = pa.table(
        {
            "origin": pa.array([key for key, _ in rows], pa.string()),
            "event_timestamp": pa.array([NOON + at * HOUR for _, at in rows], STAMP),
        }
    )
    connection.register("rows", table)
    return "SELECT * FROM rows"


def view(
    connection: duckdb.DuckDBPyConnection,
    *rows: tuple[str | None, float, float | None, float],
    ttl: datetime.timedelta | None = None,
    created: bool = True,
) -> asof.View:
    """Register feature rows as (key, hours after noon, written hours after noon, value)."""
    table = pa.table(
        {
            "origin": pa.array([row[0] for row in rows], pa.string()),
            "at": pa.array([NOON + row[1] * HOUR for row in rows], STAMP),
            "written": pa.array(
                [None if row[2] is None else NOON + row[2] * HOUR for row in rows], STAMP
            ),
            "temp": pa.array([row[3] for row in rows], pa.float64()),
        }
    )
    connection.register("weather", table)
    return asof.View(
        "weather",
        "weather",
        {"origin": "origin"},
        {"temp": "temp"},
        "at",
        "written" if created else "",
        ttl,
    )


def temps(
    connection: duckdb.DuckDBPyConnection, query: str, *views: asof.View, as_written: bool = False
) -> list[float | None]:
    joined = asof.join(connection, query, views, timestamp="event_timestamp", as_written=as_written)
    values: list[float | None] = joined.table().column("temp").to_pylist()
    return values


def test_the_newest_value_known_by_then_is_used(connection: duckdb.DuckDBPyConnection) -> None:
    rows = entities(connection, ("EWR", 0), ("EWR", 3), ("JFK", 3))
    weather = view(connection, ("EWR", -1, None, 1.0), ("EWR", 2, None, 2.0), ("JFK", 3, None, 3.0))

    assert temps(connection, rows, weather) == [1.0, 2.0, 3.0]


def test_a_value_from_the_future_is_not_used_and_its_row_stays(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    rows = entities(connection, ("EWR", 0))
    weather = view(connection, ("EWR", 1e-9 + 1, None, 9.0))

    assert temps(connection, rows, weather) == [None]


def test_a_value_older_than_its_time_to_live_is_null_and_its_row_stays(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    rows = entities(connection, ("EWR", 6), ("EWR", 7))
    weather = view(connection, ("EWR", 0, None, 1.0), ttl=6 * HOUR)

    assert temps(connection, rows, weather) == [1.0, None]


def test_of_two_values_for_one_time_the_one_written_last_wins(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    rows = entities(connection, ("EWR", 9))
    weather = view(connection, ("EWR", 0, 5, 2.0), ("EWR", 0, 1, 1.0), ("EWR", 0, None, 0.0))

    assert temps(connection, rows, weather) == [2.0]


def test_a_correction_written_later_does_not_leak_into_the_past(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    rows = entities(connection, ("EWR", 2), ("EWR", 5))
    weather = view(connection, ("EWR", 0, 0, 1.0), ("EWR", 0, 4, 2.0))

    assert temps(connection, rows, weather) == [2.0, 2.0]
    assert temps(connection, rows, weather, as_written=True) == [1.0, 2.0]


def test_duplicate_entity_rows_survive_in_their_order(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    rows = entities(connection, ("JFK", 5), ("EWR", 1), ("EWR", 1), ("EWR", 0), ("JFK", 5))
    weather = view(connection, ("EWR", 1, None, 1.0), ("JFK", 2, None, 2.0))

    assert temps(connection, rows, weather) == [2.0, 1.0, 1.0, None, 2.0]


def test_rows_with_an_unknown_or_missing_key_stay(connection: duckdb.DuckDBPyConnection) -> None:
    rows = entities(connection, ("LGA", 1), (None, 1))
    weather = view(connection, ("EWR", 0, None, 1.0), (None, 0, None, 9.0))

    assert temps(connection, rows, weather) == [None, None]


def test_times_without_a_zone_are_utc_and_others_are_converted(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    connection.execute(
        "CREATE TABLE weather AS SELECT 'EWR' AS origin, TIMESTAMP '2013-01-01 12:00' AS seen, "
        "CAST(1 AS DOUBLE) AS temp"
    )
    weather = asof.View("weather", "weather", {"origin": "origin"}, {"temp": "temp"}, "seen")
    rows = (
        "SELECT 'EWR' AS origin, event_timestamp FROM (VALUES (TIMESTAMPTZ '2013-01-01 16:00+04'), "
        "(TIMESTAMPTZ '2013-01-01 15:59+04')) t(event_timestamp)"
    )

    assert temps(connection, rows, weather) == [1.0, None]


def test_a_view_without_entity_gives_its_newest_value_to_every_row(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    rows = entities(connection, ("EWR", 0), ("JFK", 2))
    known = view(connection, ("EWR", -1, None, 1.0), ("JFK", 1, None, 2.0))
    everywhere = asof.View("all", "weather", {}, {"temp": "temp"}, known.timestamp)

    assert temps(connection, rows, everywhere) == [1.0, 2.0]


@pytest.mark.parametrize("as_written", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_agrees_with_a_search_through_all_rows(
    connection: duckdb.DuckDBPyConnection, seed: int, as_written: bool
) -> None:
    draw = random.Random(seed)  # noqa: S311 - nothing secret
    made = [
        (
            draw.choice(["EWR", "JFK"]),
            draw.randint(0, 20),
            draw.choice([None, draw.randint(0, 30)]),
            float(i),
        )
        for i in range(120)
    ]
    asked = [(draw.choice(["EWR", "JFK", "LGA"]), draw.randint(-1, 32)) for _ in range(300)]
    ttl = draw.choice([None, 4])
    weather = view(connection, *made, ttl=ttl * HOUR if ttl else None)

    got = temps(connection, entities(connection, *asked), weather, as_written=as_written)

    assert got == [_search(made, key, at, ttl, as_written) for key, at in asked]


def _search(
    made: list[tuple[str, int, int | None, float]], key: str, at: int, ttl: int | None, cut: bool
) -> float | None:
    known = [(t, w if w is not None else t, v) for k, t, w, v in made if k == key]
    able = [(t, w, -v) for t, w, v in known if t <= at and (not cut or w <= at)]
    if not able:
        return None
    time, _, value = max(able)  # of equal times, the one written last; then the smaller value
    return None if ttl is not None and time < at - ttl else -value


def test_refuses_a_join_that_lost_rows(
    connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = entities(connection, ("EWR", 0), ("LGA", 0))
    weather = view(connection, ("EWR", -1, None, 1.0))
    original = asof._asof
    monkeypatch.setattr(asof, "_asof", lambda *given: original(*given).replace("LEFT ", ""))

    with pytest.raises(InfrastructureError, match="2 entity rows went in and 1 came out"):
        asof.join(connection, rows, [weather], timestamp="event_timestamp")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT origin FROM rows", "no column 'event_timestamp'"),
        ("SELECT event_timestamp FROM rows", "lack its key 'origin'"),
        ("SELECT *, 1 AS temp FROM rows", "'temp' already comes from the entity rows"),
    ],
    ids=["no time", "no key", "twice"],
)
def test_says_what_the_entity_rows_lack(
    connection: duckdb.DuckDBPyConnection, query: str, message: str
) -> None:
    entities(connection, ("EWR", 0))
    weather = view(connection, ("EWR", -1, None, 1.0))

    with pytest.raises(UserError, match=message):
        asof.join(connection, query, [weather], timestamp="event_timestamp")
