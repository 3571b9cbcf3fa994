"""Keys in AWS KMS, against a stand-in."""

import pathlib
import sys
from collections.abc import Callable, Iterator

import pytest
import yaml

from components.foundation.errors import InfrastructureError, Refused, UserError
from components.foundation.sealing import release, rewrap
from components.foundation.sealing.keys import KeyRing, Verifier, awskms, kms
from components.foundation.sealing.keys.awskms import KmsRecipient
from components.foundation.sealing.keys.files import write
from components.foundation.storage import ObjectStore
from tests.components.foundation.sealing.keys import awskms_standin
from tests.components.foundation.sealing.keys.awskms_standin import ACCESS_KEY, REGION, Key, Service

KEY = bytes(range(32))
CONTEXT = b"falaj release key 1\x00sha256:00"
WHERE = "s3://falaj-models/m/1/keys.json"


@pytest.fixture
def service() -> Iterator[Service]:
    with awskms_standin.running() as running:
        yield running


@pytest.fixture
def identity(tmp_path: pathlib.Path) -> dict[str, str]:
    """What says who we are."""
    file = tmp_path / "credentials"
    write(file, f"[default]\naws_access_key_id={ACCESS_KEY}\naws_secret_access_key=s".encode())
    return {"AWS_SHARED_CREDENTIALS_FILE": str(file), "AWS_REGION": REGION}


def opened(one: KmsRecipient, wrapped: bytes, context: bytes = CONTEXT) -> bytes:
    return one.unwrap(wrapped, context=context, where=WHERE)


@pytest.fixture
def wrapping(service: Service, identity: dict[str, str]) -> KmsRecipient:
    return awskms.recipient(service.name(service.wrapping()), identity)


def test_what_it_signs_its_public_key_verifies(service: Service, identity: dict[str, str]) -> None:
    key = service.signing()

    signature = awskms.signer(service.name(key), identity).sign(b"message")

    verifier = Verifier(key.private.public_key())
    assert verifier.verifies(b"message", signature)
    assert not verifier.verifies(b"another", signature)


def test_what_is_wrapped_opens(wrapping: KmsRecipient) -> None:
    wrapped = wrapping.wrap(KEY, context=CONTEXT)

    assert opened(wrapping, wrapped) == KEY
    assert KEY not in wrapped


def test_the_use_is_bound_to_what_is_wrapped(wrapping: KmsRecipient) -> None:
    wrapped = wrapping.wrap(KEY, context=CONTEXT)

    with pytest.raises(Refused, match="not wrapped for this release"):
        opened(wrapping, wrapped, CONTEXT + b"1")


@pytest.mark.parametrize("at", [0, 20, -1], ids=["key", "nonce", "tag"])
def test_a_changed_ciphertext_is_refused(wrapping: KmsRecipient, at: int) -> None:
    wrapped = bytearray(wrapping.wrap(KEY, context=CONTEXT))
    wrapped[at] ^= 1

    with pytest.raises(Refused) as raised:
        opened(wrapping, bytes(wrapped))

    assert raised.value.code == "wrapping-key-unknown"


def test_a_ciphertext_of_another_key_is_refused_though_we_may_use_that_key(
    service: Service, identity: dict[str, str], wrapping: KmsRecipient
) -> None:
    """KMS finds the key by the ciphertext unless told which one is meant."""
    another = awskms.recipient(service.name(service.wrapping()), identity)

    with pytest.raises(Refused, match="not wrapped for this release"):
        opened(wrapping, another.wrap(KEY, context=CONTEXT))


@pytest.mark.parametrize("size", [0, 6145, 1 << 20])
def test_what_kms_would_not_take_is_refused_without_asking(
    service: Service, wrapping: KmsRecipient, size: int
) -> None:
    with pytest.raises(Refused):
        opened(wrapping, bytes(size))

    assert service.asked == []


def test_a_long_context_is_bound_by_its_digest(service: Service, wrapping: KmsRecipient) -> None:
    long = b"\xff" * 100_000

    assert opened(wrapping, wrapping.wrap(KEY, context=long), long) == KEY
    [shown] = {tuple(asked["EncryptionContext"].values()) for asked in service.asked}
    assert len(shown[0]) == 64


def test_a_recipient_is_named_alike_through_every_endpoint() -> None:
    arn = f"arn:aws:kms:{REGION}:111122223333:key/abc"
    names = [f"awskms:///{arn}", f"awskms://127.0.0.1:4566/{arn}", f"awskms://kms.example/{arn}"]

    assert {awskms.recipient(name, {}).id for name in names} == {f"awskms:///{arn}"}


def test_an_alias_opens_while_it_stays_on_its_key(
    service: Service, identity: dict[str, str]
) -> None:
    service.wrapping("releases")
    one = awskms.recipient(service.name("alias/releases"), identity)
    wrapped = one.wrap(KEY, context=CONTEXT)
    assert opened(one, wrapped) == KEY

    service.wrapping("releases")  # the alias moves

    with pytest.raises(Refused):
        opened(one, wrapped)


# What it says no to.


@pytest.mark.parametrize("call", ["Encrypt", "Decrypt", "Sign"])
def test_whoever_may_not_is_told_what(
    service: Service, identity: dict[str, str], wrapping: KmsRecipient, call: str
) -> None:
    wrapped = wrapping.wrap(KEY, context=CONTEXT)
    signer = awskms.signer(service.name(service.signing()), identity)
    service.denied = {call}
    asking: dict[str, Callable[[], bytes]] = {
        "Encrypt": lambda: wrapping.wrap(KEY, context=CONTEXT),
        "Decrypt": lambda: opened(wrapping, wrapped),
        "Sign": lambda: signer.sign(b"m"),
    }

    with pytest.raises(UserError, match=f"perform: kms:{call}") as raised:
        asking[call]()

    assert raised.value.code == "kms-denied"


def _missing(service: Service) -> Key:
    return Key("ENCRYPT_DECRYPT")


def _disabled(service: Service) -> Key:
    key = service.wrapping()
    key.enabled = False
    return key


def _of_signing(service: Service) -> Key:
    return service.signing()


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (_missing, "NotFoundException"),
        (_disabled, "DisabledException"),
        (_of_signing, "InvalidKeyUsageException"),
    ],
)
def test_a_key_that_cannot_wrap_is_said_to_be_unfit(
    service: Service, identity: dict[str, str], made: Callable[[Service], Key], said: str
) -> None:
    name = service.name(made(service))

    with pytest.raises(UserError, match=said) as raised:
        awskms.recipient(name, identity).wrap(KEY, context=CONTEXT)

    assert raised.value.code == "kms-key-unfit"


def test_a_key_that_wraps_signs_nothing(service: Service, identity: dict[str, str]) -> None:
    with pytest.raises(UserError, match="InvalidKeyUsage"):
        awskms.signer(service.name(service.wrapping()), identity).sign(b"m")


# With a real release.


@pytest.fixture
def ring(service: Service, tmp_path: pathlib.Path) -> pathlib.Path:
    """A ring whose signer is in KMS, and that wraps for a file and for KMS."""
    path = tmp_path / "ring"
    path.mkdir()
    signing = service.signing()
    write(path / "verify.pem", signing.pem)
    write(path / "wrapping.key", KEY.hex().encode())
    wrapping = service.name(service.wrapping("releases"))
    lay(path, service.name(signing), "wrapping.key", wrapping)
    return path


def lay(ring: pathlib.Path, signer: str, *recipients: str, retired: str = "") -> None:
    gone = [{"key": retired, "retired": True}] if retired else []
    layout = {
        "format": 1,
        "signer": signer,
        "verifiers": [{"file": "verify.pem"}],
        "recipients": [*({"key": one} for one in recipients), *gone],
    }
    (ring / "ring.yaml").write_text(yaml.safe_dump(layout))


def in_kms(service: Service) -> str:
    return service.name(service.keys["alias/releases"])


def test_a_release_opens_by_kms_and_by_file_alone(
    ring: pathlib.Path,
    service: Service,
    identity: dict[str, str],
    store: ObjectStore,
    folder: pathlib.Path,
    unique: str,
) -> None:
    both = KeyRing.load(ring, environment=identity)
    sealed = release.seal(folder, model=unique, facts={}, store=store, keys=both)

    for number, alone in enumerate((in_kms(service), "wrapping.key")):
        lay(ring, "", alone)
        out = folder.parent / f"out-{number}"
        keys = KeyRing.load(ring, environment=identity)
        release.unseal(sealed.uri, out, store=store, keys=keys)
        assert (out / "model.onnx").read_bytes() == (folder / "model.onnx").read_bytes()


def test_while_kms_is_away_the_file_opens(
    ring: pathlib.Path,
    service: Service,
    identity: dict[str, str],
    store: ObjectStore,
    folder: pathlib.Path,
    unique: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = KeyRing.load(ring, environment=identity)
    sealed = release.seal(folder, model=unique, facts={}, store=store, keys=keys)
    arn = service.keys["alias/releases"].arn
    lay(ring, "", f"awskms://127.0.0.1:9/{arn}", "wrapping.key")  # where nothing listens
    monkeypatch.setattr(kms, "_TRIES", 1)

    away = KeyRing.load(ring, environment=identity)
    release.unseal(sealed.uri, folder.parent / "out", store=store, keys=away)

    with pytest.raises(InfrastructureError):
        away.recipients[0].wrap(KEY, context=CONTEXT)
    assert (folder.parent / "out/model.onnx").exists()


def test_releases_are_wrapped_anew_for_kms_alone(
    ring: pathlib.Path,
    service: Service,
    identity: dict[str, str],
    store: ObjectStore,
    folder: pathlib.Path,
    unique: str,
) -> None:
    signer = yaml.safe_load((ring / "ring.yaml").read_text())["signer"]
    lay(ring, signer, "wrapping.key")
    old = KeyRing.load(ring, environment=identity)
    sealed = release.seal(folder, model=unique, facts={}, store=store, keys=old)
    lay(ring, "", in_kms(service), retired="wrapping.key")

    rewrap.rewrap(sealed.uri, store=store, keys=KeyRing.load(ring, environment=identity))

    lay(ring, "", in_kms(service))
    new = KeyRing.load(ring, environment=identity)
    release.unseal(sealed.uri, folder.parent / "out", store=store, keys=new)
    assert (folder.parent / "out/model.onnx").exists()
    with pytest.raises(Refused, match="wrapped for"):
        release.unseal(sealed.uri, folder.parent / "no", store=store, keys=old)


def test_without_the_library_the_ring_says_what_to_install(
    ring: pathlib.Path, identity: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("awskms", "kms"):
        monkeypatch.delitem(sys.modules, f"components.foundation.sealing.keys.{module}")
        monkeypatch.delattr(f"components.foundation.sealing.keys.{module}")
    monkeypatch.setitem(sys.modules, "botocore", None)
    monkeypatch.setitem(sys.modules, "botocore.session", None)

    with pytest.raises(UserError, match=r"falaj\[awskms\]"):
        KeyRing.load(ring, environment=identity)
