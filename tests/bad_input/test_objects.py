"""Objects, tables and an object store that are not as expected."""

import json
from typing import Any

import pytest

from components.foundation.storage import Address, ObjectStore
from components.ingestion.ingest_objects import landing
from components.ingestion.ingest_objects.component import ingest_objects
from components.preparation.curate.component import curate
from tests.bad_input.said import PLANTED, Fails, check


def test_an_object_that_vanishes_between_listing_and_reading(
    fails: Fails, store: ObjectStore, unique: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Address("falaj-runs", f"{unique}/a.csv")
    store.put(here, f"id,name\n1,{PLANTED}\n".encode())
    listed = landing.news

    def then_gone(*arguments: Any) -> Any:
        found = listed(*arguments)
        store.delete(here)
        return found

    monkeypatch.setattr(landing, "news", then_gone)

    said = fails(ingest_objects, source=f"s3://falaj-runs/{unique}/*.csv", target=target)

    check(said, "object-vanished", str(here), "nothing of its batch was committed")


@pytest.mark.parametrize(
    ("data", "format"),
    [
        (f"id,name\n1,{PLANTED}\n".encode(), "parquet"),
        (f"id,{PLANTED}\xff\n".encode("latin-1"), "csv"),
        (json.dumps({"id": 1}).encode() + b"\n" + json.dumps({"id": PLANTED}).encode(), "jsonl"),
    ],
    ids=["parquet", "encoding", "types"],
)
def test_an_object_that_is_not_of_its_format(
    fails: Fails, store: ObjectStore, unique: str, target: str, data: bytes, format: str
) -> None:
    store.put(Address("falaj-runs", f"{unique}/a.{format}"), data)

    said = fails(ingest_objects, source=f"s3://falaj-runs/{unique}/*", target=target, format=format)

    check(said, "object-unreadable", "correct or remove the object")


def test_wrong_credentials_of_the_object_store(
    fails: Fails, people: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")

    said = fails(curate, tables={"people": people}, sql="SELECT * FROM people", target=target)

    check(said, "object-store-denied", "AWS_SECRET_ACCESS_KEY")
    assert "not-the-secret" not in said.everywhere


def test_a_bucket_that_is_not_there(
    fails: Fails, people: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FALAJ_STORE_SECONDS", "2")

    said = fails(
        curate,
        tables={"people": people},
        sql="SELECT * FROM people",
        target="s3://no-such-bucket/people",
    )

    assert said.exit_code in (2, 75), said.message
    assert "no-such-bucket" in said.message


def test_a_table_that_is_not_there(fails: Fails, unique: str, target: str) -> None:
    missing = f"s3://falaj-raw/{unique}-x@latest"

    said = fails(curate, tables={"t": missing}, sql="SELECT * FROM t", target=target)

    check(said, "table-missing", "upstream")
