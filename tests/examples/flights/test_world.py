import contextlib
import pathlib
import sqlite3
from typing import Any

import polars as pl
import pytest

from components.foundation.errors import UserError
from components.foundation.storage import Address, ObjectStore
from examples.flights import faults, published, world


def ask(database: pathlib.Path, query: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return connection.execute(query).fetchall()


@pytest.fixture
def database(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "shop" / "airline.db"


def test_every_published_flight_is_there_in_order_of_departure() -> None:
    flights = published.flights()

    assert flights.height == 336_776
    assert flights["id"].to_list() == list(range(1, flights.height + 1))
    assert flights["scheduled_departure"].is_sorted()
    assert (flights["scheduled_arrival"] > flights["scheduled_departure"]).all()
    assert sorted(flights["month"].unique()) == list(range(1, 13))


def test_arrivals_come_a_month_after_flights(database: pathlib.Path) -> None:
    added = world.advance(database, 2)

    assert added == {
        "flights": published.flights().filter(pl.col("month") <= 2).height + 3 * 2,
        "arrivals": published.flights().filter(pl.col("month") == 1).height,
    }
    assert ask(database, "SELECT DISTINCT known_at FROM arrivals") == [("2013-02-01 12:00:00",)]
    assert ask(database, "SELECT max(scheduled_departure) < '2013-03-01' FROM flights") == [(1,)]


def test_time_may_pass_twice_or_in_steps(database: pathlib.Path, tmp_path: pathlib.Path) -> None:
    at_once = tmp_path / "other.db"
    world.advance(at_once, 3)

    world.advance(database, 1)
    world.advance(database, 3)
    again = world.advance(database, 2)

    assert again == {"flights": 0, "arrivals": 0}
    for table in ("flights", "arrivals"):
        query = f"SELECT * FROM {table} ORDER BY seq"
        assert ask(database, query) == ask(at_once, query)


@pytest.mark.parametrize("month", [0, 13])
def test_refuses_a_month_that_the_year_has_not(database: pathlib.Path, month: int) -> None:
    with pytest.raises(UserError, match="expected 1 to 12"):
        world.advance(database, month)


@pytest.mark.parametrize("month", [1, 3, 12])
def test_there_are_as_many_faults_as_said(month: int) -> None:
    planted = faults.planted(month)

    flights = world.schedule().filter(pl.col("month") <= month)
    departs, arrives = pl.col("scheduled_departure"), pl.col("scheduled_arrival")
    minutes = (arrives.str.to_datetime() - departs.str.to_datetime()).dt.total_minutes()

    assert flights.height - flights["id"].n_unique() == planted.duplicates
    assert flights.filter(arrives <= departs).height == planted.backwards
    assert flights.filter(departure_time=faults.IMPOSSIBLE_TIME).height == planted.impossible_times
    assert flights.filter(carrier=faults.UNKNOWN_CARRIER).height == planted.unknown_carriers
    too_fast = flights.filter((minutes > 0) & (pl.col("distance") > 9 * minutes))
    assert too_fast.height == planted.kilometres
    assert set(too_fast["carrier"]) <= {faults.KM_CARRIER}


def test_another_seed_plants_elsewhere_and_the_same_seed_again() -> None:
    flights = published.flights().filter(pl.col("month") == 1)
    flights = flights.with_columns(pl.col("sched_dep_time").alias("departure_time"))

    one, same, other = (faults.plant(flights, seed=seed) for seed in (1, 1, 2))

    assert one.equals(same)
    assert not one.equals(other)


def test_planes_and_airports_lie_in_several_objects_with_torn_lines(store: ObjectStore) -> None:
    addresses = world.upload_landing(store)

    assert len(addresses) == 6
    torn = {"planes": 0, "airports": 0}
    for address in addresses:
        header, *lines = store.get(Address.parse(address)).decode().splitlines()
        name = address.split("/")[-2]
        torn[name] += sum(line.count(",") < header.count(",") for line in lines)
    assert torn == faults.TORN


def test_objects_that_are_there_are_not_put_again(store: ObjectStore) -> None:
    world.upload_landing(store)
    before = {i.address: i.modified_us for i in store.list(Address("falaj-raw", "landing/planes"))}

    world.upload_landing(store)

    after = {i.address: i.modified_us for i in store.list(Address("falaj-raw", "landing/planes"))}
    assert before == after
