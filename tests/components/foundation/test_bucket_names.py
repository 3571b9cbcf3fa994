"""The same references at a site that calls its buckets otherwise: objects, tables, releases."""

import dataclasses
import json
import pathlib

import pyarrow as pa
import pytest

from components.foundation.buckets.names import BUCKETS, Names
from components.foundation.errors import InfrastructureError, UserError
from components.foundation.sealing import release
from components.foundation.sealing.keys import KeyRing
from components.foundation.storage import Address, ObjectStore, Settings
from components.foundation.tables import TableRef, Tables
from pipelines.laptop.buckets import ensure

THING = Address("falaj-runs", "thing")
FLIGHTS = TableRef("falaj-raw", "flights")


@pytest.fixture
def elsewhere(s3: Settings, unique: str) -> Settings:
    """The same server, where another company has our seven buckets under its own names."""
    names = Names(unique)
    ensure(s3, [names.on_store(bucket) for bucket in BUCKETS])
    return dataclasses.replace(s3, buckets=names)


@pytest.fixture
def there(elsewhere: Settings) -> ObjectStore:
    return ObjectStore(elsewhere)


def test_what_the_site_says_comes_through_the_environment(elsewhere: Settings) -> None:
    assert Settings.from_environment(elsewhere.environment()) == elsewhere


def test_an_object_lies_in_the_sites_bucket_and_is_called_as_in_references(
    there: ObjectStore, store: ObjectStore, unique: str
) -> None:
    there.put(THING, b"1")

    assert [info.address for info in there.list(Address("falaj-runs", ""))] == [THING]
    assert not store.exists(THING)
    assert store.get(Address(f"{unique}-runs", "thing")) == b"1"


def test_a_reference_to_the_sites_own_name_is_refused(there: ObjectStore, unique: str) -> None:
    with pytest.raises(UserError, match="write 'falaj-runs'"):
        there.get(Address(f"{unique}-runs", "thing"))


def test_a_bucket_of_others_is_reached_by_its_name(there: ObjectStore, store: ObjectStore) -> None:
    ensure(store.settings, ["partner-drop"])
    store.put(Address("partner-drop", "planes.csv"), b"1")

    assert there.get(Address("partner-drop", "planes.csv")) == b"1"


def test_a_table_is_written_read_and_cached_under_its_reference(
    elsewhere: Settings, tables: Tables, unique: str, tmp_path: pathlib.Path
) -> None:
    away, rows = Tables(elsewhere), pa.table({"n": [1, 2, 3]})

    first = away.append(FLIGHTS, rows, transactions={"source": 1})
    second = away.append(first, rows, transactions={"source": 2})
    files = away.files(second, tmp_path)

    assert str(second) == "s3://falaj-raw/flights@1"
    assert away.read(second).num_rows == 6
    assert all(path.is_relative_to(tmp_path / "falaj-raw" / "flights") for path in files.paths)
    assert tables.rows(TableRef(f"{unique}-raw", "flights", 1)) == 6


def test_a_table_may_be_copied_to_a_bucket_of_another_name(
    elsewhere: Settings, tables: Tables, unique: str, store: ObjectStore
) -> None:
    made = tables.create(TableRef("falaj-raw", unique), pa.table({"n": [1]}), transactions={"s": 1})
    for info in store.list(Address("falaj-raw", f"{unique}/")):
        copy = dataclasses.replace(info.address, bucket=f"{unique}-raw")
        store.put(copy, store.get(info.address))

    assert Tables(elsewhere).read(made).to_pylist() == [{"n": 1}]


def test_a_release_opens_where_its_bucket_is_called_otherwise(
    there: ObjectStore, store: ObjectStore, unique: str, tmp_path: pathlib.Path
) -> None:
    keys, plain = KeyRing.create(tmp_path / "keys"), tmp_path / "plain"
    plain.mkdir()
    (plain / "model.onnx").write_bytes(b"weights")
    made = release.seal(plain, model="delays", facts={}, store=there, keys=keys)

    release.unseal(made.uri, tmp_path / "opened", store=there, keys=keys)

    assert made.uri.startswith("sealed+s3://falaj-models/delays/")
    assert (tmp_path / "opened" / "model.onnx").read_bytes() == b"weights"
    signed = store.get(
        Address(f"{unique}-models", f"{made.uri.partition('models/')[2]}/statement.json")
    )
    assert unique not in json.dumps(signed.decode())


def test_a_site_whose_buckets_are_not_there_says_which_reference_failed(s3: Settings) -> None:
    nowhere = ObjectStore(dataclasses.replace(s3, buckets=Names("nowhere"), seconds=0.5))

    with pytest.raises((UserError, InfrastructureError), match="s3://falaj-runs/thing"):
        nowhere.get(THING)
