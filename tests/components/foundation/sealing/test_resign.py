"""`resign`: what a revoked key signed is signed anew, if the evidence holds it."""

import dataclasses
import pathlib
from collections.abc import Callable

import pytest

from components.foundation.audit import AuditLog
from components.foundation.errors import Refused, UserError
from components.foundation.sealing import (
    channel,
    envelope,
    openssf,
    release,
    resign,
    wrapped,
)
from components.foundation.sealing.keys import KeyRing, care
from components.foundation.sealing.keys.care import Kept
from components.foundation.sealing.release import Release
from components.foundation.sealing.statement import KIND
from components.foundation.storage import Address, Conflict
from tests.components.foundation.sealing.memory import Killed, Memory

pytestmark = pytest.mark.usefixtures("one_at_a_time")


@pytest.fixture
def made(memory: Memory, folder: pathlib.Path, keys: KeyRing) -> Release:
    """A release that the audit log holds, and a champion's channel that points at it."""
    sealed = release.seal(folder, model="delays", facts={}, store=memory, keys=keys)
    AuditLog(memory).append("release", sealed.uri, sealed.to_dict())
    channel.move("delays", sealed.uri, store=memory, keys=keys, reason="a test")
    return sealed


@pytest.fixture
def revoked(made: Release, keys: KeyRing, tmp_path: pathlib.Path) -> KeyRing:
    """The ring after the key that signed was replaced and revoked."""
    care.rotate(Kept.load(tmp_path / "keys"), signing=True, wrapping=False)
    care.revoke(
        Kept.load(tmp_path / "keys"),
        keys.signer_id,
        reason="the laptop was stolen",
        everywhere=False,
        left=lambda _: 0,
    )
    return KeyRing.load(tmp_path / "keys")


def opens(uri: str, memory: Memory, keys: KeyRing, out: pathlib.Path) -> bool:
    return memory.opens(uri, keys, out, unless="signer-revoked")


def test_what_a_revoked_key_signed_opens_no_more_and_after_it_does(
    made: Release, memory: Memory, revoked: KeyRing, tmp_path: pathlib.Path
) -> None:
    assert not opens(made.uri, memory, revoked, tmp_path / "too early")

    done = resign.resign(made.uri, store=memory, keys=revoked)

    assert done.signer == revoked.signer_id
    assert opens(made.uri, memory, revoked, tmp_path / "out")
    openssf.check(
        tmp_path / "out",
        (tmp_path / "out/model.sig").read_bytes(),
        keys=revoked,
        ignore=frozenset({"model.sig", "release.json"}),
    )


def test_it_replaces_the_statement_and_model_sig_alone_and_what_they_say_stays(
    made: Release, memory: Memory, revoked: KeyRing
) -> None:
    before, address = dict(memory.objects), made.location.address

    done = resign.resign(made.uri, store=memory, keys=revoked)

    changed = {one for one in before if memory.objects[one] != before[one]}
    assert changed == {address / "statement.json", address / "model.sig"}
    assert memory.objects.keys() == before.keys()
    assert done.statement.content == made.statement.content
    assert done.statement.files == made.statement.files
    assert done.statement.key == made.statement.key


def test_done_twice_it_changes_nothing_more(
    made: Release, memory: Memory, revoked: KeyRing
) -> None:
    resign.resign(made.uri, store=memory, keys=revoked)
    before = dict(memory.objects)

    resign.resign(made.uri, store=memory, keys=revoked)

    assert memory.objects == before


def test_refuses_what_the_evidence_does_not_hold_unless_a_person_answers(
    memory: Memory, folder: pathlib.Path, keys: KeyRing, revoked: KeyRing, tmp_path: pathlib.Path
) -> None:
    forged = release.seal(folder, model="delays", facts={"who": "?"}, store=memory, keys=keys)
    before = dict(memory.objects)

    with pytest.raises(Refused, match="the audit log does not hold it") as refused:
        resign.resign(forged.uri, store=memory, keys=revoked)

    assert refused.value.code == "signer-unrecorded"
    assert memory.objects == before
    resign.resign(forged.uri, store=memory, keys=revoked, unrecorded=True)
    assert opens(forged.uri, memory, revoked, tmp_path / "out")


def test_a_verifier_that_is_believed_needs_no_evidence(
    memory: Memory, folder: pathlib.Path, keys: KeyRing, tmp_path: pathlib.Path
) -> None:
    made = release.seal(folder, model="delays", facts={}, store=memory, keys=keys)
    care.rotate(Kept.load(tmp_path / "keys"), signing=True, wrapping=False)
    today = KeyRing.load(tmp_path / "keys")

    assert resign.resign(made.uri, store=memory, keys=today).signer == today.signer_id


@pytest.mark.parametrize("name", ["files/model.onnx", "model.sig"])
def test_signs_nothing_whose_bytes_are_others(
    made: Release, memory: Memory, revoked: KeyRing, name: str
) -> None:
    address = made.location.address / name
    memory.objects[address] = memory.objects[address][:-1] + b"?"
    before = dict(memory.objects)

    with pytest.raises(Refused):
        resign.resign(made.uri, store=memory, keys=revoked)

    assert memory.objects == before


def test_a_ring_that_cannot_sign_changes_nothing(
    made: Release, memory: Memory, revoked: KeyRing, tmp_path: pathlib.Path
) -> None:
    care.share(Kept.load(tmp_path / "keys"), tmp_path / "pod")
    before = dict(memory.objects)

    with pytest.raises(UserError, match="opens releases"):
        resign.resign(made.uri, store=memory, keys=KeyRing.load(tmp_path / "pod"))

    assert memory.objects == before


class Raced(Memory):
    """A store where somebody acts just before the swap of a name."""

    def __init__(
        self, objects: dict[Address, bytes], name: str, act: Callable[[Memory], object]
    ) -> None:
        super().__init__(objects)
        self.name = name
        self.act: Callable[[Memory], object] | None = act

    def swap(self, address: Address, data: bytes, *, etag: str) -> str:
        act = self.act
        if act is not None and address.key.endswith(self.name):
            self.act = None
            act(self)
        return super().swap(address, data, etag=etag)


@pytest.mark.parametrize("name", ["model.sig", "statement.json"])
def test_of_two_at_once_one_wins_and_the_other_is_told(
    made: Release, memory: Memory, revoked: KeyRing, tmp_path: pathlib.Path, name: str
) -> None:
    store = Raced(
        memory.objects, name, lambda other: resign.resign(made.uri, store=other, keys=revoked)
    )

    with pytest.raises(Conflict, match="somebody else signed it anew") as told:
        resign.resign(made.uri, store=store, keys=revoked)

    assert told.value.code == "resign-raced"
    assert opens(made.uri, store, revoked, tmp_path / "out")


def test_killed_anywhere_it_leaves_a_release_that_opens_as_before_or_as_after(
    made: Release, memory: Memory, revoked: KeyRing, tmp_path: pathlib.Path
) -> None:
    number, ends, before = 1, set(), revoked.before_revocations()

    while True:
        store = Memory(memory.objects)
        store.dies_at = number
        try:
            resign.resign(made.uri, store=store, keys=revoked)
            break
        except Killed:
            store.dies_at = 0
        assert opens(made.uri, store, before, tmp_path / f"before{number}")
        ends.add(opens(made.uri, store, revoked, tmp_path / f"after{number}"))
        resign.resign(made.uri, store=store, keys=revoked)
        assert opens(made.uri, store, revoked, tmp_path / f"again{number}")
        number += 1

    assert number > 12
    assert ends == {True, False}


def test_what_somebody_who_was_killed_had_signed_is_adopted(
    made: Release, memory: Memory, revoked: KeyRing
) -> None:
    plain = {file.path: file.plain for file in made.statement.files}
    there = openssf.sign("delays", plain, keys=revoked)
    memory.objects[made.location.address / "model.sig"] = there

    resign.resign(made.uri, store=memory, keys=revoked)

    assert memory.objects[made.location.address / "model.sig"] == there


def test_signs_no_statement_but_the_one_that_was_verified(
    made: Release, memory: Memory, keys: KeyRing, revoked: KeyRing
) -> None:
    address = made.location.address / "statement.json"
    other = dataclasses.replace(made.statement, key="0" * 64).encode()
    signed = envelope.sign(other, kind=KIND, keys=keys)
    store = Raced(memory.objects, "model.sig", lambda store: store.put(address, signed))

    with pytest.raises(Conflict, match="somebody else signed it anew"):
        resign.resign(made.uri, store=store, keys=revoked)

    assert store.objects[address] == signed


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda data: data.replace(b'"keyid":""', b'"keyid":"x"'), id="a name"),
        pytest.param(lambda data: data.replace(b'{"dsse', b'{ "dsse'), id="a space"),
        pytest.param(lambda data: data.replace(b'"hint":"', b'"hint":"0'), id="a hint"),
    ],
)
def test_a_model_sig_that_differs_from_what_we_write_is_refused(
    made: Release,
    memory: Memory,
    keys: KeyRing,
    tmp_path: pathlib.Path,
    change: Callable[[bytes], bytes],
) -> None:
    plain = {file.path: file.plain for file in made.statement.files}
    other = openssf.sign("delays", plain, keys=keys)
    address = made.location.address / "model.sig"
    memory.objects[address] = other
    release.verify(made.uri, store=memory, keys=keys)

    memory.objects[address] = change(other)

    assert memory.objects[address] != other
    with pytest.raises(Refused, match=r"model\.sig: digest is"):
        release.verify(made.uri, store=memory, keys=keys)


def test_a_model_sig_of_another_model_with_the_same_files_is_refused(
    made: Release, memory: Memory, keys: KeyRing
) -> None:
    plain = {file.path: file.plain for file in made.statement.files}
    memory.objects[made.location.address / "model.sig"] = openssf.sign("x", plain, keys=keys)

    with pytest.raises(Refused, match=r"model\.sig: digest is"):
        release.verify(made.uri, store=memory, keys=keys)


# channels


def test_a_channel_that_a_revoked_key_signed_is_renewed_from_the_evidence(
    made: Release, memory: Memory, revoked: KeyRing
) -> None:
    with pytest.raises(Refused, match="was revoked: the laptop was stolen"):
        channel.current("delays", store=memory, keys=revoked)

    channel.renew("delays", store=memory, keys=revoked)

    pointer = channel.current("delays", store=memory, keys=revoked)
    assert pointer is not None
    assert pointer.uri == made.uri


def test_a_channel_is_not_renewed_where_the_evidence_lacks_a_move(
    made: Release, memory: Memory, revoked: KeyRing
) -> None:
    for address in [one for one in memory.objects if one.key.startswith("channels/")]:
        del memory.objects[address]
    before = dict(memory.objects)

    with pytest.raises(Refused, match="move 1 is signed by a revoked key") as refused:
        channel.renew("delays", store=memory, keys=revoked)

    assert refused.value.code == "signer-unrecorded"
    assert memory.objects == before


def test_resigning_leaves_the_wrapped_keys(made: Release, memory: Memory, revoked: KeyRing) -> None:
    before = memory.objects[wrapped.address(made.location.address)]

    resign.resign(made.uri, store=memory, keys=revoked)

    assert memory.objects[wrapped.address(made.location.address)] == before
