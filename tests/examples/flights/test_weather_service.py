import httpx
import pytest

from components.foundation.tables import Tables
from components.ingestion.commit import Landing
from components.ingestion.ingest_rest import collection
from components.ingestion.ingest_rest.client import Budget, Client
from components.ingestion.ingest_rest.pagination import Pagination
from examples.flights import published, weather_service
from examples.flights.weather_service import PATH, Weather


def test_a_year_survives_the_limit_and_the_bad_moments_within_five_seconds(
    tables: Tables, unique: str
) -> None:
    weather, waits = Weather(month=12), list[float]()
    with weather_service.serving(weather) as url:
        source = collection.Collection(url + PATH, Pagination.PAGE, "page", "id", "since")
        client = Client.open(token="", budget=Budget(60, waits.append), items="items")
        landed = collection.ingest(Landing.open(tables, f"s3://falaj-raw/{unique}"), source, client)

    ids = tables.read(landed.table, ["id"]).sort_by("id").column("id").to_pylist()
    assert ids == published.weather()["id"].to_list()
    assert weather.refused.keys() == {429, 503}
    assert 1 <= sum(waits) < 5


def test_six_months_meet_both_kinds_of_refusal() -> None:
    weather = Weather(month=6)

    statuses = [weather.answer(PATH, {"page": str(n)})[0] for n in range(1, 8)]

    assert {429, 503} <= set(statuses)


def test_it_knows_nothing_of_months_to_come() -> None:
    weather = Weather(month=1)
    first = [weather.answer(PATH, {"page": "2"}) for _ in range(2)]
    (known,) = [body["items"] for status, body in first if status == 200]
    weather.month = 2
    later = weather.answer(PATH, {"since": str(known[-1]["id"])})[1]["items"]

    assert max(row["time"] for row in known) < "2013-02-01"
    assert {row["time"][:7] for row in later} == {"2013-02"}


def test_the_same_seed_refuses_the_same_requests() -> None:
    def statuses(seed: int) -> list[int]:
        weather = Weather(month=1, seed=seed)
        return [weather.answer(PATH, {})[0] for _ in range(20)]

    assert statuses(3) == statuses(3)
    assert statuses(3) != statuses(4)


@pytest.mark.parametrize(("path", "status"), [("/nothing", 404), (f"{PATH}?page=x", 400)])
def test_a_wrong_request_is_told_so(path: str, status: int) -> None:
    with weather_service.running(month=1) as url:
        assert httpx.get(url + path).status_code == status
