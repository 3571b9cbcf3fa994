"""Our signatures and those of the OpenSSF's own tool, which runs here as its users run it."""

import json
import pathlib
import subprocess
import sys
from collections.abc import Callable

import model_signing
import pytest

from components.foundation import digests
from components.foundation.digests import Digest
from components.foundation.errors import Refused
from components.foundation.sealing import envelope, openssf, release
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.release import Release
from components.foundation.storage import ObjectStore

OUT = frozenset({"model.sig", "release.json"})


def tool(verb: str, folder: pathlib.Path, **options: pathlib.Path | str) -> str:
    """Run `model_signing VERB key FOLDER`; return what it said, also when it refused."""
    given = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "model_signing", verb, "key", str(folder), *given]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return f"{done.returncode} {done.stdout}{done.stderr}"


@pytest.fixture
def public(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "keys/verify.pem"


@pytest.fixture
def opened(
    seal: Callable[..., Release],
    store: ObjectStore,
    keys: KeyRing,
    folder: pathlib.Path,
    tmp_path: pathlib.Path,
    unique: str,
) -> pathlib.Path:
    """An opened release, whose files come in an order that only their parts' order gives."""
    (folder / "extra-b.txt").write_text("sorts between extra and extra/empty.txt by characters")
    release.unseal(seal(model=unique).uri, tmp_path / "out", store=store, keys=keys)
    return tmp_path / "out"


def test_the_tool_verifies_an_opened_release(opened: pathlib.Path, public: pathlib.Path) -> None:
    said = tool("verify", opened, signature=opened / "model.sig", public_key=public)

    assert said == "0 Verification succeeded\n"


@pytest.mark.parametrize("change", ["changed", "missing", "extra"])
def test_the_tool_refuses_an_opened_release_that_was_altered(
    opened: pathlib.Path, public: pathlib.Path, change: str
) -> None:
    file = opened / "contract.yaml"
    match change:
        case "changed":
            file.chmod(0o644)
            file.write_text("table: planes!")
        case "missing":
            file.unlink()
        case _:
            (opened / "evil.pkl").touch()

    said = tool("verify", opened, signature=opened / "model.sig", public_key=public)

    assert said.startswith("1 ")
    assert "Verification failed" in said


def test_the_tool_refuses_another_key(opened: pathlib.Path, tmp_path: pathlib.Path) -> None:
    KeyRing.create(tmp_path / "other")

    said = tool(
        "verify", opened, signature=opened / "model.sig", public_key=tmp_path / "other/verify.pem"
    )

    assert said.startswith("1 ")
    assert "Key mismatch" in said


@pytest.fixture
def signed(folder: pathlib.Path, tmp_path: pathlib.Path, keys: KeyRing) -> bytes:
    """What the tool signs with our key."""
    said = tool(
        "sign",
        folder,
        signature=tmp_path / "theirs.sig",
        private_key=tmp_path / "keys/signing.pem",
    )
    assert said == "0 Signing succeeded\n"
    return (tmp_path / "theirs.sig").read_bytes()


def test_we_verify_what_the_tool_signed(folder: pathlib.Path, signed: bytes, keys: KeyRing) -> None:
    openssf.check(folder, signed, keys=keys, ignore=OUT)

    (folder / "model.sig").write_bytes(signed)
    openssf.check(folder, signed, keys=keys, ignore=OUT)


def test_we_list_files_in_the_order_of_the_tool(
    opened: pathlib.Path, tmp_path: pathlib.Path, keys: KeyRing
) -> None:
    ours = openssf.signed((opened / "model.sig").read_bytes(), keys=keys, where="ours")
    for name in OUT:
        (opened / name).unlink()

    tool(
        "sign",
        opened,
        signature=tmp_path / "theirs.sig",
        private_key=tmp_path / "keys/signing.pem",
    )

    theirs = openssf.signed((tmp_path / "theirs.sig").read_bytes(), keys=keys, where="theirs")
    assert list(ours.items()) == list(theirs.items())


@pytest.mark.parametrize(
    ("path", "data", "says"),
    [
        ("contract.yaml", b"table: planes", r"contract\.yaml: is sha256:\w+, the signature covers"),
        ("contract.yaml", None, r"contract\.yaml: is missing, the signature covers sha256"),
        ("evil.pkl", b"", r"evil\.pkl: is unsigned, the signature covers no such file"),
    ],
)
def test_we_refuse_what_differs_from_what_the_tool_signed(
    folder: pathlib.Path, signed: bytes, keys: KeyRing, path: str, data: bytes | None, says: str
) -> None:
    (folder / path).unlink() if data is None else (folder / path).write_bytes(data)

    with pytest.raises(Refused, match=says):
        openssf.check(folder, signed, keys=keys, ignore=OUT)


def test_we_verify_what_its_library_signed_with_blake3(
    folder: pathlib.Path, tmp_path: pathlib.Path, keys: KeyRing
) -> None:
    # The library's constructors lack annotations.
    by_blake3 = model_signing.hashing.Config()  # type: ignore[no-untyped-call]
    by_blake3.use_file_serialization(hashing_algorithm="blake3")
    theirs = model_signing.signing.Config()  # type: ignore[no-untyped-call]
    theirs.set_hashing_config(by_blake3)
    theirs.use_elliptic_key_signer(private_key=tmp_path / "keys/signing.pem")
    theirs.sign(folder, tmp_path / "theirs.sig")

    openssf.check(folder, (tmp_path / "theirs.sig").read_bytes(), keys=keys, ignore=OUT)

    (folder / "contract.yaml").write_text("table: planes!")
    with pytest.raises(Refused, match=r"contract\.yaml: is blake3:\w+, the signature"):
        openssf.check(folder, (tmp_path / "theirs.sig").read_bytes(), keys=keys, ignore=OUT)


def test_we_refuse_what_somebody_else_signed(
    folder: pathlib.Path, signed: bytes, tmp_path: pathlib.Path
) -> None:
    other = KeyRing.create(tmp_path / "other")

    with pytest.raises(Refused, match="not signed by our signer"):
        openssf.check(folder, signed, keys=other, ignore=OUT)


def forged(keys: KeyRing, change: Callable[[dict[str, object]], object]) -> bytes:
    """A bundle that our signer signed, whose statement was changed before."""
    plain = {"a": digests.of_bytes(b"a"), "b": digests.of_bytes(b"b")}
    statement = json.loads(openssf._statement("m", plain))
    change(statement)
    payload = json.dumps(statement).encode()
    signed = envelope.sign(payload, kind="application/vnd.in-toto+json", keys=keys)
    bundle = json.loads(openssf.sign("m", plain, keys=keys))
    return json.dumps({**bundle, "dsseEnvelope": json.loads(signed)}).encode()


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.update(_type="https://in-toto.io/Statement/v2"),
        lambda s: s.update(predicateType="https://model_signing/Digests/v0.1"),
        lambda s: s["predicate"]["serialization"].update(method="shards"),
        lambda s: s["predicate"]["resources"].pop(),
        lambda s: s["predicate"]["resources"].reverse(),
        lambda s: s["predicate"]["resources"][0].update(algorithm="md5"),
        lambda s: s["predicate"]["resources"][1].update(name="a"),
        lambda s: s["subject"].clear(),
        lambda s: s.clear(),
    ],
)
def test_refuses_a_statement_that_it_does_not_know(
    keys: KeyRing, change: Callable[[dict[str, object]], object]
) -> None:
    with pytest.raises((Refused), match="is no OpenSSF signature over files that we can check"):
        openssf.signed(forged(keys, change), keys=keys, where="here")


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"1", b"[" * 100_000, b'{"mediaType": "x"}'])
def test_refuses_what_is_no_bundle(keys: KeyRing, data: bytes) -> None:
    with pytest.raises(Refused, match="here: is no OpenSSF signature"):
        openssf.signed(data, keys=keys, where="here")


def test_what_is_signed_is_what_is_read(keys: KeyRing) -> None:
    plain = {"b/c": Digest("1" * 64), "b-a": Digest("2" * 64)}

    assert openssf.signed(openssf.sign("m", plain, keys=keys), keys=keys, where="here") == plain
