"""`falaj verify` over statements that an attestor left, all in memory."""

import contextlib
import pathlib
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from components.foundation.sealing.keys import KeyRing
from components.foundation.storage import Address
from components.governance.attest_residency import attestor, statement
from pipelines.__main__ import main
from pipelines.laptop import session
from tests.components.foundation.sealing.memory import Memory
from tests.components.governance.attest_residency.installed import Weed, in_force, node, site
from tests.components.governance.attest_residency.recorded import recorded


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyRing:
    return KeyRing.create(tmp_path_factory.mktemp("keys") / "own")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> KeyRing:
    return KeyRing.create(tmp_path_factory.mktemp("keys") / "other")


@pytest.fixture(scope="module")
def written(keys: KeyRing) -> Memory:
    """What two attestors left: two statements, and the audit log."""
    found = Memory()
    for law in ("health", "pdpl"):
        attest(found, keys, law)
    return found


@pytest.fixture
def store(written: Memory) -> Memory:
    return Memory(written.objects)


def attest(store: Memory, keys: KeyRing, law: str) -> None:
    looking = attestor.Attestor(site(law), recorded(*in_force(law), node()), Weed())
    with pytest.MonkeyPatch.context() as patch:
        answer = [(0, 0, 0, "", ("10.1.2.3", 0))]
        patch.setattr("socket.getaddrinfo", lambda *asked, **named: answer)
        list(attestor.attest(looking, store=store, keys=keys))


def lying(store: Memory) -> list[Address]:
    return sorted((item.address for item in store.list(statement.STATEMENTS)), key=str)


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> "Verified":
    return Verified(monkeypatch, capsys)


class Verified:
    """Runs the command on a store with a ring; what it printed is then in `lines`."""

    def __init__(self, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._patch, self._capsys = patch, capsys
        self.lines: list[str] = []

    def __call__(self, store: Memory, keys: KeyRing) -> int:
        @contextlib.contextmanager
        def storing(state: pathlib.Path) -> Iterator[SimpleNamespace]:
            yield SimpleNamespace(store=store, keys=keys)

        self._patch.setattr(session, "storing", storing)
        self._capsys.readouterr()
        code = main(["verify"])
        said = self._capsys.readouterr()
        self.lines = (said.out + said.err).splitlines()
        return code

    @property
    def refused(self) -> list[str]:
        return [line for line in self.lines if line.startswith("refused: ")]


def test_statements_as_they_were_written_verify(
    store: Memory, keys: KeyRing, verified: Verified
) -> None:
    assert verified(store, keys) == 0

    for address in lying(store):
        assert [line for line in verified.lines if line.startswith(f"verified: {address}: accept")]


@pytest.mark.parametrize("at", [0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.999])
def test_one_byte_that_changed_is_refused_in_one_sentence(
    store: Memory, keys: KeyRing, verified: Verified, at: float
) -> None:
    changed, whole = lying(store)
    data = bytearray(store.objects[changed])
    data[int(at * len(data))] ^= 1
    store.objects[changed] = bytes(data)

    assert verified(store, keys) == 3

    [said] = verified.refused
    assert said.startswith(f"refused: {changed}: its digest is sha256:")
    assert said.endswith("; restore the object's earlier version from the bucket")
    assert any(line.startswith(f"verified: {whole}") for line in verified.lines)
    assert "1 of 2 statements on residency do not verify" in verified.lines[-1]


def test_one_that_is_gone_is_missed_in_one_sentence(
    store: Memory, keys: KeyRing, verified: Verified
) -> None:
    gone, _ = lying(store)
    del store.objects[gone]

    assert verified(store, keys) == 3

    assert verified.refused == [
        f"refused: {gone}: the audit log names it, and it is gone; restore it from the bucket"
    ]


def test_whoever_does_not_know_the_signer_refuses_each(
    store: Memory, other: KeyRing, verified: Verified
) -> None:
    assert verified(store, other) == 3

    assert len(verified.refused) == 2
    ours = f": not signed by our signer {other.signer_id[:16]}; "
    assert all(ours in line for line in verified.refused)


def test_one_that_a_stranger_signed_is_refused_though_the_audit_log_names_it(
    store: Memory, keys: KeyRing, other: KeyRing, verified: Verified
) -> None:
    before = lying(store)
    attest(store, other, "gov")
    [forged] = set(lying(store)) - set(before)

    assert verified(store, keys) == 3

    [said] = verified.refused
    assert said.startswith(f"refused: {forged}: not signed by our signer {keys.signer_id[:16]}; ")


def test_one_that_the_audit_log_does_not_name_is_told_and_is_no_forgery(
    store: Memory, keys: KeyRing, verified: Verified
) -> None:
    """As an attestor leaves it that is stopped before its entry."""
    alone = Memory({address: store.objects[address] for address in lying(store)})

    assert verified(alone, keys) == 0

    told = [
        line
        for line in verified.lines
        if line.endswith("no entry names it: its attestor was stopped in between)")
    ]
    assert len(told) == 2
