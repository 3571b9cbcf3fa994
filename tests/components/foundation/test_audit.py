"""The audit log loses nothing and shows what was done to it."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock

import pytest

from components.foundation.audit import AuditLog, Head, said
from components.foundation.errors import Refused
from components.foundation.storage import Address, ObjectStore


@pytest.fixture
def log(store: ObjectStore, unique: str) -> AuditLog:
    """A log of its own in a bucket without a lock, as somebody who may write would have it."""
    return AuditLog(store, Address("falaj-raw", f"audit-{unique}/"))


@pytest.fixture
def filled(log: AuditLog) -> AuditLog:
    for number in range(1, 6):
        log.append("verdict", f"subject {number}", {"value": number})
    return log


def place(log: AuditLog, number: int) -> Address:
    return log.log / f"{number:08d}.json"


def test_entries_come_back_in_order_and_verify(filled: AuditLog) -> None:
    assert [entry.body["value"] for entry in filled.entries()] == [1, 2, 3, 4, 5]
    assert filled.verify() == 5


def test_an_empty_log_verifies(log: AuditLog) -> None:
    assert log.verify() == 0


@pytest.mark.parametrize("number", [1, 3, 5], ids=["first", "middle", "last"])
def test_finds_an_edited_entry(filled: AuditLog, number: int) -> None:
    entry = json.loads(filled.store.get(place(filled, number)))
    entry["subject"] = "something else"
    filled.store.put(place(filled, number), json.dumps(entry).encode())

    with pytest.raises(Refused, match="edited"):
        filled.verify()


@pytest.mark.parametrize("number", [1, 3], ids=["first", "middle"])
def test_finds_a_removed_entry(filled: AuditLog, number: int) -> None:
    filled.store.delete(place(filled, number))

    with pytest.raises(Refused, match=f"entry {number} is missing"):
        filled.verify()


def test_finds_entries_that_changed_places(filled: AuditLog) -> None:
    second, third = filled.store.get(place(filled, 2)), filled.store.get(place(filled, 3))
    filled.store.put(place(filled, 2), third)
    filled.store.put(place(filled, 3), second)

    with pytest.raises(Refused, match="moved"):
        filled.verify()


def test_finds_a_log_that_was_cut_as_long_as_its_head_is_there(filled: AuditLog) -> None:
    filled.store.delete(place(filled, 5))

    with pytest.raises(Refused, match="ends at entry 4, its head names 5"):
        filled.verify()


def test_refuses_to_append_to_a_log_that_was_cut(filled: AuditLog) -> None:
    filled.store.delete(place(filled, 5))

    with pytest.raises(Refused, match="not the one the head names"):
        filled.append("verdict", "more", {})


def test_finds_bytes_that_are_no_entry(filled: AuditLog) -> None:
    filled.store.put(place(filled, 2), b"{}")

    with pytest.raises(Refused, match="not an entry"):
        filled.verify()


def test_eight_writers_at_once_lose_nothing(log: AuditLog) -> None:
    def write(writer: int) -> None:
        for number in range(5):
            log.append("verdict", f"{writer}-{number}", {})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))

    assert log.verify() == 40
    assert len({entry.subject for entry in log.entries()}) == 40


def test_appends_after_a_writer_died_before_moving_the_head(filled: AuditLog) -> None:
    head = Address("falaj-raw", f"{filled.log.key.rstrip('/')}-head.json")
    old = filled.store.get(head)
    filled.append("verdict", "sixth", {})
    filled.store.put(head, old)

    assert filled.append("verdict", "seventh", {}).number == 7
    assert filled.verify() == 7


def test_a_late_writer_does_not_move_the_head_back(filled: AuditLog) -> None:
    filled._advance(Head(2, "sha256:late"))
    filled.store.delete(place(filled, 5))

    with pytest.raises(Refused, match="its head names 5"):
        filled.verify()


def test_appending_never_lists_the_log(filled: AuditLog) -> None:
    with mock.patch.object(ObjectStore, "list", side_effect=AssertionError("listed")):
        assert filled.append("verdict", "sixth", {}).number == 6


@pytest.mark.usefixtures("environment")
def test_works_in_the_locked_bucket_of_the_evidence(store: ObjectStore, unique: str) -> None:
    log = AuditLog(store, Address("falaj-evidence", f"audit-{unique}/"))

    for number in range(3):
        log.append("verdict", f"subject {number}", {})

    assert log.verify() == 3


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the code may catch it."""


def kills(writes: int, monkeypatch: pytest.MonkeyPatch, *, carried_out: bool) -> None:
    """Let whoever writes die at a write, before it or just after it was carried out."""
    left = iter(range(writes))

    def dying(write: Callable[..., str]) -> Callable[..., str]:
        def wrapped(self: ObjectStore, *arguments: Any, **options: Any) -> str:
            if next(left, None) is not None:
                return write(self, *arguments, **options)
            if carried_out:
                write(self, *arguments, **options)
            raise Killed

        return wrapped

    for name in ("create", "swap"):
        monkeypatch.setattr(ObjectStore, name, dying(getattr(ObjectStore, name)))


def test_what_is_said_again_is_not_written_again(filled: AuditLog) -> None:
    again = filled.append("verdict", "subject 2", {"value": 2})

    assert again.number == 2
    assert filled.verify() == 5


def test_what_differs_in_any_word_is_another_entry(filled: AuditLog) -> None:
    for kind, subject, value in (("release", "subject 2", 2), ("verdict", "subject 2", 3)):
        filled.append(kind, subject, {"value": value})

    assert filled.verify() == 7


@pytest.mark.parametrize("carried_out", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("writes", range(3), ids=["entry", "mark", "head"])
@pytest.mark.parametrize("between", [0, 2], ids=["at once", "after others"])
def test_a_step_killed_at_any_write_says_it_once(
    filled: AuditLog,
    monkeypatch: pytest.MonkeyPatch,
    writes: int,
    carried_out: bool,
    between: int,
) -> None:
    with monkeypatch.context() as patched:
        kills(writes, patched, carried_out=carried_out)
        with pytest.raises(Killed):
            filled.append("release", "delays", {"content": "x"})
    for number in range(between):
        filled.append("verdict", f"meanwhile {number}", {})

    filled.append("release", "delays", {"content": "x"})

    subjects = [entry.subject for entry in filled.entries()]
    assert subjects.count("delays") == 1
    assert filled.verify() == 6 + between


def test_a_body_is_known_again_by_what_was_written_of_it(filled: AuditLog) -> None:
    body = {"bins": {10: 1.0, 9: (2, 3)}, "name": "\u0645\u0631\u064a\u0645"}

    first, again = (filled.append("verdict", "subject", body).number for _ in range(2))

    assert first == again == 6


def test_eight_writers_of_one_thing_write_it_once(log: AuditLog) -> None:
    with ThreadPoolExecutor(8) as pool:
        numbers = set(pool.map(lambda _: log.append("release", "delays", {}).number, range(8)))

    assert numbers == {1}
    assert log.verify() == 1


def test_a_mark_made_up_to_keep_something_out_of_the_log_shows(filled: AuditLog) -> None:
    filled.store.create(filled._mark(said("verdict", "unwelcome", {})), b"3")

    with pytest.raises(Refused, match="names entry 3, which does not say that"):
        filled.append("verdict", "unwelcome", {})
