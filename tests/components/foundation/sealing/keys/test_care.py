"""What people do with a ring: the old opens on, the last stays, a kill leaves a whole ring."""

import os
import pathlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from components.foundation.errors import UserError
from components.foundation.sealing.keys import KeyRing, care
from components.foundation.sealing.keys.care import Kept
from components.foundation.sealing.keys.layout import Named
from components.foundation.sealing.keys.secret import Secret


@pytest.fixture
def ring(tmp_path: pathlib.Path) -> pathlib.Path:
    KeyRing.create(tmp_path / "ring")
    return tmp_path / "ring"


@pytest.fixture
def safe(tmp_path: pathlib.Path) -> pathlib.Path:
    """The public half of a recovery key, whose private half lies beside it."""
    KeyRing.create(tmp_path / "safe")
    return (tmp_path / "safe/verify.pem").rename(tmp_path / "safe/safe.pub.pem")


def rotate(ring: pathlib.Path, *, signing: bool = True, wrapping: bool = True) -> None:
    care.rotate(Kept.load(ring), signing=signing, wrapping=wrapping)


def revoke(
    ring: pathlib.Path, name: str, *, everywhere: bool = False, left: int = 0, reason: str = "r"
) -> care.Part:
    return care.revoke(
        Kept.load(ring), name, reason=reason, everywhere=everywhere, left=lambda _: left
    )


def names(folder: pathlib.Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# rotate


def test_after_a_rotation_the_new_key_signs_and_the_old_is_believed(ring: pathlib.Path) -> None:
    before = KeyRing.load(ring)
    signature = before.sign(b"m")

    rotate(ring, wrapping=False)

    after = KeyRing.load(ring)
    assert after.signer_id != before.signer_id
    assert after.signed_by(b"m", [after.sign(b"m")]) == after.signer_id
    assert after.signed_by(b"m", [signature]) == before.signer_id


def test_after_a_rotation_the_new_key_wraps_and_the_old_one_opens(ring: pathlib.Path) -> None:
    before = KeyRing.load(ring)
    wrapped = before.wrap(b"k" * 32, context=b"c")

    rotate(ring, signing=False)

    after = KeyRing.load(ring)
    assert after.unwrap(wrapped, context=b"c", where="here") == b"k" * 32
    new = after.wrap(b"k" * 32, context=b"c")
    assert [entry.recipient for entry in new] == [after.recipients[0].id]
    assert after.recipients[0].id != before.recipients[0].id


def test_a_private_key_that_signs_no_more_is_removed(ring: pathlib.Path) -> None:
    rotate(ring)

    assert "signing.pem" not in names(ring)
    assert sum(name.startswith("signing-") for name in names(ring)) == 1


def test_rotates_again_and_again(ring: pathlib.Path) -> None:
    signatures = []
    for _ in range(4):
        signatures.append(KeyRing.load(ring).sign(b"m"))
        rotate(ring)

    last = KeyRing.load(ring)
    assert len(last.verifiers) == 5
    assert len(last.retired) == 4
    assert all(last.signed_by(b"m", [one]) for one in signatures)


def test_a_recovery_key_stays_when_keys_are_rotated(
    tmp_path: pathlib.Path, safe: pathlib.Path
) -> None:
    KeyRing.create(tmp_path / "r", recovery=[safe])

    rotate(tmp_path / "r")

    places = [part.place for part in Kept.load(tmp_path / "r").parts() if part.state == "current"]
    assert "safe.pub.pem" in places


def test_the_new_signing_key_is_under_the_passphrase_of_the_old(tmp_path: pathlib.Path) -> None:
    phrase = Secret(b"three dates")
    KeyRing.create(tmp_path / "r", passphrase=phrase)

    care.rotate(Kept.load(tmp_path / "r", passphrase=phrase), signing=True, wrapping=False)

    (new,) = (tmp_path / "r").glob("signing-*.pem")
    assert b"ENCRYPTED" in new.read_bytes()
    assert KeyRing.load(tmp_path / "r", passphrase=phrase).signer is not None


@pytest.mark.parametrize("given", [None, Secret(b"two dates")], ids=["none", "wrong"])
def test_without_the_passphrase_nothing_is_rotated(
    tmp_path: pathlib.Path, given: Secret | None
) -> None:
    KeyRing.create(tmp_path / "r", passphrase=Secret(b"three dates"))
    before = names(tmp_path / "r")

    with pytest.raises(UserError, match=r"signing\.pem: expected"):
        care.rotate(Kept.load(tmp_path / "r", passphrase=given), signing=True, wrapping=True)

    assert names(tmp_path / "r") == before


def test_a_ring_that_only_opens_has_no_signing_key_to_rotate(
    ring: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    care.share(Kept.load(ring), tmp_path / "pod")

    with pytest.raises(UserError, match="not in a file here"):
        rotate(tmp_path / "pod", wrapping=False)


class Killed(BaseException):
    pass


def killed_before(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let the process end before the file operation of that number."""
    left = iter(range(number))

    def dying(do: Callable[..., object]) -> Callable[..., object]:
        def done(*arguments: object, **named: object) -> object:
            if next(left, None) is None:
                raise Killed
            return do(*arguments, **named)

        return done

    for name in ("open", "replace", "fsync", "unlink"):
        monkeypatch.setattr(os, name, dying(getattr(os, name)))


def test_a_rotation_killed_anywhere_leaves_the_ring_before_or_after(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, number = set(), 0
    while True:
        folder = tmp_path / str(number)
        before = KeyRing.create(folder)
        kept = Kept.load(folder)
        with monkeypatch.context() as patched:
            killed_before(patched, number)
            try:
                care.rotate(kept, signing=True, wrapping=True)
                break
            except Killed:
                pass
        after = KeyRing.load(folder)
        seen.add(len(after.verifiers))
        assert after.signed_by(b"m", [after.sign(b"m")]) == after.signer_id
        assert after.signed_by(b"m", [before.sign(b"m")]) == before.signer_id
        assert len(after.retired) == len(after.verifiers) - 1
        rotate(folder)
        number += 1

    assert number > 9
    assert seen == {1, 2}


def test_of_two_who_change_a_ring_the_second_is_told(ring: pathlib.Path) -> None:
    seen = Kept.load(ring)
    rotate(ring)

    with pytest.raises(UserError, match="changed the ring meanwhile") as told:
        care.rotate(seen, signing=True, wrapping=True)

    assert told.value.code == "key-ring-raced"


# revoke


def test_a_revoked_verifier_vouches_for_nothing_and_the_reason_is_told(
    ring: pathlib.Path,
) -> None:
    before = KeyRing.load(ring)
    signature = before.sign(b"m")
    rotate(ring, wrapping=False)

    done = revoke(ring, before.signer_id[:10], reason="a laptop was stolen")

    assert done.state == "revoked: a laptop was stolen"
    assert KeyRing.load(ring).revoked(before.signer_id)
    with pytest.raises(Exception, match="revoked: a laptop was stolen"):
        KeyRing.load(ring).signed_by(b"m", [signature])


def test_the_first_reason_stays(ring: pathlib.Path) -> None:
    before = KeyRing.load(ring)
    rotate(ring, wrapping=False)
    revoke(ring, before.signer_id, reason="first")

    assert revoke(ring, before.signer_id, reason="second").state == "revoked: first"


def test_the_key_that_signs_is_not_revoked(ring: pathlib.Path) -> None:
    with pytest.raises(UserError, match="rotate --signing") as refused:
        revoke(ring, KeyRing.load(ring).signer_id)

    assert refused.value.code == "key-is-the-last"


@pytest.mark.parametrize("everywhere", [False, True])
def test_the_last_recipient_stays(ring: pathlib.Path, everywhere: bool) -> None:
    with pytest.raises(UserError, match="rotate --wrapping") as refused:
        revoke(ring, KeyRing.load(ring).recipients[0].id, everywhere=everywhere)

    assert refused.value.code == "key-is-the-last"
    assert KeyRing.load(ring).recipients


def test_a_revoked_recipient_is_retired_and_opens_what_it_could(
    ring: pathlib.Path, tmp_path: pathlib.Path, safe: pathlib.Path
) -> None:
    made = KeyRing.create(tmp_path / "r", recovery=[safe])
    wrapped = made.wrap(b"k" * 32, context=b"c")

    done = revoke(tmp_path / "r", made.recipients[0].id)

    after = KeyRing.load(tmp_path / "r")
    assert done.state == "retired"
    assert [one.id for one in after.recipients] == [made.recipients[1].id]
    assert after.unwrap(wrapped, context=b"c", where="here") == b"k" * 32


def test_a_recipient_with_releases_left_is_not_removed(ring: pathlib.Path) -> None:
    old = KeyRing.load(ring).recipients[0].id
    rotate(ring, signing=False)

    with pytest.raises(UserError, match="3 releases are wrapped for it") as refused:
        revoke(ring, old, everywhere=True, left=3)

    assert refused.value.code == "key-in-use"
    assert revoke(ring, old, everywhere=True).state == "removed"
    assert KeyRing.load(ring).retired == ()


@pytest.mark.parametrize("name", ["", "zzzz"])
def test_says_which_keys_there_are(ring: pathlib.Path, name: str) -> None:
    with pytest.raises(UserError, match=KeyRing.load(ring).recipients[0].id) as refused:
        revoke(ring, name)

    assert refused.value.code == "key-unknown"


# share


def test_a_pod_gets_all_that_opens_and_nothing_that_signs_or_recovers(
    tmp_path: pathlib.Path, safe: pathlib.Path
) -> None:
    made = KeyRing.create(tmp_path / "r", recovery=[safe])
    wrapped, signature = made.wrap(b"k" * 32, context=b"c"), made.sign(b"m")
    rotate(tmp_path / "r")
    rotate(tmp_path / "r")
    revoke(tmp_path / "r", made.signer_id, reason="stolen")

    care.share(Kept.load(tmp_path / "r"), tmp_path / "pod")

    pod, site = KeyRing.load(tmp_path / "pod"), KeyRing.load(tmp_path / "r")
    assert [one.id for one in pod.verifiers] == [one.id for one in site.verifiers]
    assert pod.unwrap(wrapped, context=b"c", where="here") == b"k" * 32
    assert pod.signed_by(b"n", [site.sign(b"n")]) == site.signer_id
    with pytest.raises(Exception, match="revoked: stolen"):
        pod.signed_by(b"m", [signature])
    assert not [name for name in names(tmp_path / "pod") if "signing" in name or "safe" in name]


def test_a_private_recovery_key_of_the_ring_stays_there(
    ring: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    KeyRing.create(tmp_path / "safe")
    (tmp_path / "safe/signing.pem").rename(ring / "recovery.pem")
    kept = Kept.load(ring)
    both = (*kept.layout.recipients, Named("recovery.pem"))
    (ring / "ring.yaml").write_bytes(replace(kept.layout, recipients=both).encode())

    care.share(Kept.load(ring), tmp_path / "pod")

    assert names(tmp_path / "pod") == {"verify.pem", "wrapping.key"}
    assert len(KeyRing.load(ring).recipients) == 2


def test_a_simple_ring_is_shared_without_a_layout(
    ring: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    care.share(Kept.load(ring), tmp_path / "pod")

    assert names(tmp_path / "pod") == {"verify.pem", "wrapping.key"}


def test_a_ring_that_only_recovery_opens_is_not_shared(
    ring: pathlib.Path, tmp_path: pathlib.Path, safe: pathlib.Path
) -> None:
    safe.rename(ring / "safe.pub.pem")
    layout = replace(Kept.load(ring).layout, recipients=(Named("safe.pub.pem"),))
    (ring / "ring.yaml").write_bytes(layout.encode())

    with pytest.raises(UserError, match="nobody but recovery keys opens"):
        care.share(Kept.load(ring), tmp_path / "pod")

    assert not (tmp_path / "pod").exists()


def test_nothing_is_shared_over_another_ring(ring: pathlib.Path, tmp_path: pathlib.Path) -> None:
    KeyRing.create(tmp_path / "pod")
    before = (tmp_path / "pod/wrapping.key").read_bytes()

    with pytest.raises(UserError, match="already holds a key ring"):
        care.share(Kept.load(ring), tmp_path / "pod")

    assert (tmp_path / "pod/wrapping.key").read_bytes() == before


def test_a_ring_in_a_secret_is_changed_where_its_folder_is() -> None:
    with pytest.raises(UserError, match="expected the folder of a key ring"):
        Kept.from_environment({"FALAJ_KEYS": "kubernetes://falaj/keys"})
