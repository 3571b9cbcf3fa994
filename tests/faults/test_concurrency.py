"""Two of the same at once, as real processes on a real server: nothing lost, nothing doubled."""

import concurrent.futures
import http.server
import json
import multiprocessing
import pathlib
import sqlite3
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from components.foundation.audit import AuditLog
from components.foundation.storage import Address, ObjectStore, Settings
from components.foundation.tables import TableRef, Tables
from tests.faults import at_once

pytestmark = pytest.mark.faults
ROWS = 3_000
Both = Callable[..., list[Any]]


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    """Call a function of `at_once` in several processes, which begin together."""
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(3, mp_context=spawn) as pool:

        def call(*works: Callable[..., Any], arguments: tuple[Any, ...]) -> list[Any]:
            return [f.result(50) for f in [pool.submit(work, *arguments) for work in works]]

        yield call


@pytest.fixture
def target(unique: str) -> TableRef:
    return TableRef("falaj-raw", unique)


@pytest.fixture
def shop(tmp_path: pathlib.Path) -> str:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, price REAL)")
        database.executemany("INSERT INTO orders VALUES (?, ?)", ((n, n / 2) for n in range(ROWS)))
    return f"sqlite:///{path}"


@pytest.fixture
def service() -> Iterator[str]:
    """A paged REST collection."""

    class Pages(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
            page, after = int(asked.get("page", ["1"])[0]), int(asked.get("since", ["-1"])[0])
            ids = [n for n in range(ROWS) if n > after][(page - 1) * 1000 : page * 1000]
            body = json.dumps({"items": [{"id": n, "price": n / 2} for n in ids]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/orders"
        server.shutdown()


def _ids(tables: Tables, target: TableRef) -> list[int]:
    return sorted(int(str(value)) for value in tables.read(target, ["id"])["id"].to_pylist())


def _one_or_both_did_it(said: list[str], again: str) -> None:
    assert "done" in said
    assert set(said) <= {"done", at_once.LOST}
    assert again == "done"


def test_two_ingestions_of_one_sql_table_take_every_row_once(
    both: Both, s3: Settings, tables: Tables, target: TableRef, shop: str
) -> None:
    said = both(at_once.sql, at_once.sql, arguments=(s3, target.uri, shop))
    again = at_once.sql(s3, target.uri, shop)

    _one_or_both_did_it(said, again)
    assert _ids(tables, target) == list(range(ROWS))


def test_two_ingestions_of_the_same_objects_take_every_row_once(
    both: Both, s3: Settings, tables: Tables, store: ObjectStore, target: TableRef
) -> None:
    for part in range(3):
        lines = [f"{n},{n / 2}" for n in range(part * 1000, part * 1000 + 1000)]
        place = Address("falaj-raw", f"landing/{target.name}/{part}.csv")
        store.put(place, "\n".join(["id,price", *lines]).encode())
    pattern = f"s3://falaj-raw/landing/{target.name}/*.csv"

    said = both(at_once.objects, at_once.objects, arguments=(s3, target.uri, pattern))
    again = at_once.objects(s3, target.uri, pattern)

    _one_or_both_did_it(said, again)
    assert _ids(tables, target) == list(range(ROWS))


def test_two_ingestions_of_one_rest_collection_take_every_row_once(
    both: Both, s3: Settings, tables: Tables, target: TableRef, service: str
) -> None:
    said = both(at_once.rest, at_once.rest, arguments=(s3, target.uri, service))
    again = at_once.rest(s3, target.uri, service)

    _one_or_both_did_it(said, again)
    assert _ids(tables, target) == list(range(ROWS))


def test_what_is_pinned_does_not_move_while_rows_come_in(
    both: Both, s3: Settings, tables: Tables, target: TableRef, shop: str, tmp_path: pathlib.Path
) -> None:
    at_once.sql(s3, target.uri, shop)
    pinned = tables.resolve(target)
    with sqlite3.connect(shop.removeprefix("sqlite:///")) as database:
        more = ((n, 0.0) for n in range(ROWS, 2 * ROWS))
        database.executemany("INSERT INTO orders VALUES (?, ?)", more)

    arguments = (s3, target.uri, shop)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        coming = pool.submit(both, at_once.sql, arguments=arguments)
        made = [at_once.curated(s3, str(pinned), str(tmp_path / str(n))) for n in range(3)]
        coming.result()

    assert set(made) == {ROWS}
    assert len(_ids(tables, target)) == 2 * ROWS


def test_two_runs_of_a_curation_write_one_version(
    both: Both, s3: Settings, tables: Tables, target: TableRef, shop: str, tmp_path: pathlib.Path
) -> None:
    at_once.sql(s3, target.uri, shop)
    pinned = str(tables.resolve(target))

    arguments = (s3, pinned, str(tmp_path / "cache"))
    made = both(at_once.curated, at_once.curated, arguments=arguments)

    assert made == [ROWS, ROWS]
    assert tables.resolve(TableRef("falaj-curated", target.name)).version == 0


def test_appends_that_compare_nothing_all_arrive(
    both: Both, s3: Settings, tables: Tables, target: TableRef
) -> None:
    at_once.appended(s3, target.uri, 1)

    both(at_once.appended, at_once.appended, at_once.appended, arguments=(s3, target.uri, 5))

    assert tables.rows(tables.resolve(target)) == 16


def test_audit_entries_of_several_processes_are_all_there(
    both: Both, s3: Settings, store: ObjectStore, unique: str
) -> None:
    log = AuditLog(store, Address("falaj-raw", f"audit-{unique}/"))

    both(at_once.audited, at_once.audited, at_once.audited, arguments=(s3, str(log.log), 6))

    assert log.verify() == 18


def test_two_who_move_a_channel_both_stand_in_its_history(
    both: Both, s3: Settings, tmp_path: pathlib.Path, unique: str
) -> None:
    at_once.key_ring(tmp_path)
    releases = [at_once.release(s3, unique, tmp_path, number) for number in range(2)]

    arguments = (s3, str(tmp_path), unique, releases)
    said = both(at_once.moved_first, at_once.moved_second, arguments=arguments)
    after = at_once.champions(s3, str(tmp_path), unique)

    assert said.count("done") == len(after)
    assert set(said) <= {"done", at_once.LOST}
