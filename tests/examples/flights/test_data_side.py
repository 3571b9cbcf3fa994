"""The example's contracts and SQL, through the real components, on its first three months."""

import os
import pathlib
from collections.abc import Iterator
from dataclasses import dataclass

import duckdb
import pyarrow as pa
import pytest

from components.evaluation.bless.expectations import Expectations
from components.foundation import engine
from components.foundation.storage import ObjectStore, Settings
from components.foundation.tables import TableRef, Tables
from components.foundation.verdict import Verdict
from components.ingestion.ingest_objects.component import ingest_objects
from components.ingestion.ingest_rest.component import ingest_rest
from components.ingestion.ingest_sql.component import ingest_sql
from components.preparation.curate.component import curate
from components.preparation.validate import check
from components.preparation.validate import contract as contracts
from examples.flights import faults, weather_service, world

FLIGHTS = pathlib.Path(world.__file__).parent
MONTH = 3
T = pa.timestamp("us", "UTC")
S, D, I = pa.string(), pa.float64(), pa.int64()  # noqa: E741 - read as the types they are

PUBLISHED = {
    "flights": dict.fromkeys(["flight_id", "origin", "dest", "carrier", "tailnum", "route"], S)
    | {"scheduled": T, "event_timestamp": T}
    | {"departure_hour": D, "weekday": I, "distance": D, "block_minutes": D, "hour_departures": I}
    | {"dest_lat": D, "dest_lon": D, "carrier_code": I, "origin_code": I, "dest_code": I}
    | {"late": I, "known_at": T},
    "weather": {"origin": S, "event_timestamp": T}
    | dict.fromkeys(["temp", "dewp", "humid", "wind_speed", "wind_gust", "precip"], D)
    | dict.fromkeys(["pressure", "visib", "precip_3h", "pressure_change"], D),
    "planes": {"tailnum": S, "event_timestamp": T, "plane_age": D, "seats": I, "engines": I},
    "carrier_history": {"carrier": S, "event_timestamp": T, "carrier_flights": I}
    | {"carrier_late_rate": D, "carrier_late_excess": D},
    "route_history": {"route": S, "event_timestamp": T, "route_flights": I}
    | {"route_late_rate": D, "route_late_excess": D},
    "labels": {"id": S, "label": I, "known_at": T},
}


@dataclass
class Made:
    """What three months of the example became."""

    tables: Tables
    raw: dict[str, str]
    curated: dict[str, str]
    quarantined: dict[str, int]
    torn: dict[str, int]

    def query(self, text: str) -> list[tuple[object, ...]]:
        """Ask the curated tables by their names."""
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            for name, ref in self.curated.items():
                connection.register(name, self.tables.read(TableRef.parse(ref)))
            return connection.execute(text).fetchall()


@pytest.fixture(scope="module")
def made(s3: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("flights")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3.environment().items():
            patch.setenv(name, value)
        patch.setenv("FALAJ_CACHE", str(folder / "cache"))
        raw, torn = ingest(folder / "airline.db", ObjectStore(s3))
        curated, quarantined = cure(raw)
        yield Made(Tables(s3), raw, curated, quarantined, torn)


def ingest(database: pathlib.Path, store: ObjectStore) -> tuple[dict[str, str], dict[str, int]]:
    world.advance(database, MONTH)
    world.upload_landing(store)
    raw, torn = {}, {}
    for name in ("flights", "arrivals"):
        url, target = f"sqlite:///{database}", f"s3://falaj-raw/example/{name}"
        raw[name] = ingest_sql.python_func(connection=url, table=name, target=target, key="seq")[0]
    for name in ("planes", "airports"):
        source, target = f"s3://falaj-raw/landing/{name}/*.csv", f"s3://falaj-raw/example/{name}"
        raw[name], _, _, torn[name] = ingest_objects.python_func(source=source, target=target)
    with weather_service.running(MONTH) as url:
        target = "s3://falaj-raw/example/weather"
        raw["weather"] = ingest_rest.python_func(url=f"{url}/weather", target=target)[0]
    return raw, torn


def cure(raw: dict[str, str]) -> tuple[dict[str, str], dict[str, int]]:
    curated: dict[str, str] = {}
    quarantined: dict[str, int] = {}
    for name, reads in (
        ("flights", ["flights", "arrivals", "airports"]),
        ("weather", ["weather"]),
        ("planes", ["planes"]),
    ):
        curated[name], set_aside = work(name, {alias: raw[alias] for alias in reads}, reads)
        quarantined |= set_aside
    for name in ("carrier_history", "route_history", "labels"):
        curated[name], _ = work(name, {"flights": curated["flights"]}, [])
    return curated, quarantined


def work(name: str, tables: dict[str, str], checked: list[str]) -> tuple[str, dict[str, int]]:
    table, _, _, quarantined = curate.python_func(
        tables=tables,
        sql=(FLIGHTS / "sql" / f"{name}.sql").read_text(),
        target=f"s3://falaj-curated/example/{name}",
        contracts={alias: contract(alias) for alias in checked},
    )
    return table, quarantined


def contract(name: str) -> str:
    return (FLIGHTS / "contracts" / f"{name}.yaml").read_text()


def judge(made: Made, name: str, *, as_of: str = "2013-03-01T12:00:00Z") -> Verdict:
    cache = pathlib.Path(os.environ["FALAJ_CACHE"])
    files = made.tables.files(TableRef.parse(made.raw[name]), cache)
    return check.check(files, contracts.parse(contract(name)), as_of=as_of)


@pytest.mark.parametrize("name", ["flights", "arrivals", "planes", "airports", "weather"])
def test_the_raw_data_keeps_its_contract_within_tolerance(made: Made, name: str) -> None:
    verdict = judge(made, name)

    assert verdict.passes, verdict.reason


def test_a_stale_delivery_is_refused(made: Made) -> None:
    assert not judge(made, "flights", as_of="2013-06-01T00:00:00Z").passes


def test_quarantine_holds_what_was_planted_and_one_gust_that_was_published(made: Made) -> None:
    planted = faults.planted(MONTH)

    assert made.torn == faults.TORN
    assert made.quarantined == {
        "flights: key id": planted.duplicates,
        "flights: arrives after it departs": planted.backwards,
        "flights: departure_time: range": planted.impossible_times,
        "flights: carrier: one_of": planted.unknown_carriers,
        "flights: distance is in miles": planted.kilometres,
        "weather: wind_speed: range": 1,
    }
    in_and_out = made.tables.rows(TableRef.parse(made.raw["flights"])) - planted.total
    assert made.tables.rows(TableRef.parse(made.curated["flights"])) == in_and_out


@pytest.mark.parametrize("name", PUBLISHED)
def test_curated_tables_have_the_columns_that_the_readme_publishes(made: Made, name: str) -> None:
    schema = made.tables.schema(TableRef.parse(made.curated[name]))

    assert {field.name: field.type for field in schema} == PUBLISHED[name]
    readme = (FLIGHTS / "README.md").read_text()
    assert [column for column in PUBLISHED[name] if column not in readme] == []


def test_one_row_a_flight_and_every_code_is_known(made: Made) -> None:
    assert made.query(
        "SELECT count(*) - count(DISTINCT flight_id), min(carrier_code), max(carrier_code), "
        "min(origin_code), max(origin_code), min(dest_code) > 0, max(dest_code) FROM flights"
    ) == [(0, 1, 16, 1, 3, True, 105)]


def test_only_months_whose_arrivals_are_known_have_labels(made: Made) -> None:
    assert made.query(
        "SELECT month(scheduled), bool_or(late IS NOT NULL), bool_or(known_at IS NOT NULL), "
        "round(avg(late), 2) FROM flights GROUP BY 1 ORDER BY 1"
    ) == [(1, True, True, 0.23), (2, True, True, 0.23), (3, False, False, None)]
    assert made.query("SELECT count(*) FROM labels") == made.query(
        "SELECT count(late) FROM flights"
    )


@pytest.mark.parametrize("table", ["carrier_history", "route_history"])
def test_history_is_known_only_when_its_last_flight_has_landed(made: Made, table: str) -> None:
    assert made.query(f"SELECT DISTINCT event_timestamp::VARCHAR FROM {table} ORDER BY 1") == [
        ("2013-02-01 12:00:00+00",),
        ("2013-03-01 12:00:00+00",),
    ]
    assert made.query(
        "SELECT count(*) FROM flights WHERE late IS NOT NULL AND known_at <= scheduled"
    ) == [(0,)]


def test_a_prediction_is_made_two_hours_before_departure(made: Made) -> None:
    assert made.query(
        "SELECT DISTINCT scheduled - event_timestamp = INTERVAL 2 HOUR FROM flights"
    ) == [(True,)]


def test_the_local_hour_and_weekday_are_those_of_new_york(made: Made) -> None:
    assert made.query(
        "SELECT departure_hour, weekday, scheduled::VARCHAR FROM flights WHERE flight_id = '1'"
    ) == [(5.25, 2, "2013-01-01 10:15:00+00")]


def test_curated_tables_do_not_depend_on_where_the_machine_stands(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = engine._settings
    monkeypatch.setattr(
        engine, "_settings", lambda *a: [s.replace("'UTC'", "'Asia/Kolkata'") for s in settings(*a)]
    )
    tables = {alias: made.raw[alias] for alias in ("flights", "arrivals", "airports")}
    elsewhere, _, _, _ = curate.python_func(
        tables=tables,
        sql=(FLIGHTS / "sql" / "flights.sql").read_text() + "\n",
        target="s3://falaj-curated/example/elsewhere",
        contracts={"flights": contract("flights")},
    )

    columns = ["flight_id", "weekday", "departure_hour", "hour_departures", "event_timestamp"]
    here, there = (
        made.tables.read(TableRef.parse(ref), columns).sort_by("flight_id")
        for ref in (made.curated["flights"], elsewhere)
    )
    assert here.equals(there)


def test_the_expectations_are_what_bless_reads() -> None:
    asked = Expectations.parse((FLIGHTS / "expectations.yaml").read_text())

    assert asked.limits.minimum == {"auc": 0.65}
    assert set(asked.slice_columns) <= set(PUBLISHED["flights"])
