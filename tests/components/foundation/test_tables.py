import pathlib

import duckdb
import pyarrow as pa
import pytest

from components.foundation.errors import InfrastructureError, UserError
from components.foundation.storage import Address, Conflict, NotFound, ObjectStore, Settings
from components.foundation.tables import TableRef, Tables


@pytest.fixture
def ref(unique: str) -> TableRef:
    return TableRef("falaj-raw", unique)


def numbers(*values: int) -> pa.Table:
    return pa.table({"n": pa.array(values, pa.int64())})


@pytest.mark.parametrize("text", ["s3://b/t@7", "s3://b/a/t@latest"])
def test_a_reference_round_trips(text: str) -> None:
    assert str(TableRef.parse(text)) == text


@pytest.mark.parametrize("text", ["s3://b/t", "s3://b@1", "b/t@1", "s3://b/t@x", "s3://b/t?x=1@1"])
def test_refuses_what_is_no_reference(text: str) -> None:
    with pytest.raises(UserError, match="expected s3://"):
        TableRef.parse(text)


def test_data_and_position_commit_together(tables: Tables, ref: TableRef) -> None:
    assert tables.transaction(ref, "source") is None

    first = tables.append(ref, numbers(1, 2), transactions={"source": 20})
    second = tables.append(ref, numbers(3), transactions={"source": 30})

    assert tables.transaction(ref, "source") == 30
    assert (tables.rows(first), tables.rows(second)) == (2, 3)


def test_duckdb_reads_the_pinned_version_from_the_cache(
    tables: Tables, ref: TableRef, tmp_path: pathlib.Path
) -> None:
    pinned = tables.append(ref, numbers(1, 2), transactions={})
    tables.append(ref, numbers(3), transactions={})

    source = tables.files(pinned, tmp_path).duckdb_source()

    assert duckdb.connect().execute(f"SELECT sum(n) FROM {source}").fetchall() == [(3,)]


def test_partition_columns_come_back_typed(
    tables: Tables, ref: TableRef, tmp_path: pathlib.Path
) -> None:
    rows = pa.table({"day": pa.array([1, 2], pa.int64()), "n": [10, 20]})
    pinned = tables.append(ref, rows, by=["day"], transactions={})

    source = tables.files(pinned, tmp_path).duckdb_source()

    found = duckdb.connect().execute(f"SELECT day, n FROM {source} ORDER BY day").fetchall()
    assert found == [(1, 10), (2, 20)]


def test_an_empty_table_keeps_its_columns(
    tables: Tables, ref: TableRef, tmp_path: pathlib.Path
) -> None:
    pinned = tables.replace(ref, numbers())

    source = tables.files(pinned, tmp_path).duckdb_source()

    assert duckdb.connect().execute(f"SELECT n FROM {source}").description[0][0] == "n"


def test_a_missing_table_is_named(tables: Tables, ref: TableRef) -> None:
    with pytest.raises(UserError, match="not found"):
        tables.read(ref)


def test_a_wrong_password_is_said_and_not_retried(s3: Settings, ref: TableRef) -> None:
    stranger = Settings(s3.endpoint, s3.access_key, "wrong")

    with pytest.raises(UserError, match="refused our credentials"):
        Tables(stranger).read(ref)
    with pytest.raises(UserError, match="refused our credentials"):
        ObjectStore(stranger).get(Address("falaj-raw", "x"))
    with pytest.raises(UserError, match="refused our credentials"):
        ObjectStore(stranger).create(Address("falaj-raw", "x"), b"")


def test_an_unreachable_store_may_be_tried_again(ref: TableRef) -> None:
    nowhere = Settings("http://127.0.0.1:9", "a", "b", seconds=0.5)

    with pytest.raises(InfrastructureError):
        ObjectStore(nowhere).get(Address("falaj-raw", "x"))


def test_only_one_writer_creates_and_only_the_reader_of_the_newest_swaps(
    store: ObjectStore, unique: str
) -> None:
    address = Address("falaj-models", unique)

    etag = store.create(address, b"one")
    with pytest.raises(Conflict):
        store.create(address, b"two")
    newer = store.swap(address, b"three", etag=etag)
    with pytest.raises(Conflict):
        store.swap(address, b"four", etag=etag)

    assert store.get_with_etag(address) == (b"three", newer)


def test_a_missing_object_is_named(store: ObjectStore, unique: str) -> None:
    for read in (store.get, store.get_with_etag):
        with pytest.raises(NotFound, match=unique):
            read(Address("falaj-models", unique))


def test_no_secret_in_the_settings_that_are_printed(s3: Settings) -> None:
    assert s3.secret_key not in repr(s3)


def test_who_found_no_table_does_not_add_to_one_made_meanwhile(
    tables: Tables, ref: TableRef
) -> None:
    tables.create(ref, numbers(1, 2), transactions={"source": 2})

    with pytest.raises(InfrastructureError, match="another run committed first"):
        tables.create(ref, numbers(1, 2), transactions={"source": 2})

    assert tables.rows(tables.resolve(ref)) == 2
