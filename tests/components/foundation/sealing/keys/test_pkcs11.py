"""Keys in a token, in SoftHSM."""

import concurrent.futures
import logging
import multiprocessing
import pathlib
import sys
import traceback

import pkcs11 as library
import pytest
import yaml
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pkcs11 import MechanismFlag

from components.foundation.errors import FalajError, InfrastructureError, Refused, UserError
from components.foundation.sealing import release, rewrap
from components.foundation.sealing.keys import KeyRing, Verifier, pkcs11
from components.foundation.sealing.keys.files import WrappingKey, write
from components.foundation.sealing.keys.pkcs11 import TokenRecipient
from components.foundation.storage import ObjectStore
from tests.components.foundation.sealing.keys import softhsm
from tests.components.foundation.sealing.keys.softhsm import PIN, SoftHsm

KEY = bytes(range(32))
CONTEXT = b"falaj release key 1\x00sha256:00"
WHERE = "s3://falaj-models/m/1/keys.json"


@pytest.fixture
def hsm(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> SoftHsm:
    """A token named falaj with a wrapping key."""
    folder = tmp_path / "hsm"
    folder.mkdir()
    monkeypatch.setenv("SOFTHSM2_CONF", str(folder / "conf"))
    made = softhsm.made(folder)
    made.initialise("falaj")
    made.wrapping()
    return made


def recipient(hsm: SoftHsm, key: str = "object=wrapping", **options: str) -> TokenRecipient:
    return pkcs11.recipient(hsm.uri(key, **options), {})


def opened(one: TokenRecipient, wrapped: bytes, context: bytes = CONTEXT) -> bytes:
    return one.unwrap(wrapped, context=context, where=WHERE)


def test_what_it_signs_its_public_key_verifies(hsm: SoftHsm) -> None:
    public = load_pem_public_key(hsm.signing())
    verifier = Verifier(public)  # type: ignore[arg-type]  # the token made it on P-256

    signatures = [pkcs11.signer(hsm.uri("object=signing"), {}).sign(b"message") for _ in range(9)]

    assert all(verifier.verifies(b"message", signature) for signature in signatures)
    assert not verifier.verifies(b"another", signatures[0])


def test_what_is_wrapped_opens(hsm: SoftHsm) -> None:
    wrapped = recipient(hsm).wrap(KEY, context=CONTEXT)

    assert opened(recipient(hsm), wrapped) == KEY
    assert KEY not in wrapped


def test_token_and_file_wrap_alike_under_the_same_key(hsm: SoftHsm) -> None:
    """A key may move into a token, and what was wrapped opens; so may one that was backed up."""
    hsm.put("known", KEY[::-1])
    token, file = recipient(hsm, "object=known"), WrappingKey(KEY[::-1])

    by_token, by_file = token.wrap(KEY, context=CONTEXT), file.wrap(KEY, context=CONTEXT)

    assert file.unwrap(by_token, context=CONTEXT, where=WHERE) == KEY
    assert opened(token, by_file) == KEY
    assert token.algorithm == file.algorithm


def test_the_use_is_bound_to_what_is_wrapped(hsm: SoftHsm) -> None:
    wrapped = recipient(hsm).wrap(KEY, context=CONTEXT)

    with pytest.raises(Refused, match="not wrapped for this release"):
        opened(recipient(hsm), wrapped, CONTEXT + b"1")


@pytest.mark.parametrize("at", [0, 12, 59], ids=["nonce", "ciphertext", "tag"])
def test_a_changed_ciphertext_is_refused(hsm: SoftHsm, at: int) -> None:
    wrapped = bytearray(recipient(hsm).wrap(KEY, context=CONTEXT))
    wrapped[at] ^= 1

    with pytest.raises(Refused) as raised:
        opened(recipient(hsm), bytes(wrapped))

    assert raised.value.code == "wrapping-key-unknown"


def test_another_key_opens_nothing(hsm: SoftHsm) -> None:
    hsm.wrapping("another")
    wrapped = recipient(hsm).wrap(KEY, context=CONTEXT)

    with pytest.raises(Refused, match="not wrapped for this release"):
        opened(recipient(hsm, "object=another"), wrapped)


@pytest.mark.parametrize("size", [0, 11, 12, 28, 59, 61, 1 << 20])
def test_another_length_is_refused_without_a_token(size: int) -> None:
    nobody = "pkcs11:token=t;object=o?module-path=/none.so&pin-source=/none"

    with pytest.raises(Refused):
        opened(pkcs11.recipient(nobody, {}), bytes(size))


def test_wraps_the_same_key_never_twice_alike(hsm: SoftHsm) -> None:
    one = recipient(hsm)

    assert len({one.wrap(KEY, context=CONTEXT)[:12] for _ in range(20)}) == 20


def test_a_key_is_found_by_its_id(hsm: SoftHsm) -> None:
    hsm.wrapping("twin", id=b"\x01")
    hsm.wrapping("twin", id=b"\x02")
    first, second = recipient(hsm, "id=%01"), recipient(hsm, "object=twin;id=%02")

    assert opened(first, first.wrap(KEY, context=CONTEXT)) == KEY
    with pytest.raises(Refused):
        opened(second, first.wrap(KEY, context=CONTEXT))
    with pytest.raises(UserError, match="more than once"):
        recipient(hsm, "object=twin").wrap(KEY, context=CONTEXT)


def test_no_token_is_needed_to_say_who_a_recipient_is(hsm: SoftHsm) -> None:
    with hsm.unplugged():
        assert recipient(hsm).id == "pkcs11:falaj/wrapping"


# What goes wrong there.


def test_a_wrong_pin_is_said_to_be(hsm: SoftHsm) -> None:
    hsm.pin.write_text("1234")

    with pytest.raises(UserError, match="does not let us in") as raised:
        recipient(hsm).wrap(KEY, context=CONTEXT)

    assert raised.value.code == "token-denied"
    assert str(hsm.pin) in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe"])
def test_a_file_that_holds_no_pin_is_said_to_be(hsm: SoftHsm, content: bytes) -> None:
    hsm.pin.write_bytes(content)

    with pytest.raises(UserError, match="holds no PIN"):
        recipient(hsm).wrap(KEY, context=CONTEXT)


def test_a_pin_that_everybody_may_read_is_refused(hsm: SoftHsm) -> None:
    hsm.pin.chmod(0o644)

    with pytest.raises(UserError, match="everybody") as raised:
        recipient(hsm).wrap(KEY, context=CONTEXT)

    assert raised.value.code == "key-exposed"


def test_a_token_that_is_not_there_may_be_later(hsm: SoftHsm) -> None:
    one = recipient(hsm)

    with hsm.unplugged(), pytest.raises(InfrastructureError, match="plug it in") as raised:
        one.wrap(KEY, context=CONTEXT)

    assert raised.value.code == "token-failed"
    assert one.wrap(KEY, context=CONTEXT)


def test_a_token_that_is_taken_away_in_use_fails_and_is_found_again(
    hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = recipient(hsm)
    wrapped = one.wrap(KEY, context=CONTEXT)

    def lost(*_: object) -> bytes:
        raise library.DeviceRemoved

    with monkeypatch.context() as patch:
        patch.setattr(pkcs11, "_unwrap", lost)
        with pytest.raises(InfrastructureError, match="DeviceRemoved"):
            opened(one, wrapped)

    assert opened(one, wrapped) == KEY


def test_a_key_that_is_not_there_is_said_to_be(hsm: SoftHsm) -> None:
    with pytest.raises(UserError, match="pkcs11:falaj/none: the key is not in"):
        pkcs11.signer(hsm.uri("object=none"), {}).sign(b"m")
    with pytest.raises(UserError, match="pkcs11:falaj/none: the key is not in") as raised:
        recipient(hsm, "object=none").wrap(KEY, context=CONTEXT)

    assert raised.value.code == "token-key-unfit"


def test_a_key_of_another_kind_is_not_taken(hsm: SoftHsm) -> None:
    hsm.signing()

    with pytest.raises(UserError, match="of another kind"):
        recipient(hsm, "object=signing").wrap(KEY, context=CONTEXT)
    with pytest.raises(UserError, match="of another kind"):
        pkcs11.signer(hsm.uri("object=wrapping"), {}).sign(b"m")


def test_a_shorter_key_wraps_nothing(hsm: SoftHsm) -> None:
    hsm.wrapping("short", bits=128)

    with pytest.raises(UserError, match="has 128 bits, expected 256"):
        recipient(hsm, "object=short").wrap(KEY, context=CONTEXT)


def test_a_key_that_may_not_open_is_told_before_it_wraps(hsm: SoftHsm) -> None:
    hsm.wrapping("closed", capabilities=MechanismFlag.ENCRYPT)

    with pytest.raises(UserError, match="CKA_DECRYPT"):
        recipient(hsm, "object=closed").wrap(KEY, context=CONTEXT)


@pytest.mark.parametrize(
    "template",
    [{library.Attribute.EXTRACTABLE: True}, {library.Attribute.SENSITIVE: False}],
    ids=["extractable", "readable"],
)
def test_a_key_that_may_leave_the_token_is_refused(
    hsm: SoftHsm, template: dict[library.Attribute, bool]
) -> None:
    hsm.wrapping("loose", template=template)

    with pytest.raises(UserError, match="would leave the token"):
        recipient(hsm, "object=loose").wrap(KEY, context=CONTEXT)


@pytest.mark.parametrize("module", ["/none.so", "/bin/sh", __file__])
def test_a_module_that_is_none_is_said_to_be(hsm: SoftHsm, module: str) -> None:
    with pytest.raises(UserError, match="cannot be loaded as a PKCS#11 module") as raised:
        recipient(hsm, module_path=module).wrap(KEY, context=CONTEXT)

    assert raised.value.code == "token-module"
    assert module in str(raised.value)


def test_a_module_that_cannot_start_is_said_to_fail(
    hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOFTHSM2_CONF", str(hsm.folder / "none"))

    with pytest.raises(InfrastructureError) as raised:
        recipient(hsm).wrap(KEY, context=CONTEXT)

    assert raised.value.code == "token-failed"


def test_tokens_of_one_label_are_told_apart_by_their_serial(hsm: SoftHsm) -> None:
    [with_key] = hsm.serials()
    hsm.initialise("falaj")
    [without] = set(hsm.serials()) - {with_key}
    with pytest.raises(UserError, match="name the serial"):
        recipient(hsm).wrap(KEY, context=CONTEXT)

    one = recipient(hsm, f"serial={with_key};object=wrapping")
    other = recipient(hsm, f"serial={without};object=wrapping")

    assert opened(one, one.wrap(KEY, context=CONTEXT)) == KEY
    with pytest.raises(UserError, match="not in the token"):
        other.wrap(KEY, context=CONTEXT)


# Threads and processes.


def test_threads_take_turns(hsm: SoftHsm) -> None:
    one = recipient(hsm)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        wrapped = list(pool.map(lambda _: one.wrap(KEY, context=CONTEXT), range(40)))

    assert {opened(one, each) for each in wrapped} == {KEY}


def test_a_fork_asks_the_token_for_itself(hsm: SoftHsm) -> None:
    wrapped = recipient(hsm).wrap(KEY, context=CONTEXT)
    fork = multiprocessing.get_context("fork")
    queue = fork.SimpleQueue()

    child = fork.Process(target=lambda: queue.put(opened(recipient(hsm), wrapped)))
    child.start()
    child.join(timeout=30)

    assert child.exitcode == 0
    assert queue.get() == KEY
    assert opened(recipient(hsm), wrapped) == KEY


# Secrets.


def test_no_failure_shows_the_pin_or_the_key(
    hsm: SoftHsm, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object) -> bytes:
        raise library.DeviceRemoved

    monkeypatch.setattr(pkcs11, "_wrap", lost)
    with caplog.at_level(logging.DEBUG), pytest.raises(FalajError) as raised:
        recipient(hsm).wrap(KEY, context=CONTEXT)

    shown = "".join(traceback.format_exception(raised.value)) + _chain(raised.value) + caplog.text
    for hidden in (PIN, KEY.hex(), repr(KEY)):
        assert hidden not in shown


def test_what_holds_a_key_shows_no_pin(hsm: SoftHsm) -> None:
    assert PIN not in repr(recipient(hsm))


def _chain(error: BaseException | None) -> str:
    """Show an error and all that lies behind it, whether a traceback would or not."""
    return f"{error!r} {error} {_chain(error.__context__)}" if error else ""


# With a real release.


@pytest.fixture
def ring(hsm: SoftHsm, tmp_path: pathlib.Path) -> pathlib.Path:
    """A ring whose signer is in a token, and that wraps for a file and for the token."""
    path = tmp_path / "ring"
    path.mkdir()
    write(path / "verify.pem", hsm.signing())
    write(path / "wrapping.key", KEY.hex().encode())
    lay(path, hsm.uri("object=signing;type=private"), "wrapping.key", hsm.uri("object=wrapping"))
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


def test_a_release_opens_by_token_and_by_file_alone(
    ring: pathlib.Path, hsm: SoftHsm, store: ObjectStore, folder: pathlib.Path, unique: str
) -> None:
    sealed = release.seal(folder, model=unique, facts={}, store=store, keys=KeyRing.load(ring))

    for number, alone in enumerate((hsm.uri("object=wrapping"), "wrapping.key")):
        lay(ring, "", alone)
        out = folder.parent / f"out-{number}"
        release.unseal(sealed.uri, out, store=store, keys=KeyRing.load(ring))
        assert (out / "model.onnx").read_bytes() == (folder / "model.onnx").read_bytes()


def test_while_the_token_is_away_the_file_opens(
    ring: pathlib.Path, hsm: SoftHsm, store: ObjectStore, folder: pathlib.Path, unique: str
) -> None:
    sealed = release.seal(folder, model=unique, facts={}, store=store, keys=KeyRing.load(ring))
    lay(ring, "", hsm.uri("object=wrapping"), "wrapping.key")

    with hsm.unplugged():
        release.unseal(sealed.uri, folder.parent / "out", store=store, keys=KeyRing.load(ring))

    assert (folder.parent / "out/model.onnx").exists()


def test_releases_are_wrapped_anew_for_token_alone(
    ring: pathlib.Path,
    hsm: SoftHsm,
    store: ObjectStore,
    folder: pathlib.Path,
    unique: str,
) -> None:
    lay(ring, hsm.uri("object=signing"), "wrapping.key")
    old = KeyRing.load(ring)
    sealed = release.seal(folder, model=unique, facts={}, store=store, keys=old)
    lay(ring, "", hsm.uri("object=wrapping"), retired="wrapping.key")

    rewrap.rewrap(sealed.uri, store=store, keys=KeyRing.load(ring))

    lay(ring, "", hsm.uri("object=wrapping"))
    new = KeyRing.load(ring)
    release.unseal(sealed.uri, folder.parent / "out", store=store, keys=new)
    assert (folder.parent / "out/model.onnx").exists()
    with pytest.raises(Refused, match="wrapped for"):
        release.unseal(sealed.uri, folder.parent / "no", store=store, keys=old)


def test_a_signer_on_another_curve_is_refused_by_its_ring(ring: pathlib.Path, hsm: SoftHsm) -> None:
    hsm.signing("bigger", curve="secp384r1")
    lay(ring, hsm.uri("object=bigger"), "wrapping.key")

    with pytest.raises(UserError, match="not the private half"):
        KeyRing.load(ring).sign(b"m")


def test_without_the_library_the_ring_says_what_to_install(
    ring: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "components.foundation.sealing.keys.pkcs11")
    monkeypatch.delattr("components.foundation.sealing.keys.pkcs11")
    monkeypatch.setitem(sys.modules, "pkcs11", None)

    with pytest.raises(UserError, match=r"falaj\[pkcs11\]"):
        KeyRing.load(ring)
