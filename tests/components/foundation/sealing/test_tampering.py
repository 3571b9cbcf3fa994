"""Whoever can write the bucket cannot make us load anything else."""

import base64
import dataclasses
import io
import json
import pathlib
from collections.abc import Callable

import pytest

from components.foundation.errors import FalajError, Refused
from components.foundation.sealing import envelope, release, stream, wrapped
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.keys.files import WrappingKey
from components.foundation.sealing.release import Release
from components.foundation.sealing.statement import KIND
from components.foundation.storage import Address, NotFound, ObjectStore

Seal = Callable[..., Release]
Change = Callable[[ObjectStore, Address], object]


def rewrite(name: str, change: Callable[[bytes], bytes]) -> Change:
    def apply(store: ObjectStore, at: Address) -> None:
        store.put(at / name, change(store.get(at / name)))

    return apply


def flip(data: bytes, at: int) -> bytes:
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def swap_files(store: ObjectStore, at: Address) -> None:
    first, second = at / "files/contract.yaml", at / "files/signature.json"
    a, b = store.get(first), store.get(second)
    store.put(first, b)
    store.put(second, a)


def unsign(data: bytes) -> bytes:
    return json.dumps({**json.loads(data), "signatures": []}).encode()


def raise_size(data: bytes) -> bytes:
    value = json.loads(data)
    payload = base64.b64decode(value["payload"]).replace(b'"size":14', b'"size":15')
    return json.dumps({**value, "payload": base64.b64encode(payload).decode()}).encode()


def retype(data: bytes) -> bytes:
    return json.dumps({**json.loads(data), "payloadType": "application/json"}).encode()


MODEL = "files/model.onnx"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(
            rewrite("model.sig", lambda d: flip(d, 9)),
            r"model\.sig: digest is sha256",
            id="openssf signature",
        ),
        pytest.param(
            lambda store, at: store.delete(at / "model.sig"),
            r"model\.sig: no such object",
            id="no openssf signature",
        ),
        pytest.param(rewrite(MODEL, lambda d: flip(d, 5)), r"model\.onnx: its header", id="header"),
        pytest.param(
            rewrite(MODEL, lambda d: flip(d, 100)), r"model\.onnx: chunk 1 of 3", id="one bit"
        ),
        pytest.param(
            rewrite(MODEL, lambda d: flip(d, -1)), r"model\.onnx: chunk 3 of 3", id="last bit"
        ),
        pytest.param(
            rewrite(MODEL, lambda d: d[:-1]),
            r"files/model\.onnx is \d+ bytes, the statement covers",
            id="truncated",
        ),
        pytest.param(
            rewrite(MODEL, lambda d: d + b"\0"),
            r"files/model\.onnx is \d+ bytes, the statement covers",
            id="extended",
        ),
        pytest.param(swap_files, "its header is not the one", id="files swapped"),
        pytest.param(
            lambda store, at: store.delete(at / "files/contract.yaml"),
            r"files/contract\.yaml is no such object, the statement covers",
            id="file removed",
        ),
        pytest.param(
            lambda store, at: store.put(at / "files/evil.pkl", b"cos\nsystem"),
            r"files/evil\.pkl is 10 bytes, the statement covers no such object",
            id="plaintext slipped in",
        ),
        pytest.param(
            lambda store, at: store.put(at / "model.onnx", b"plaintext"),
            r"/model\.onnx is 9 bytes, the statement covers no such object",
            id="plaintext beside",
        ),
        pytest.param(
            lambda store, at: store.put(at / "files/contract.yaml", b"table: planes " + bytes(68)),
            r"contract\.yaml (is|: its header)|its header is not",
            id="plaintext instead",
        ),
        pytest.param(
            lambda store, at: store.put(at / "statement.json", b'{"version": 1}'),
            "unsigned releases and plaintext are refused",
            id="statement is no envelope",
        ),
        pytest.param(
            lambda store, at: store.put(at / "statement.json", b"\x80\x04"),
            "unsigned releases and plaintext are refused",
            id="statement is no text",
        ),
        pytest.param(
            lambda store, at: store.put(at / "statement.json", b"[" * 100_000),
            "unsigned releases and plaintext are refused",
            id="statement is nested",
        ),
        pytest.param(
            lambda store, at: store.put(at / "statement.json", b" " * (5 << 20)),
            "more than 4194304 bytes",
            id="statement is huge",
        ),
        pytest.param(
            rewrite("statement.json", unsign), "not signed by our signer", id="signature removed"
        ),
        pytest.param(
            rewrite("statement.json", raise_size), "not signed by our signer", id="statement edited"
        ),
        pytest.param(
            rewrite("statement.json", retype), "holds 'application/json'", id="kind edited"
        ),
        pytest.param(
            lambda store, at: store.delete(at / "statement.json"), "not found", id="unsigned"
        ),
        pytest.param(
            lambda store, at: store.put(at / "keys.json", b"{}"), "no wrapped keys", id="no keys"
        ),
        pytest.param(
            lambda store, at: store.put(
                at / "keys.json", store.get(at / "keys.json").replace(b'"key":"', b'"key":"AAAA')
            ),
            "not wrapped for this release",
            id="wrapped key edited",
        ),
    ],
)
def test_refuses(
    seal: Seal,
    store: ObjectStore,
    keys: KeyRing,
    tmp_path: pathlib.Path,
    unique: str,
    change: Change,
    says: str,
) -> None:
    sealed = seal(model=unique)
    change(store, sealed.location.address)

    with pytest.raises((Refused, NotFound), match=says) as raised:
        release.unseal(sealed.uri, tmp_path / "out", store=store, keys=keys)

    assert_nothing_came_out(tmp_path / "out")
    assert_no_secret(raised.value, keys)


def assert_nothing_came_out(folder: pathlib.Path) -> None:
    assert not folder.exists() or not list(folder.iterdir())


def assert_no_secret(error: FalajError, keys: KeyRing) -> None:
    text = f"{error!r} {error.__cause__!r}"
    (wrapping,) = keys.recipients
    assert isinstance(wrapping, WrappingKey)
    assert wrapping.text.decode() not in text
    assert repr(bytes.fromhex(wrapping.text.decode())) not in text
    assert "\n" not in str(error)


def test_refuses_a_release_put_under_another_name(
    seal: Seal, store: ObjectStore, keys: KeyRing, tmp_path: pathlib.Path, unique: str
) -> None:
    sealed = seal(model=unique)
    for item in list(store.list(sealed.location.address)):
        key = item.address.key.replace(unique, f"{unique}-b")
        store.put(Address(item.address.bucket, key), store.get(item.address))

    with pytest.raises(Refused, match=f"was signed as {unique}/{sealed.version}"):
        release.unseal(
            sealed.uri.replace(unique, f"{unique}-b"), tmp_path / "out", store=store, keys=keys
        )


def test_refuses_an_old_release_put_in_the_place_of_a_new_one(
    seal: Seal, store: ObjectStore, keys: KeyRing, tmp_path: pathlib.Path, unique: str
) -> None:
    old, new = seal(model=unique), seal(model=unique, code="new")
    for item in list(store.list(old.location.address)):
        key = item.address.key.replace(old.version, new.version)
        store.put(Address(item.address.bucket, key), store.get(item.address))

    with pytest.raises(Refused, match=f"was signed as {unique}/{old.version}"):
        release.unseal(new.uri, tmp_path / "out", store=store, keys=keys)


def test_refuses_the_wrapped_key_of_another_release(
    seal: Seal, store: ObjectStore, keys: KeyRing, tmp_path: pathlib.Path, unique: str
) -> None:
    sealed, other = seal(model=unique), seal(model=unique, code="other")
    store.put(
        sealed.location.address / "keys.json", store.get(other.location.address / "keys.json")
    )

    with pytest.raises(Refused, match="not wrapped for this release"):
        release.unseal(sealed.uri, tmp_path / "out", store=store, keys=keys)


@pytest.mark.parametrize("name", ["facts", "version"])
def test_refuses_a_statement_that_contradicts_itself(
    seal: Seal, store: ObjectStore, keys: KeyRing, tmp_path: pathlib.Path, unique: str, name: str
) -> None:
    sealed = seal(model=unique, code="abc")
    forged = {
        "facts": dataclasses.replace(sealed.statement, facts={"code": "abd"}),
        "version": dataclasses.replace(sealed.statement, version="0" * 12),
    }[name]
    store.put(
        sealed.location.address / "statement.json",
        envelope.sign(forged.encode(), kind=KIND, keys=keys),
    )

    with pytest.raises(Refused, match="its parts contradict each other"):
        release.unseal(sealed.uri, tmp_path / "out", store=store, keys=keys)


def test_refuses_a_key_other_than_the_one_that_was_committed_to(
    seal: Seal, store: ObjectStore, keys: KeyRing, tmp_path: pathlib.Path, unique: str
) -> None:
    sealed = seal(model=unique)
    at = sealed.location.address
    store.delete(wrapped.address(at))
    wrapped.get_or_create(at, sealed.statement.content, store=store, keys=keys)

    with pytest.raises(Refused, match=r"keys\.json: holds another key"):
        release.unseal(sealed.uri, tmp_path / "out", store=store, keys=keys)
    with pytest.raises(Refused, match=r"keys\.json: holds another key"):
        release.read_file(sealed.uri, "contract.yaml", store=store, keys=keys)
    assert_nothing_came_out(tmp_path / "out")


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        ((b'"format":2', b'"format":1'), "is of format 1, this version opens format 2"),
        ((b'"format":2', b'"format":3'), "is of format 3, this version opens format 2"),
        ((b"AES-256-GCM-STREAM", b"AES-128-CBC-STREAM"), "names the algorithms"),
        ((b'"cipher":', b'"compression":"zip","cipher":'), "names the algorithms"),
        ((b'"key":', b'"more":1,"key":'), "its parts contradict each other"),
        ((b'"plain":"sha256:', b'"plain":"blake3:'), "expected sha256"),
        ((b'"sealed":"blake3:', b'"sealed":"sha256:'), "expected blake3"),
        ((b'"size":14', b'"size":-1'), "size -1 is none of a file"),
        ((b'"size":14', b'"size":9007199254740992000'), "is none of a file"),
        ((b'"size":14', b'"size":true'), "size True is none of a file"),
        ((b'"size":14', b'"size":14.0'), "size 14.0 is none of a file"),
    ],
)
def test_refuses_a_signed_statement_of_another_form(
    seal: Seal, store: ObjectStore, keys: KeyRing, unique: str, edit: tuple[bytes, bytes], says: str
) -> None:
    at = seal(model=unique).location.address / "statement.json"
    payload = base64.b64decode(json.loads(store.get(at))["payload"])
    edited = payload.replace(*edit)
    assert edited != payload
    store.put(at, envelope.sign(edited, kind=KIND, keys=keys))

    with pytest.raises(Refused, match=says):
        release.verify(uri_of(at), store=store, keys=keys)


def uri_of(at: Address) -> str:
    return f"sealed+{at}".removesuffix("/statement.json")


def test_refuses_a_signature_of_other_files_that_lies_there_before(
    seal: Seal, store: ObjectStore, folder: pathlib.Path, unique: str
) -> None:
    sealed = seal(model=unique)
    at = sealed.location.address
    before = store.get(at / "model.sig")
    (folder / "contract.yaml").write_text("table: planes")
    other = seal(model=unique)
    store.delete(other.location.address / "statement.json")
    store.put(other.location.address / "model.sig", before)

    with pytest.raises(Refused, match=r"model\.sig: signs other files"):
        seal(model=unique)


def test_refuses_a_release_that_somebody_else_signed(
    store: ObjectStore, keys: KeyRing, folder: pathlib.Path, tmp_path: pathlib.Path, unique: str
) -> None:
    stranger = KeyRing.create(tmp_path / "stranger")
    sealed = release.seal(folder, model=unique, facts={}, store=store, keys=stranger)

    with pytest.raises(Refused, match="not signed by our signer"):
        release.unseal(sealed.uri, tmp_path / "out", store=store, keys=keys)
    assert_nothing_came_out(tmp_path / "out")


def test_refuses_with_another_wrapping_key(
    seal: Seal, store: ObjectStore, keys: KeyRing, tmp_path: pathlib.Path, unique: str
) -> None:
    sealed = seal(model=unique)
    other = KeyRing(keys.verifiers, (WrappingKey(bytes(32)),), keys.signer)

    with pytest.raises(Refused, match="use the key ring it was sealed with"):
        release.unseal(sealed.uri, tmp_path / "out", store=store, keys=other)
    assert_nothing_came_out(tmp_path / "out")


def test_who_can_decrypt_still_cannot_forge(
    seal: Seal, store: ObjectStore, keys: KeyRing, tmp_path: pathlib.Path, unique: str
) -> None:
    sealed = seal(model=unique)
    file, at = sealed.file("contract.yaml"), sealed.location.address
    key = wrapped.get(at, sealed.statement.content, store=store, keys=keys)
    forged = stream.encrypt(
        io.BytesIO(b"table: planes!"), header=file.header, key=key, path=file.path
    )
    store.put(at / "files/contract.yaml", b"".join(bytes(piece) for piece in forged))

    with pytest.raises(Refused, match=r"contract\.yaml: sealed bytes have digest"):
        release.unseal(sealed.uri, tmp_path / "out", store=store, keys=keys)
    assert_nothing_came_out(tmp_path / "out")


@pytest.mark.parametrize("path", ["../evil", "/etc/evil", "a/../../evil", "a//b", "release.json"])
def test_a_signed_path_cannot_leave_the_folder(
    seal: Seal, store: ObjectStore, keys: KeyRing, tmp_path: pathlib.Path, unique: str, path: str
) -> None:
    sealed = seal(model=unique)
    signed = store.get(sealed.location.address / "statement.json")
    payload = base64.b64decode(json.loads(signed)["payload"])
    evil = payload.replace(b"contract.yaml", path.encode())
    store.put(sealed.location.address / "statement.json", envelope.sign(evil, kind=KIND, keys=keys))

    with pytest.raises(Refused, match="is signed, but"):
        release.unseal(sealed.uri, tmp_path / "out/deep", store=store, keys=keys)


@pytest.mark.parametrize("at", [5, 100, -1])
def test_verify_finds_a_changed_byte_without_decrypting(
    seal: Seal, store: ObjectStore, keys: KeyRing, unique: str, at: int
) -> None:
    sealed = seal(model=unique)
    release.verify(sealed.uri, store=store, keys=keys)
    rewrite(MODEL, lambda data: flip(data, at))(store, sealed.location.address)

    with pytest.raises(Refused, match=r"model\.onnx: sealed bytes have digest"):
        release.verify(sealed.uri, store=store, keys=keys)
