"""`rewrap`: for the recipients of today, touching nothing else, whoever races and whatever dies."""

import pathlib
from collections.abc import Callable

import pytest

from components.foundation.errors import Refused
from components.foundation.sealing import envelope, release, rewrap, wrapped
from components.foundation.sealing.keys import KeyRing, care
from components.foundation.sealing.keys.care import Kept
from components.foundation.sealing.release import Release
from components.foundation.sealing.statement import KIND
from components.foundation.storage import Address, Conflict
from tests.components.foundation.sealing.memory import Killed, Memory

pytestmark = pytest.mark.usefixtures("one_at_a_time")


@pytest.fixture
def made(memory: Memory, folder: pathlib.Path, keys: KeyRing) -> Release:
    return release.seal(folder, model="delays", facts={}, store=memory, keys=keys)


@pytest.fixture
def rotated(made: Release, keys: KeyRing, tmp_path: pathlib.Path) -> KeyRing:
    """The ring after a new wrapping key was made."""
    care.rotate(Kept.load(tmp_path / "keys"), signing=False, wrapping=True)
    return KeyRing.load(tmp_path / "keys")


def only_new(rotated: KeyRing, tmp_path: pathlib.Path) -> KeyRing:
    """The ring without the key that was retired."""
    kept = Kept.load(tmp_path / "keys")
    (retired,) = (part for part in kept.parts() if part.state == "retired")
    care.revoke(kept, retired.id, reason="r", everywhere=True, left=lambda _: 0)
    return KeyRing.load(tmp_path / "keys")


def opens(uri: str, memory: Memory, keys: KeyRing, out: pathlib.Path) -> bool:
    return memory.opens(uri, keys, out, unless="wrapping-key-unknown")


def test_after_it_the_new_key_opens_and_the_old_one_does_not(
    made: Release, memory: Memory, keys: KeyRing, rotated: KeyRing, tmp_path: pathlib.Path
) -> None:
    new = only_new(rotated, tmp_path)
    assert not opens(made.uri, memory, new, tmp_path / "too early")

    done = rewrap.rewrap(made.uri, store=memory, keys=rotated)

    assert done.before == (keys.recipients[0].id,)
    assert done.after == (new.recipients[0].id,)
    assert opens(made.uri, memory, new, tmp_path / "new")
    assert not opens(made.uri, memory, keys, tmp_path / "old")


def test_it_replaces_one_object_and_digests_the_others(
    made: Release, memory: Memory, rotated: KeyRing
) -> None:
    before = dict(memory.objects)
    digest = rewrap.others(made.location.address, store=memory)

    done = rewrap.rewrap(made.uri, store=memory, keys=rotated)

    changed = {address for address in before if memory.objects[address] != before[address]}
    assert changed == {wrapped.address(made.location.address)}
    assert memory.objects.keys() == before.keys()
    assert done.others == digest


@pytest.mark.parametrize("name", ["model.sig", "statement.json", "files/model.onnx"])
def test_the_digest_covers_every_other_object(
    made: Release, memory: Memory, rotated: KeyRing, name: str
) -> None:
    digest = rewrap.others(made.location.address, store=memory)
    address = made.location.address / name

    memory.objects[address] = memory.objects[address][:-1] + b"?"

    assert rewrap.others(made.location.address, store=memory) != digest


def test_it_tells_of_a_sealed_byte_that_is_another(
    made: Release, memory: Memory, rotated: KeyRing
) -> None:
    address = made.location.address / "files/model.onnx"
    memory.objects[address] = memory.objects[address][:-1] + b"?"

    with pytest.raises(Refused, match=r"model\.onnx"):
        rewrap.rewrap(made.uri, store=memory, keys=rotated)


class Raced(Memory):
    """A store where somebody acts just before the first swap."""

    def __init__(self, objects: dict[Address, bytes], act: Callable[[Memory], object]) -> None:
        super().__init__(objects)
        self.act: Callable[[Memory], object] | None = act

    def swap(self, address: Address, data: bytes, *, etag: str) -> str:
        act, self.act = self.act, None
        if act is not None:
            act(self)
        return super().swap(address, data, etag=etag)


def test_of_two_at_once_one_wins_and_the_other_is_told(
    made: Release, memory: Memory, rotated: KeyRing, tmp_path: pathlib.Path
) -> None:
    store = Raced(memory.objects, lambda other: rewrap.rewrap(made.uri, store=other, keys=rotated))

    with pytest.raises(Conflict, match="somebody else wrapped the key anew") as told:
        rewrap.rewrap(made.uri, store=store, keys=rotated)

    assert told.value.code == "rewrap-raced"
    assert opens(made.uri, store, only_new(rotated, tmp_path), tmp_path / "out")


def test_tells_of_an_object_that_changed_meanwhile(
    made: Release, memory: Memory, rotated: KeyRing
) -> None:
    other = made.location.address / "statement.json"
    signed = envelope.sign(
        made.statement.encode(), kind=KIND, keys=rotated
    )  # sound, and yet not what lay there
    store = Raced(memory.objects, lambda store: store.put(other, signed))

    with pytest.raises(Refused, match="somebody else wrote there meanwhile"):
        rewrap.rewrap(made.uri, store=store, keys=rotated)


def test_refuses_a_key_that_the_statement_does_not_commit_to(
    made: Release, memory: Memory, keys: KeyRing, rotated: KeyRing
) -> None:
    address = wrapped.address(made.location.address)
    entries = keys.wrap(b"k" * 32, context=wrapped._context(made.statement.content))
    memory.objects[address] = wrapped._encode(entries)

    with pytest.raises(Refused) as refused:
        rewrap.rewrap(made.uri, store=memory, keys=rotated)

    assert refused.value.code == "release-key-altered"
    assert memory.objects[address] == wrapped._encode(entries)


def test_killed_anywhere_it_leaves_the_state_before_or_after(
    made: Release, memory: Memory, keys: KeyRing, rotated: KeyRing, tmp_path: pathlib.Path
) -> None:
    new, number, ends = only_new(rotated, tmp_path), 1, set()

    while True:
        store = Memory(memory.objects)
        store.dies_at = number
        try:
            rewrap.rewrap(made.uri, store=store, keys=rotated)
            break
        except Killed:
            store.dies_at = 0
        old_opens = opens(made.uri, store, keys, tmp_path / f"old{number}")
        assert opens(made.uri, store, new, tmp_path / f"new{number}") != old_opens
        rewrap.rewrap(made.uri, store=store, keys=rotated)
        assert opens(made.uri, store, new, tmp_path / f"again{number}")
        ends.add(old_opens)
        number += 1

    assert number > 9
    assert ends == {True, False}


def test_counts_the_releases_that_are_wrapped_for_a_key(
    made: Release, memory: Memory, keys: KeyRing
) -> None:
    assert list(rewrap.wrapped_for(keys.recipients[0].id, store=memory)) == [made.uri]
    assert list(rewrap.wrapped_for("0" * 16, store=memory)) == []


def test_a_release_that_does_not_say_for_whom_counts_for_everybody(
    made: Release, memory: Memory
) -> None:
    memory.objects[wrapped.address(made.location.address)] = b"{}"

    assert list(rewrap.wrapped_for("0" * 16, store=memory)) == [made.uri]
