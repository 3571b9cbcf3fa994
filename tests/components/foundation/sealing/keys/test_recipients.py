"""Several who open, some retired, some away; and verifiers that were revoked."""

import pathlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from components.foundation.errors import InfrastructureError, Refused, UserError
from components.foundation.sealing import channel, openssf, release, wrapped
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.keys.files import WrappingKey
from components.foundation.sealing.keys.secret import Secret
from components.foundation.storage import Address
from tests.components.foundation.sealing.memory import Memory

KEY = b"k" * 32
VECTORS = pathlib.Path(__file__).parents[1] / "vectors"


@dataclass(frozen=True, slots=True)
class Away:
    """A recipient whose keeper cannot be reached."""

    id: str = "away"
    algorithm: str = "A"
    opens: bool = True

    def wrap(self, key: bytes, *, context: bytes) -> bytes:
        return b"wrapped"

    def unwrap(self, wrapped: bytes, *, context: bytes, where: str) -> bytes:
        raise InfrastructureError("the keeper is away", code="vault-failed")


@pytest.fixture
def ring(tmp_path: pathlib.Path) -> KeyRing:
    return KeyRing.create(tmp_path / "ring")


def unwrap(opener: KeyRing, made: KeyRing) -> bytes:
    return opener.unwrap(made.wrap(KEY, context=b"c"), context=b"c", where="here")


# several recipients


@pytest.fixture
def recovered(tmp_path: pathlib.Path) -> KeyRing:
    """A ring that wraps for a recovery key as well, whose private half is in `safe`."""
    KeyRing.create(tmp_path / "safe")
    public = (tmp_path / "safe/verify.pem").rename(tmp_path / "safe/safe.pub.pem")
    return KeyRing.create(tmp_path / "site", recovery=[public])


@pytest.fixture
def in_the_safe(tmp_path: pathlib.Path, recovered: KeyRing) -> KeyRing:
    """The ring of whoever holds the recovery key, on the day it is needed."""
    safe = tmp_path / "safe"
    (safe / "signing.pem").rename(safe / "recovery.pem")
    (safe / "verify.pem").write_bytes((tmp_path / "site/verify.pem").read_bytes())
    (safe / "ring.yaml").write_text(
        "format: 1\nverifiers: [{file: verify.pem}]\nrecipients: [{key: recovery.pem}]\n"
    )
    return KeyRing.load(safe)


def test_a_release_of_a_lost_wrapping_key_opens_with_the_recovery_key(
    recovered: KeyRing, in_the_safe: KeyRing, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain/model.onnx").write_bytes(b"weights")
    memory = Memory()
    made = release.seal(tmp_path / "plain", model="delays", facts={}, store=memory, keys=recovered)

    release.unseal(made.uri, tmp_path / "out", store=memory, keys=in_the_safe)

    assert (tmp_path / "out/model.onnx").read_bytes() == b"weights"
    listed = wrapped.recipients(made.location.address, store=memory)
    assert listed == [one.id for one in recovered.recipients]


def test_a_recovery_key_opens_for_its_use_only(recovered: KeyRing, in_the_safe: KeyRing) -> None:
    entries = recovered.wrap(KEY, context=b"this release")

    with pytest.raises(Refused, match="not wrapped for this release"):
        in_the_safe.unwrap(entries, context=b"another", where="here")


def test_who_has_only_the_public_half_opens_nothing(recovered: KeyRing) -> None:
    public = replace(recovered, recipients=recovered.recipients[1:])

    assert not public.recipients[0].opens
    with pytest.raises(Refused, match="our wrapping key is nobody"):
        unwrap(public, recovered)


def test_a_recovery_key_in_the_ring_is_refused_as_what_it_is_not(tmp_path: pathlib.Path) -> None:
    KeyRing.create(tmp_path / "safe")

    with pytest.raises(UserError, match=r"expected a public key in a file \*\.pub\.pem"):
        KeyRing.create(tmp_path / "r", recovery=[tmp_path / "safe/signing.pem"])

    assert not (tmp_path / "r").exists()


# retired, and away


def test_a_retired_recipient_opens_what_it_could_and_gets_nothing_new(ring: KeyRing) -> None:
    new = WrappingKey(b"n" * 32)
    today = KeyRing(ring.verifiers, (new,), retired=ring.recipients)

    assert unwrap(today, ring) == KEY
    assert [entry.recipient for entry in today.wrap(KEY, context=b"c")] == [new.id]


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)], ids=["first", "last"])
def test_where_one_keeper_is_away_another_opens(ring: KeyRing, order: slice) -> None:
    both = replace(ring, recipients=(Away(), *ring.recipients)[order])

    assert unwrap(both, both) == KEY


def test_where_all_keepers_are_away_it_may_work_later(ring: KeyRing) -> None:
    none = replace(ring, recipients=(Away(), Away("far")))

    with pytest.raises(InfrastructureError, match="the keeper is away"):
        unwrap(none, none)


def test_a_refusal_of_the_first_is_not_passed_over(ring: KeyRing) -> None:
    """Only a keeper that is away is: a changed entry must not go unseen."""
    other = WrappingKey(b"o" * 32)
    both = replace(ring, recipients=(*ring.recipients, other))
    first, second = both.wrap(KEY, context=b"c")
    changed = [replace(first, key=first.key[:-1] + b"?"), second]

    with pytest.raises(Refused, match="not wrapped for this release"):
        both.unwrap(changed, context=b"c", where="here")


# what older versions wrote


def test_wrapped_keys_of_format_1_open() -> None:
    memory = Memory.of_folder(VECTORS / "release2", "falaj-models")
    (address,) = (one for one in memory.objects if one.key.endswith("keys.json"))
    uri = f"sealed+s3://falaj-models/{address.key.removesuffix('/keys.json')}"
    files = {path.name: path.read_bytes() for path in (VECTORS / "keys").iterdir()}

    assert b'"format":1' in memory.objects[address]
    ring = KeyRing.read(InMemory(files))
    whole = release.read_file(uri, "contract.yaml", store=memory, keys=ring)
    assert whole == (VECTORS / "plain/contract.yaml").read_bytes()


@dataclass(frozen=True, slots=True)
class InMemory:
    """The files of a ring, whatever the modes of a checkout are."""

    files: dict[str, bytes]

    def where(self, name: str) -> str:
        return name

    def exists(self, name: str) -> bool:
        return name in self.files

    def read(self, name: str) -> bytes:
        return self.files[name]

    def read_secret(self, name: str) -> bytes:
        return self.files[name]


# revoked verifiers


@pytest.fixture
def revoked(ring: KeyRing) -> KeyRing:
    """The ring of whoever has revoked the one that signs."""
    return replace(ring, verifiers=(replace(ring.verifiers[0], revoked="stolen"),))


def test_nothing_that_a_revoked_key_signed_is_believed(
    ring: KeyRing, revoked: KeyRing, tmp_path: pathlib.Path
) -> None:
    memory, plain = Memory(), tmp_path / "plain"
    plain.mkdir()
    (plain / "model.onnx").write_bytes(b"weights")
    made = release.seal(plain, model="delays", facts={}, store=memory, keys=ring)
    channel.move("delays", made.uri, store=memory, keys=ring, reason="a test")
    signature = memory.objects[made.location.address / "model.sig"]

    looks: list[Callable[[], object]] = [
        lambda: release.read(made.location, store=memory, keys=revoked),
        lambda: channel.current("delays", store=memory, keys=revoked),
        lambda: openssf.signed(signature, keys=revoked, where="model.sig"),
    ]
    for look in looks:
        with pytest.raises(Refused, match="was revoked: stolen") as refused:
            look()
        assert refused.value.code == "signer-revoked"


def test_a_signature_of_one_who_is_not_revoked_beside_is_enough(
    ring: KeyRing, revoked: KeyRing, tmp_path: pathlib.Path
) -> None:
    other = KeyRing.create(tmp_path / "other")
    both = replace(revoked, verifiers=(*revoked.verifiers, *other.verifiers))
    signatures = [ring.sign(b"m"), other.sign(b"m")]

    assert both.signed_by(b"m", signatures) == other.signer_id


# a passphrase for a key that is under none


def test_refuses_a_key_in_the_clear_where_a_passphrase_is_given(tmp_path: pathlib.Path) -> None:
    KeyRing.create(tmp_path)

    with pytest.raises(UserError, match="is under no passphrase, though one is given") as refused:
        KeyRing.load(tmp_path, passphrase=Secret(b"three dates"))

    assert refused.value.code == "key-in-the-clear"
    assert "dates" not in str(refused.value)


def test_names_that_nobody_signed_are_shown_in_bounds(ring: KeyRing) -> None:
    other = [WrappingKey(bytes([n]) * 32) for n in range(60)]
    entries = KeyRing(ring.verifiers, tuple(other)).wrap(KEY, context=b"c")

    with pytest.raises(Refused, match="and 57 more") as refused:
        ring.unwrap(entries, context=b"c", where=str(Address("b", "k")))

    assert len(str(refused.value)) < 300
