"""What `test_kills` would see if something were torn, doubled or left behind."""

import dataclasses
import pathlib
import socket
import subprocess
import sys
from collections.abc import Iterator

import pyarrow as pa
import pytest

from components.foundation.audit import AuditLog
from components.foundation.storage import Address
from components.foundation.tables import TableRef
from pipelines.laptop import session
from tests.faults import killed_state, kills
from tests.faults.kills import Hit, Process

EVIDENCE = {"decision": "accept"}


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[session.Session]:
    with session.storing(tmp_path_factory.mktemp("state")) as laptop:
        yield laptop


@pytest.fixture
def table(laptop: session.Session, unique: str) -> TableRef:
    return laptop.tables.replace(TableRef("falaj-raw", unique), pa.table({"a": [1, 2, 2]}))


def test_what_is_whole_is_not_blamed(laptop: session.Session, table: TableRef) -> None:
    AuditLog(laptop.store).append("verdict", "a subject", EVIDENCE)

    looked, found = killed_state.broken(laptop)

    assert found == []
    assert looked.startswith(f"{len(killed_state.tables(laptop))} tables, ")


@pytest.mark.parametrize("data", [None, b"cut"], ids=["gone", "cut"])
def test_a_file_that_a_table_lists_is_missed(
    laptop: session.Session, table: TableRef, data: bytes | None
) -> None:
    (file,) = [
        item.address
        for item in laptop.store.list(Address(table.bucket, table.name))
        if item.address.key.endswith(".parquet")
    ]
    whole = laptop.store.get(file)
    laptop.store.delete(file)
    if data:
        laptop.store.put(file, data)

    _, found = killed_state.broken(laptop)
    laptop.store.put(file, whole)

    assert [line for line in found if line.startswith(f"table {table.uri}: ")] == found != []


def test_half_a_document_is_found(laptop: session.Session, unique: str) -> None:
    half = Address("falaj-evidence", f"lineage/{unique}.json")
    laptop.store.put(half, b'{"event')

    _, found = killed_state.broken(laptop)
    laptop.store.delete(half)

    assert [str(half) in line for line in found] == [True]


def test_a_log_that_does_not_hold_is_found(laptop: session.Session) -> None:
    log = AuditLog(laptop.store)
    entry = log.append("verdict", "one subject", EVIDENCE)
    log.append("verdict", "another subject", EVIDENCE)
    edited = dataclasses.replace(entry, subject="an edited one").encode()
    place = Address("falaj-evidence", f"audit/{entry.number:08d}.json")
    laptop.store.put(place, edited)

    _, found = killed_state.broken(laptop)
    laptop.store.put(place, entry.encode())

    assert ["audit log" in line for line in found] == [True]


def test_the_order_of_rows_does_not_count_and_a_doubled_one_does() -> None:
    once, ordered = pa.table({"a": [1, 2], "b": ["x", None]}), pa.table({"a": [2, 1]})

    digest = killed_state.digest(once)

    assert digest == killed_state.digest(once.take([1, 0]))
    assert digest != killed_state.digest(once.take([1, 0, 0]))
    assert digest != killed_state.digest(once.set_column(1, "b", [["x", ""]]))
    assert digest != killed_state.digest(ordered)


def test_a_process_that_lives_on_and_its_port_are_found(tmp_path: pathlib.Path) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        waiting = [sys.executable, "-c", "input()"]
        with subprocess.Popen(
            waiting, stdin=subprocess.PIPE, pass_fds=[listening.fileno()]
        ) as process:
            hit = Hit(
                "",
                "",
                frozenset({Process.of(process.pid)}),
                kills.listening(iter([process.pid])),
            )
            found = kills.left(hit)
            process.kill()
        port = listening.getsockname()[1]

    assert len(found) == 2
    assert (f"port {port}" in found, str(process.pid) in str(found)) == (True, True)
    assert kills.left(hit) == []


def test_the_same_seed_gives_the_same_points() -> None:
    first, again, other = (kills.points(seed, count=10, steps=100) for seed in (1, 1, 2))

    assert first == again != other
    assert first == sorted(first, key=lambda point: point.after)
    assert {point.kind for point in first} == set(kills.KINDS)
