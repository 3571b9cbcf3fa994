"""Each operation of the store and of tables under each fault in passing: done exactly once.

Under one fault all operations are done at once, each at a place of its own: they mostly wait.
"""

import concurrent.futures
import dataclasses
import pathlib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Site:
    """Where one operation happens, by the way that breaks and by the way that does not.

    Attributes:
        through: settings of the proxy.
        direct: settings of the server.
        place: a prefix that no other operation uses.
        folder: for files.
    """

    through: Settings
    direct: Settings
    place: Address
    folder: pathlib.Path

    @property
    def breaks(self) -> ObjectStore:
        return ObjectStore(self.through)

    @property
    def store(self) -> ObjectStore:
        return ObjectStore(self.direct)


Operation = Callable[[Site], None]


def an_object_is_created_once(site: Site) -> None:
    breaks = site.breaks
    breaks.create(site.place, b"mine")

    with pytest.raises(Conflict):
        breaks.create(site.place, b"mine")
    assert site.store.get(site.place) == b"mine"


def a_swap_that_was_carried_out_is_no_conflict(site: Site) -> None:
    breaks = site.breaks
    old = site.store.create(site.place, b"1")

    new = breaks.swap(site.place, b"2", etag=old)

    assert site.store.get_with_etag(site.place) == (b"2", new)
    with pytest.raises(Conflict):
        breaks.swap(site.place, b"3", etag=old)


def plain_work_is_done(site: Site) -> None:
    breaks, place, file = site.breaks, site.place, site.folder / "a"
    breaks.put(place / "a", b"x" * 100_000)
    breaks.get_file(place / "a", file)

    assert file.read_bytes() == b"x" * 100_000 == breaks.get(place / "a")
    assert [info.size for info in breaks.list(place)] == [100_000]
    assert breaks.exists(place / "a")
    breaks.delete(place / "a")
    assert not site.store.exists(place / "a")


def an_upload_in_parts_arrives_whole(site: Site) -> None:
    site.breaks.put_stream(site.place, Stream(BIG), size=BIG)

    assert site.store.get(site.place) == b"x" * BIG


def an_audit_entry_is_written_once(site: Site) -> None:
    log = Address(site.place.bucket, f"{site.place.key}/")

    AuditLog(site.breaks, log).append("verdict", "subject", {})

    assert AuditLog(site.store, log).verify() == 1


def an_append_is_committed_once(site: Site) -> None:
    _committed_once(site, lambda to, ref: to.append(ref.at(None), _TWO, transactions={}))


def an_append_at_a_position_is_committed_once(site: Site) -> None:
    _committed_once(site, lambda to, ref: to.append(ref, _TWO, transactions={"s": 1}))


def a_part_is_replaced_once(site: Site) -> None:
    _committed_once(site, lambda to, ref: to.replace_where(ref.at(None), _TWO, predicate="n = 2"))


_ONE, _TWO = pa.table({"n": [1]}), pa.table({"n": [2]})


def _committed_once(site: Site, write: Callable[[Tables, TableRef], TableRef]) -> None:
    tables = Tables(site.direct)
    made = tables.replace(TableRef(site.place.bucket, site.place.key), _ONE)

    written = write(Tables(site.through), made)

    assert written.version == 1 == tables.resolve(made.at(None)).version
    assert tables.read(written) == pa.table({"n": [1, 2]})


OPERATIONS: dict[str, Operation] = {
    operation.__name__.replace("_", " "): operation
    for operation in (
        an_object_is_created_once,
        a_swap_that_was_carried_out_is_no_conflict,
        plain_work_is_done,
        an_upload_in_parts_arrives_whole,
        an_audit_entry_is_written_once,
        an_append_is_committed_once,
        an_append_at_a_position_is_committed_once,
        a_part_is_replaced_once,
    )
}


@dataclass(frozen=True)
class Done:
    """What became of an operation, and the requests of its that were hit."""

    ended: "concurrent.futures.Future[None]"
    hits: list[str]


@pytest.fixture(scope="module")
def before(s3: Settings) -> Iterator[Proxy]:
    with proxy.before(s3.endpoint) as running:
        yield running


@pytest.fixture(scope="module", params=Fault)
def done(
    request: pytest.FixtureRequest,
    s3: Settings,
    before: Proxy,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Done]:
    """Do all operations at once under a fault that every new request meets once."""
    through = dataclasses.replace(s3, endpoint=before.endpoint, seconds=2)
    places = {name: Address("falaj-raw", f"t{uuid.uuid4().hex[:10]}") for name in OPERATIONS}
    before.plan(Plan((request.param,)))
    with concurrent.futures.ThreadPoolExecutor(len(OPERATIONS)) as pool:
        ended = {
            name: pool.submit(
                do, Site(through, s3, places[name], tmp_path_factory.mktemp("operation"))
            )
            for name, do in OPERATIONS.items()
        }
    hit = [path for _, _, path in before.plan(Plan())]
    return {
        name: Done(ended[name], [path for path in hit if places[name].key in path])
        for name in OPERATIONS
    }


@pytest.mark.parametrize("operation", OPERATIONS)
def test_although_its_requests_fail(done: dict[str, Done], operation: str) -> None:
    done[operation].ended.result()
    assert done[operation].hits, "no request was hit"
