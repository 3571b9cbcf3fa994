"""Keys in transit, on a real OpenBao server."""

import pathlib
import sys

import pytest
import yaml
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from components.foundation.errors import Refused, UserError
from components.foundation.sealing import release
from components.foundation.sealing.keys import KeyRing, Verifier, hashivault
from components.foundation.sealing.keys.files import WrappingKey, write
from components.foundation.sealing.keys.hashivault import TransitRecipient
from components.foundation.sealing.rewrap import rewrap
from components.foundation.storage import ObjectStore
from tests.components.foundation.sealing.keys.openbao import TRANSIT, OpenBao, flipped

KEY = bytes(range(32))
CONTEXT = b"falaj release key 1\x00sha256:00"
AEAD = ["aes256-gcm96", "chacha20-poly1305"]


@pytest.fixture
def wrapping(bao: OpenBao) -> TransitRecipient:
    return recipient(bao, bao.key("aes256-gcm96"))


def recipient(bao: OpenBao, key: str) -> TransitRecipient:
    return hashivault.recipient(f"hashivault://{key}", bao.environment)


def opened(one: TransitRecipient, wrapped: bytes, context: bytes = CONTEXT) -> bytes:
    return one.unwrap(wrapped, context=context, where="s3://falaj-models/m/1/keys.json")


def test_what_it_signs_its_public_key_verifies(bao: OpenBao) -> None:
    key = bao.key("ecdsa-p256")

    signature = hashivault.signer(f"hashivault://{key}", bao.environment).sign(b"message")

    public = load_pem_public_key(bao.public(key).encode())
    verifier = Verifier(public)  # type: ignore[arg-type]  # transit made it on P-256
    assert verifier.verifies(b"message", signature)
    assert not verifier.verifies(b"another", signature)


@pytest.mark.parametrize("kind", AEAD)
def test_what_is_wrapped_opens(bao: OpenBao, kind: str) -> None:
    one = recipient(bao, bao.key(kind))

    wrapped = one.wrap(KEY, context=CONTEXT)

    assert opened(one, wrapped) == KEY
    assert KEY not in wrapped


def test_the_use_is_bound_to_what_is_wrapped(wrapping: TransitRecipient) -> None:
    wrapped = wrapping.wrap(KEY, context=CONTEXT)

    with pytest.raises(Refused, match="not wrapped for this release"):
        opened(wrapping, wrapped, CONTEXT + b"1")


def test_a_changed_ciphertext_is_refused(wrapping: TransitRecipient) -> None:
    wrapped = wrapping.wrap(KEY, context=CONTEXT)

    with pytest.raises(Refused) as raised:
        opened(wrapping, flipped(wrapped))

    assert raised.value.code == "wrapping-key-unknown"


def test_another_key_opens_nothing(bao: OpenBao, wrapping: TransitRecipient) -> None:
    wrapped = wrapping.wrap(KEY, context=CONTEXT)

    with pytest.raises(Refused, match="not wrapped for this release"):
        opened(recipient(bao, bao.key("aes256-gcm96")), wrapped)


def test_a_version_that_the_server_never_had_is_refused(wrapping: TransitRecipient) -> None:
    wrapped = wrapping.wrap(KEY, context=CONTEXT)

    with pytest.raises(Refused):
        opened(wrapping, wrapped.replace(b":v1:", b":v7:"))


def test_version_0_is_refused_though_transit_takes_it_for_1(wrapping: TransitRecipient) -> None:
    wrapped = wrapping.wrap(KEY, context=CONTEXT)

    with pytest.raises(Refused):
        opened(wrapping, wrapped.replace(b":v1:", b":v0:"))


@pytest.mark.parametrize(
    "wrapped",
    [b"", b"vault:v1:", b"vault:v1:!!!!", b"vault:v1:QQ==\n", b"\xff", b"vault:v1:" + b"A" * 2000],
    ids=["nothing", "no-text", "no-base64", "a-line-more", "raw", "long"],
)  # fmt: skip
def test_what_is_no_ciphertext_is_refused_without_asking(wrapped: bytes) -> None:
    nobody = {"VAULT_ADDR": "http://127.0.0.1:9"}  # where nothing listens

    with pytest.raises(Refused):
        opened(hashivault.recipient("hashivault://k", nobody), wrapped)


def test_what_was_wrapped_before_a_rotation_opens_and_is_wrapped_anew(
    bao: OpenBao, wrapping: TransitRecipient
) -> None:
    old = wrapping.wrap(KEY, context=CONTEXT)
    bao.admin.secrets.transit.rotate_key(wrapping.key, mount_point=TRANSIT)

    new = wrapping.wrap(opened(wrapping, old), context=CONTEXT)

    assert old.startswith(b"vault:v1:")
    assert new.startswith(b"vault:v2:")
    assert opened(wrapping, new) == opened(wrapping, old) == KEY


def test_a_version_that_the_server_has_closed_is_said_to_be(
    bao: OpenBao, wrapping: TransitRecipient
) -> None:
    old = wrapping.wrap(KEY, context=CONTEXT)
    bao.admin.secrets.transit.rotate_key(wrapping.key, mount_point=TRANSIT)
    bao.admin.secrets.transit.update_key_configuration(
        wrapping.key, min_decryption_version=2, mount_point=TRANSIT
    )

    with pytest.raises(UserError, match="too old") as raised:
        opened(wrapping, old)

    assert raised.value.code == "vault-key-unfit"


@pytest.mark.parametrize("kind", ["ecdsa-p256", "rsa-2048"])
def test_a_key_that_cannot_bind_a_use_wraps_nothing(bao: OpenBao, kind: str) -> None:
    with pytest.raises(UserError, match="non-AEAD") as raised:
        recipient(bao, bao.key(kind)).wrap(KEY, context=CONTEXT)

    assert raised.value.code == "vault-key-unfit"


def test_an_encryption_key_signs_nothing(bao: OpenBao) -> None:
    key = bao.key("aes256-gcm96")

    with pytest.raises(UserError, match="does not support signing"):
        hashivault.signer(f"hashivault://{key}", bao.environment).sign(b"m")


def test_a_misspelt_key_is_not_made(bao: OpenBao) -> None:
    """Transit makes a key that is missing for whoever may create it; update is enough for us."""
    path = f"{TRANSIT}/encrypt/misspelt"

    with pytest.raises(UserError) as raised:
        hashivault.recipient("hashivault://misspelt", bao.allowing(path)).wrap(KEY, context=CONTEXT)

    assert raised.value.code == "vault-denied"


def test_sealing_needs_no_right_to_open(bao: OpenBao, wrapping: TransitRecipient) -> None:
    sealer = bao.allowing(f"{TRANSIT}/encrypt/{wrapping.key}")
    one = hashivault.recipient(wrapping.id, sealer)

    wrapped = one.wrap(KEY, context=CONTEXT)

    with pytest.raises(UserError, match="permission denied"):
        opened(one, wrapped)
    assert opened(wrapping, wrapped) == KEY


@pytest.mark.parametrize(
    "name", ["hashivault://", "hashivault:k", "hashivault://a/b", "hashivault://-a", "hashivault://a?b"]
)  # fmt: skip
def test_refuses_a_name_that_is_no_key(name: str) -> None:
    with pytest.raises(UserError, match="expected hashivault://KEY"):
        hashivault.signer(name, {"VAULT_ADDR": "https://vault:8200"})


# With a real release.


@pytest.fixture
def ring(bao: OpenBao, tmp_path: pathlib.Path) -> pathlib.Path:
    """A ring whose signer is in transit, and that wraps for a file and for transit."""
    path = tmp_path / "ring"
    path.mkdir()
    signing = bao.key("ecdsa-p256")
    write(path / "verify.pem", bao.public(signing).encode())
    write(path / "wrapping.key", KEY.hex().encode())
    wrapping = f"hashivault://{bao.key('aes256-gcm96')}"
    lay(path, f"hashivault://{signing}", wrapping, "wrapping.key")
    return path


def lay(ring: pathlib.Path, signer: str, *recipients: str) -> None:
    layout = {
        "format": 1,
        "signer": signer,
        "verifiers": [{"file": "verify.pem"}],
        "recipients": [{"key": one} for one in recipients],
    }
    (ring / "ring.yaml").write_text(yaml.safe_dump(layout))


def test_a_release_opens_by_transit_and_by_file_alone(
    ring: pathlib.Path, bao: OpenBao, store: ObjectStore, folder: pathlib.Path, unique: str
) -> None:
    both = KeyRing.load(ring, environment=bao.environment)
    transit, file = [recipient.id for recipient in both.recipients]

    sealed = release.seal(folder, model=unique, facts={}, store=store, keys=both)

    for alone in (transit, "wrapping.key"):
        lay(ring, "", alone)
        keys = KeyRing.load(ring, environment=bao.environment)
        out = folder.parent / f"out-{keys.recipients[0].id[-4:]}"
        release.unseal(sealed.uri, out, store=store, keys=keys)
        assert (out / "model.onnx").read_bytes() == (folder / "model.onnx").read_bytes()
    assert file == WrappingKey(KEY).id


def test_once_releases_are_wrapped_anew_the_old_version_may_close(
    ring: pathlib.Path, bao: OpenBao, store: ObjectStore, folder: pathlib.Path, unique: str
) -> None:
    keys = KeyRing.load(ring, environment=bao.environment)
    sealed = release.seal(folder, model=unique, facts={}, store=store, keys=keys)
    key, transit = keys.recipients[0].id.removeprefix("hashivault://"), bao.admin.secrets.transit
    transit.rotate_key(key, mount_point=TRANSIT)

    rewrapped = rewrap(sealed.uri, store=store, keys=keys)

    transit.update_key_configuration(key, min_decryption_version=2, mount_point=TRANSIT)
    lay(ring, "", f"hashivault://{key}")
    alone = KeyRing.load(ring, environment=bao.environment)
    release.unseal(sealed.uri, folder.parent / "out", store=store, keys=alone)
    assert rewrapped.before == rewrapped.after
    assert (folder.parent / "out/model.onnx").exists()


def test_while_vault_is_sealed_the_file_opens(
    ring: pathlib.Path, bao: OpenBao, store: ObjectStore, folder: pathlib.Path, unique: str
) -> None:
    keys = KeyRing.load(ring, environment=bao.environment)
    sealed = release.seal(folder, model=unique, facts={}, store=store, keys=keys)

    with bao.sealed():
        release.unseal(sealed.uri, folder.parent / "out", store=store, keys=keys)

    assert (folder.parent / "out/model.onnx").exists()


def test_after_the_signing_key_is_rotated_its_new_half_must_be_believed_first(
    ring: pathlib.Path, bao: OpenBao
) -> None:
    keys = KeyRing.load(ring, environment=bao.environment)
    assert keys.signer
    key = keys.signer.key  # type: ignore[attr-defined]  # a signer of transit
    bao.admin.secrets.transit.rotate_key(key, mount_point=TRANSIT)

    with pytest.raises(UserError, match="not the private half"):
        keys.sign(b"m")

    (ring / "verify.pem").write_text(bao.public(key))
    assert KeyRing.load(ring, environment=bao.environment).sign(b"m")


def test_without_the_library_the_ring_says_what_to_install(
    ring: pathlib.Path, bao: OpenBao, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("hashivault", "vault"):
        monkeypatch.delitem(sys.modules, f"components.foundation.sealing.keys.{module}")
    monkeypatch.delattr("components.foundation.sealing.keys.hashivault")
    monkeypatch.setitem(sys.modules, "hvac", None)

    with pytest.raises(UserError, match=r"falaj\[hashivault\]"):
        KeyRing.load(ring, environment=bao.environment)
