import dataclasses
import pathlib
import stat

import pytest

from components.foundation.errors import Refused, UserError
from components.foundation.sealing.keys import KeyRing, care
from components.foundation.sealing.keys.care import Kept
from components.foundation.sealing.keys.secret import Secret


def test_a_ring_is_read_as_it_was_made(tmp_path: pathlib.Path) -> None:
    made = KeyRing.create(tmp_path / "keys")

    read = KeyRing.load(tmp_path / "keys")

    assert read.signer_id == made.signer_id
    assert [one.id for one in read.recipients] == [one.id for one in made.recipients]
    assert read.signed_by(b"message", [made.sign(b"message")]) == made.signer_id
    assert read.signed_by(b"another", [made.sign(b"message")]) is None


def test_only_the_owner_can_read_its_files(tmp_path: pathlib.Path) -> None:
    KeyRing.create(tmp_path / "keys")

    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "keys").iterdir()}

    assert modes == {0o600}


def test_keys_are_never_overwritten(tmp_path: pathlib.Path) -> None:
    KeyRing.create(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    with pytest.raises(UserError, match="already holds a key ring"):
        KeyRing.create(tmp_path)

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", ["wrapping.key", "signing.pem"])
def test_refuses_a_secret_that_everybody_may_read(tmp_path: pathlib.Path, name: str) -> None:
    KeyRing.create(tmp_path)
    (tmp_path / name).chmod(0o644)

    with pytest.raises(UserError, match="everybody"):
        KeyRing.load(tmp_path)


def test_a_shared_ring_opens_but_does_not_sign(tmp_path: pathlib.Path) -> None:
    made = KeyRing.create(tmp_path / "site")
    care.share(Kept.load(tmp_path / "site"), tmp_path / "pod")

    opener = KeyRing.load(tmp_path / "pod")

    wrapped = made.wrap(b"k" * 32, context=b"c")
    assert opener.unwrap(wrapped, context=b"c", where="here") == b"k" * 32
    assert opener.signed_by(b"m", [made.sign(b"m")]) == made.signer_id
    with pytest.raises(UserError, match=r"no signing\.pem"):
        opener.sign(b"m")


def test_a_wrapped_key_opens_for_its_use_and_its_ring_only(tmp_path: pathlib.Path) -> None:
    ring, other = KeyRing.create(tmp_path / "a"), KeyRing.create(tmp_path / "b")
    wrapped = ring.wrap(b"k" * 32, context=b"this release")

    with pytest.raises(Refused, match="not wrapped for this release"):
        ring.unwrap(wrapped, context=b"another release", where="here")
    of_other = [dataclasses.replace(wrapped[0], recipient=other.recipients[0].id)]
    with pytest.raises(Refused, match="not wrapped for this release"):
        other.unwrap(of_other, context=b"this release", where="here")


@pytest.mark.parametrize("name", ["wrapping.key", "verify.pem", "signing.pem"])
def test_says_which_file_is_no_key(tmp_path: pathlib.Path, name: str) -> None:
    KeyRing.create(tmp_path)
    (tmp_path / name).write_text("secret-but-broken")

    with pytest.raises(UserError, match=name) as raised:
        KeyRing.load(tmp_path)

    assert "secret-but-broken" not in str(raised.value)


@pytest.mark.parametrize("name", ["wrapping.key", "verify.pem"])
def test_says_which_file_is_missing(tmp_path: pathlib.Path, name: str) -> None:
    KeyRing.create(tmp_path)
    (tmp_path / name).unlink()

    with pytest.raises(UserError, match=f"{name}: No such file"):
        KeyRing.load(tmp_path)


def test_refuses_halves_of_different_keys(tmp_path: pathlib.Path) -> None:
    KeyRing.create(tmp_path / "a")
    KeyRing.create(tmp_path / "b")
    (tmp_path / "a/verify.pem").write_bytes((tmp_path / "b/verify.pem").read_bytes())

    with pytest.raises(UserError, match="not halves of one key"):
        KeyRing.load(tmp_path / "a")


def test_a_ring_shows_nothing_secret(tmp_path: pathlib.Path) -> None:
    ring = KeyRing.create(tmp_path)

    shown = repr(ring)

    secret = (tmp_path / "wrapping.key").read_text()
    assert secret not in shown
    assert repr(bytes.fromhex(secret)) not in shown
    assert "PrivateKey" not in shown


def test_takes_a_secret_volume_as_kubernetes_mounts_it(tmp_path: pathlib.Path) -> None:
    ring = KeyRing.create(tmp_path / "ring")
    data = tmp_path / "mount" / "..2026_11_24"
    data.mkdir(parents=True)
    (tmp_path / "mount" / "..data").symlink_to(data.name)
    for file in (tmp_path / "ring").iterdir():
        (data / file.name).write_bytes(file.read_bytes())
        (tmp_path / "mount" / file.name).symlink_to(f"..data/{file.name}")
        (data / file.name).chmod(0o644)

    assert KeyRing.load(tmp_path / "mount").signer_id == ring.signer_id


def test_a_ring_that_nobody_named_is_asked_for(tmp_path: pathlib.Path) -> None:
    KeyRing.create(tmp_path)

    assert KeyRing.from_environment({"FALAJ_KEYS": str(tmp_path)}).signer is not None
    with pytest.raises(UserError, match="FALAJ_KEYS is not set"):
        KeyRing.from_environment({})


@pytest.fixture
def locked(tmp_path: pathlib.Path) -> dict[str, str]:
    """The environment of a ring whose signing key is under a passphrase."""
    KeyRing.create(tmp_path / "ring", passphrase=Secret(b"three dates"))
    (tmp_path / "phrase").write_text("three dates\n")
    (tmp_path / "phrase").chmod(0o600)
    return {
        "FALAJ_KEYS": str(tmp_path / "ring"),
        "FALAJ_KEYS_PASSPHRASE_FILE": str(tmp_path / "phrase"),
    }


def test_a_signing_key_under_a_passphrase_signs_with_it(locked: dict[str, str]) -> None:
    ring = KeyRing.from_environment(locked)

    assert ring.signed_by(b"m", [ring.sign(b"m")])


@pytest.mark.parametrize("given", ["wrong dates", None])
def test_refuses_a_wrong_or_missing_passphrase_without_showing_it(
    locked: dict[str, str], given: str | None
) -> None:
    if given is None:
        del locked["FALAJ_KEYS_PASSPHRASE_FILE"]
    else:
        pathlib.Path(locked["FALAJ_KEYS_PASSPHRASE_FILE"]).write_text(given)

    with pytest.raises(UserError, match=r"signing\.pem: expected") as raised:
        KeyRing.from_environment(locked)

    assert "dates" not in str(raised.value)


def test_refuses_a_passphrase_that_everybody_may_read(locked: dict[str, str]) -> None:
    pathlib.Path(locked["FALAJ_KEYS_PASSPHRASE_FILE"]).chmod(0o644)

    with pytest.raises(UserError, match="everybody"):
        KeyRing.from_environment(locked)


def test_refuses_an_empty_passphrase(locked: dict[str, str]) -> None:
    pathlib.Path(locked["FALAJ_KEYS_PASSPHRASE_FILE"]).write_text("\n")

    with pytest.raises(UserError, match="is empty"):
        KeyRing.from_environment(locked)
