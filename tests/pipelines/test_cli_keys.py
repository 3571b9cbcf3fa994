"""`falaj keys | rewrap | resign`: what each does, says and leaves in the audit log."""

import pathlib
from collections.abc import Callable

import pytest

from components.foundation.audit import AuditLog
from components.foundation.sealing import release
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.release import Release
from components.foundation.sealing.uri import ReleaseUri
from components.foundation.storage import ObjectStore
from pipelines.__main__ import main

Said = Callable[[], str]


@pytest.fixture
def ring(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """The folder of a ring that `falaj keys new` made, and that FALAJ_KEYS names."""
    folder = tmp_path / "ring"
    assert main(["keys", "new", str(folder)]) == 0
    monkeypatch.setenv("FALAJ_KEYS", str(folder))
    return folder


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    def both() -> str:
        captured = capsys.readouterr()
        return captured.out + captured.err

    return both


@pytest.fixture
def made(
    ring: pathlib.Path, environment: None, store: ObjectStore, tmp_path: pathlib.Path, unique: str
) -> Release:
    """A sealed release that the audit log holds."""
    folder = tmp_path / "plain"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"weights" * 100)
    sealed = release.seal(folder, model=unique, facts={}, store=store, keys=KeyRing.load(ring))
    AuditLog(store).append("release", sealed.uri, sealed.to_dict())
    return sealed


def rows(text: str) -> list[list[str]]:
    lines = [line.split() for line in text.splitlines()]
    return lines[[line[0] for line in lines].index("ID") + 1 :]


def notes(store: ObjectStore, kind: str, subject: str) -> int:
    return sum((one.kind, one.subject) == (kind, subject) for one in AuditLog(store).entries())


def test_a_new_ring_seals_and_is_shown(ring: pathlib.Path, said: Said) -> None:
    said()
    assert main(["keys", "list"]) == 0

    assert [row[1:] for row in rows(said())] == [
        ["verify.pem", "verifier", "signs", "current"],
        ["wrapping.key", "recipient", "opens", "current"],
    ]


def test_a_list_shows_nothing_secret(ring: pathlib.Path, said: Said) -> None:
    main(["keys", "list", str(ring)])

    shown = said()
    assert (ring / "wrapping.key").read_text() not in shown
    for line in (ring / "signing.pem").read_text().splitlines():
        assert line not in shown


def test_a_ring_is_not_made_over_another(ring: pathlib.Path, said: Said) -> None:
    before = (ring / "signing.pem").read_bytes()

    assert main(["keys", "new", str(ring)]) == 2

    assert "already holds a key ring" in said()
    assert (ring / "signing.pem").read_bytes() == before


def test_a_passphrase_from_a_file_encrypts_the_signing_key(tmp_path: pathlib.Path) -> None:
    (tmp_path / "phrase").write_text("three dates\n")
    (tmp_path / "phrase").chmod(0o600)

    made = main(["keys", "new", str(tmp_path / "r"), "--passphrase-file", str(tmp_path / "phrase")])

    assert made == 0
    assert b"ENCRYPTED" in (tmp_path / "r/signing.pem").read_bytes()


def test_custodians_sign_together_and_none_alone(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, said: Said
) -> None:
    one, two = str(tmp_path / "one.hex"), str(tmp_path / "two.hex")

    assert main(["keys", "new", str(tmp_path / "r"), "--custodian", one, "--custodian", two]) == 0

    monkeypatch.setenv("FALAJ_KEYS", str(tmp_path / "r"))
    monkeypatch.setenv("FALAJ_KEYS_PASSPHRASE_FILE", one)
    assert main(["keys", "rotate", "--signing"]) == 2
    assert "under the passphrase that was given" in said()
    monkeypatch.setenv("FALAJ_KEYS_PASSPHRASE_FILE", f"{two}:{one}")
    assert main(["keys", "rotate", "--signing"]) == 0


def test_a_ring_that_was_not_made_leaves_no_components(
    ring: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    one, two = tmp_path / "one.hex", tmp_path / "two.hex"

    assert main(["keys", "new", str(ring), "--custodian", str(one), "--custodian", str(two)]) == 2

    assert not one.exists()
    assert not two.exists()


def test_a_recovery_key_is_among_those_who_open(tmp_path: pathlib.Path, said: Said) -> None:
    KeyRing.create(tmp_path / "safe")
    public = (tmp_path / "safe/verify.pem").rename(tmp_path / "safe.pub.pem")

    assert main(["keys", "new", str(tmp_path / "r"), "--recovery", str(public)]) == 0

    assert rows(said())[-1][1:] == ["safe.pub.pem", "recipient", "wraps", "current"]


def test_a_shared_ring_lists_no_signer(
    ring: pathlib.Path, tmp_path: pathlib.Path, said: Said
) -> None:
    assert main(["keys", "share", str(tmp_path / "pod")]) == 0
    said()

    main(["keys", "list", str(tmp_path / "pod")])

    assert [row[3] for row in rows(said())] == ["believes", "opens"]


def test_rotating_is_noted_and_says_what_is_current(
    made: Release, ring: pathlib.Path, store: ObjectStore, said: Said
) -> None:
    said()
    assert main(["keys", "rotate", "--signing", "--wrapping"]) == 0

    shown = rows(said())
    assert [row[2:] for row in shown] == [
        ["verifier", "signs", "current"],
        ["verifier", "believes", "current"],
        ["recipient", "opens", "current"],
        ["recipient", "opens", "retired"],
    ]
    ids = {entry.subject for entry in AuditLog(store).entries() if entry.kind == "key"}
    assert {one[:16] for one in ids} >= {shown[0][0], shown[2][0]}


def test_rotating_nothing_is_refused(ring: pathlib.Path, said: Said) -> None:
    assert main(["keys", "rotate"]) == 2
    assert "--signing, --wrapping" in said()


def test_a_ring_without_a_store_is_changed_and_says_that_nothing_was_noted(
    ring: pathlib.Path, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)

    assert main(["keys", "rotate", "--wrapping"]) == 0

    assert "not noted in the audit log" in said()


@pytest.fixture
def _sealed_alone(store: ObjectStore, made: Release) -> None:
    """Leave no other test's releases, whose keys are others."""
    for uri in list(release.releases(store=store)):
        if uri != made.uri:
            store.delete(ReleaseUri.parse(uri).address / "statement.json")


@pytest.mark.usefixtures("_sealed_alone")
def test_a_wrapping_key_goes_in_three_steps(
    made: Release, ring: pathlib.Path, store: ObjectStore, said: Said
) -> None:
    """A stolen key: retired, its releases wrapped anew, then removed."""
    old = KeyRing.load(ring).recipients[0].id
    main(["keys", "rotate", "--wrapping"])
    said()

    assert main(["keys", "revoke", old, "--reason", "stolen"]) == 0
    assert "1 releases are wrapped for it still" in said()
    assert main(["keys", "revoke", old, "--reason", "stolen", "--everywhere"]) == 2
    assert "1 releases are wrapped for it" in said()

    assert main(["rewrap", made.uri]) == 0
    before, after = [line.split()[4] for line in said().splitlines()[1:3]]
    assert before == after.rstrip(",")
    assert before.startswith("sha256:")
    assert main(["keys", "revoke", old, "--reason", "stolen", "--everywhere"]) == 0
    assert old not in [one.id for one in KeyRing.load(ring).retired]
    assert notes(store, "rewrap", made.uri) == 1
    assert notes(store, "key", old) == 2


@pytest.mark.usefixtures("_sealed_alone")
def test_all_releases_are_rewrapped_and_one_that_is_not_sound_is_named(
    made: Release, store: ObjectStore, said: Said
) -> None:
    assert main(["rewrap", "--all"]) == 0
    store.put(made.location.address / "model.sig", b"{}")

    assert main(["rewrap", "--all"]) == 3

    assert f"release {made.uri}, model.sig" in said()


def test_rewrap_wants_names_or_all(made: Release, said: Said) -> None:
    assert main(["rewrap"]) == 2
    assert main(["rewrap", made.uri, "--all"]) == 2


def test_a_revoked_signer_opens_nothing_until_its_release_is_signed_anew(
    made: Release, ring: pathlib.Path, store: ObjectStore, tmp_path: pathlib.Path, said: Said
) -> None:
    old = KeyRing.load(ring).signer_id
    main(["keys", "rotate", "--signing"])
    assert main(["keys", "revoke", old[:12], "--reason", "a laptop was stolen"]) == 0
    said()

    assert main(["unseal", made.uri, str(tmp_path / "out")]) == 3
    assert "revoked: a laptop was stolen" in said()
    assert main(["resign", made.uri]) == 0
    assert main(["unseal", made.uri, str(tmp_path / "out")]) == 0
    assert main(["resign", made.uri]) == 0
    assert notes(store, "release", made.uri) == 2


def test_what_the_log_does_not_hold_is_signed_only_by_name_of_the_hatch(
    made: Release, ring: pathlib.Path, store: ObjectStore, tmp_path: pathlib.Path, said: Said
) -> None:
    keys = KeyRing.load(ring)
    other = release.seal(
        tmp_path / "plain", model=made.model, facts={"a": 1}, store=store, keys=keys
    )
    main(["keys", "rotate", "--signing"])
    main(["keys", "revoke", keys.signer_id, "--reason", "stolen"])

    assert main(["resign", other.uri]) == 3
    assert "--unsafe-unrecorded" in said()
    assert main(["resign", other.uri, "--unsafe-unrecorded"]) == 0


def test_the_key_that_signs_is_not_revoked(ring: pathlib.Path, said: Said) -> None:
    signer = KeyRing.load(ring).signer_id

    assert main(["keys", "revoke", signer, "--reason", "r"]) == 2

    assert "falaj keys rotate --signing" in said()
