"""Each operation of the store and of tables under each fault in passing: done exactly once."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterator

import pyarrow as pa
import pytest

from components.foundation.audit import AuditLog
from components.foundation.storage import Address, Conflict, ObjectStore, Settings
from components.foundation.tables import TableRef, Tables
from tests.components.foundation.streams import Stream
from tests.faults import proxy
from tests.faults.proxy import Fault, Plan, Proxy

pytestmark = pytest.mark.faults
BIG = 20 * 2**20


@pytest.fixture(scope="module")
def before(s3: Settings) -> Iterator[Proxy]:
    with proxy.before(s3.endpoint) as running:
        yield running


@pytest.fixture
def through(s3: Settings, before: Proxy) -> Settings:
    return dataclasses.replace(s3, endpoint=before.endpoint, seconds=2)


@pytest.fixture(params=Fault)
def fault(request: pytest.FixtureRequest, before: Proxy) -> Iterator[Fault]:
    """A fault that every new request meets once."""
    before.plan(Plan((request.param,)))
    yield request.param
    assert before.plan(Plan()), "no request was hit"


@pytest.fixture
def breaks(fault: Fault, through: Settings) -> ObjectStore:
    return ObjectStore(through)


@pytest.fixture
def place(unique: str) -> Address:
    return Address("falaj-raw", unique)


def test_an_object_is_created_once(breaks: ObjectStore, store: ObjectStore, place: Address) -> None:
    breaks.create(place, b"mine")

    with pytest.raises(Conflict):
        breaks.create(place, b"mine")
    assert store.get(place) == b"mine"


def test_a_swap_that_was_carried_out_is_no_conflict(
    breaks: ObjectStore, store: ObjectStore, place: Address
) -> None:
    old = store.create(place, b"1")

    new = breaks.swap(place, b"2", etag=old)

    assert store.get_with_etag(place) == (b"2", new)
    with pytest.raises(Conflict):
        breaks.swap(place, b"3", etag=old)


def test_plain_work_is_done(
    breaks: ObjectStore, store: ObjectStore, place: Address, tmp_path: pathlib.Path
) -> None:
    breaks.put(place / "a", b"x" * 100_000)
    breaks.get_file(place / "a", tmp_path / "a")

    assert (tmp_path / "a").read_bytes() == b"x" * 100_000 == breaks.get(place / "a")
    assert [info.size for info in breaks.list(place)] == [100_000]
    assert breaks.exists(place / "a")
    breaks.delete(place / "a")
    assert not store.exists(place / "a")


def test_an_upload_in_parts_arrives_whole(
    breaks: ObjectStore, store: ObjectStore, place: Address, fault: Fault
) -> None:
    breaks.put_stream(place, Stream(BIG), size=BIG)

    assert store.get(place) == b"x" * BIG


def test_an_audit_entry_is_written_once(
    breaks: ObjectStore, store: ObjectStore, place: Address
) -> None:
    log = Address(place.bucket, f"{place.key}/")

    AuditLog(breaks, log).append("verdict", "subject", {})

    assert AuditLog(store, log).verify() == 1


Write = Callable[[Tables, TableRef], TableRef]
WRITES: dict[str, Write] = {
    "append": lambda to, ref: to.append(ref, pa.table({"n": [2]}), transactions={}),
    "positioned": lambda to, ref: to.append(ref, pa.table({"n": [2]}), transactions={"s": 1}),
    "part": lambda to, ref: to.replace_where(ref, pa.table({"n": [2]}), predicate="n = 2"),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_write_to_a_table_is_committed_once(
    write: Write, through: Settings, tables: Tables, unique: str, before: Proxy, fault: Fault
) -> None:
    ref = TableRef("falaj-raw", unique)
    made = tables.replace(ref, pa.table({"n": [1]}))

    written = write(Tables(through), made if "positioned" in str(write) else ref)

    assert written.version == 1 == tables.resolve(ref).version
    assert tables.read(written) == pa.table({"n": [1, 2]})
