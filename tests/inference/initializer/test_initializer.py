import base64
import json
import pathlib
import subprocess
import sys
from collections.abc import Callable

import pytest

from components.foundation.sealing import envelope, release
from components.foundation.sealing.keys import KeyRing, care
from components.foundation.sealing.keys.care import Kept
from components.foundation.sealing.statement import KIND
from components.foundation.sealing.uri import ReleaseUri
from components.foundation.storage import Address, ObjectStore, Settings
from inference.initializer.__main__ import main

Change = Callable[[ObjectStore, Address, KeyRing], None]


@pytest.fixture
def keys(environment: None, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> KeyRing:
    ring = KeyRing.create(tmp_path / "site")
    care.share(Kept.load(tmp_path / "site"), tmp_path / "keys")
    monkeypatch.setenv("FALAJ_KEYS", str(tmp_path / "keys"))
    return ring


@pytest.fixture
def uri(store: ObjectStore, keys: KeyRing, tmp_path: pathlib.Path, unique: str) -> str:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"model")
    return release.seal(folder, model=unique, facts={}, store=store, keys=keys).uri


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "inference.initializer", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_opens_every_pair(uri: str, tmp_path: pathlib.Path) -> None:
    done = run(uri, str(tmp_path / "a"), uri, str(tmp_path / "b"))

    assert done.returncode == 0, done.stderr
    for name in "ab":
        assert (tmp_path / name / "model.onnx").read_bytes() == b"model"
        assert (tmp_path / name / "release.json").exists()


def test_opens_a_release_with_nothing_but_what_its_image_has(
    uri: str, tmp_path: pathlib.Path
) -> None:
    image = [sys.executable, "-m", "tests.images.locked", "initializer", "inference.initializer"]

    done = subprocess.run(
        [*image, uri, str(tmp_path / "out")], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/model.onnx").read_bytes() == b"model"


def test_the_reason_of_a_refusal_is_the_last_line(
    uri: str, store: ObjectStore, tmp_path: pathlib.Path
) -> None:
    address = ReleaseUri.parse(uri).address / "files/model.onnx"
    store.put(address, store.get(address)[:-1] + b"x")

    done = run(uri, str(tmp_path / "out"))

    assert done.returncode == 3
    reason = done.stderr.splitlines()[-1]
    assert reason.startswith(f"release {uri}, model.onnx: chunk 1 of 1 is not what was sealed")
    assert not list((tmp_path / "out").iterdir())


def as_signed(before: bytes, after: bytes) -> Change:
    """Return what edits a statement and signs it with the key that signs."""

    def change(store: ObjectStore, at: Address, keys: KeyRing) -> None:
        payload = base64.b64decode(json.loads(store.get(at / "statement.json"))["payload"])
        assert before in payload
        edited = payload.replace(before, after)
        store.put(at / "statement.json", envelope.sign(edited, kind=KIND, keys=keys))

    return change


def put(name: str, data: bytes) -> Change:
    return lambda store, at, keys: store.put(at / name, data)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (put("files/model.onnx", b"model"), "model.onnx is 5 bytes, the statement covers 73"),
        (put("statement.json", b"{}"), "unsigned releases and plaintext are refused"),
        (put("files/more.onnx", b"m"), "more.onnx is 1 bytes, the statement covers no such object"),
        (put("files/model.onnx", b"0" * (8 << 20)), "is 8388608 bytes, the statement covers 73"),
        (as_signed(b'"size":5', b'"size":1099511627776'), "the statement covers 10995"),
        (as_signed(b"AES-256-GCM", b"AES-128-GCM"), "names the algorithms"),
        (as_signed(b'"format":2', b'"format":1'), "this version opens format 2"),
        (as_signed(b"model.onnx", b"../../evil"), "is signed, but"),
    ],
    ids=["plaintext", "unsigned", "extra", "swollen", "bomb", "algorithm", "format", "path"],
)
def test_what_is_not_as_it_was_sealed_is_refused_and_leaves_nothing(
    uri: str, store: ObjectStore, keys: KeyRing, tmp_path: pathlib.Path, change: Change, says: str
) -> None:
    change(store, ReleaseUri.parse(uri).address, keys)
    (tmp_path / "termination-log").touch()

    done = run("--termination_log", str(tmp_path / "termination-log"), uri, str(tmp_path / "a/out"))

    assert done.returncode == 3, done.stderr
    assert says in done.stderr.splitlines()[-1]
    assert says in (tmp_path / "termination-log").read_text()
    assert not (tmp_path / "a").exists()
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda uri: uri.removeprefix("sealed+"),
        lambda uri: uri.upper(),
        lambda uri: f"{uri}?versionId=1",
        lambda uri: uri.replace("sealed+s3", "https"),
        lambda uri: "/etc",
    ],
    ids=["plain", "upper case", "query", "another scheme", "a path"],
)
def test_refuses_every_other_source(
    uri: str,
    tmp_path: pathlib.Path,
    caplog: pytest.LogCaptureFixture,
    change: "type[str]",
) -> None:
    assert main([change(uri), str(tmp_path / "out")]) == 2
    assert "expected sealed+s3://" in caplog.messages[-1]


def test_refuses_arguments_that_are_no_pairs(uri: str, caplog: pytest.LogCaptureFixture) -> None:
    assert main([uri]) == 2
    assert "pairs of SRC and DST" in caplog.messages[-1]


def test_says_that_the_keys_are_not_mounted(
    uri: str,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.delenv("FALAJ_KEYS")

    assert main([uri, str(tmp_path / "out")]) == 2
    assert "FALAJ_KEYS is not set" in caplog.messages[-1]


def test_a_store_that_does_not_answer_may_be_tried_again(
    uri: str, tmp_path: pathlib.Path, s3: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("FALAJ_STORE_SECONDS", "2")

    done = run(uri, str(tmp_path / "out"))

    assert done.returncode == 75
    assert "did not answer" in done.stderr.splitlines()[-1]
    assert s3.secret_key not in done.stderr


@pytest.fixture
def signer(tmp_path: pathlib.Path) -> str:
    return KeyRing.load(tmp_path / "site").signer_id


@pytest.fixture
def policy(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A policy that expects nothing yet."""
    file = tmp_path / "policy.yaml"
    file.write_text("format: 1\nmodels: []\n")
    monkeypatch.setenv("FALAJ_POLICY", str(file))
    return file


def test_a_policy_that_fits_opens_and_one_that_does_not_refuses(
    uri: str, policy: pathlib.Path, signer: str, tmp_path: pathlib.Path
) -> None:
    refused = run(uri, str(tmp_path / "out"))
    policy.write_text(f"format: 1\nmodels: [{{name: '*', signers: ['{signer}']}}]\n")
    opened = run(uri, str(tmp_path / "out"))

    assert refused.returncode == 3
    assert "expects no model" in refused.stderr.splitlines()[-1]
    assert opened.returncode == 0, opened.stderr
    assert "FALAJ_POLICY is not set" not in opened.stderr


def test_a_policy_that_is_named_and_not_there_opens_nothing(
    uri: str, policy: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    policy.unlink()

    done = run(uri, str(tmp_path / "out"))

    assert done.returncode == 2
    assert "is no policy" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_a_policy_named_by_nothing_opens_nothing(
    uri: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ConfigMap without the value it should have is no leave to open everything."""
    monkeypatch.setenv("FALAJ_POLICY", "")

    assert run(uri, str(tmp_path / "out")).returncode == 2
    assert not (tmp_path / "out").exists()


def test_without_a_policy_it_says_so(uri: str, tmp_path: pathlib.Path) -> None:
    assert "FALAJ_POLICY is not set" in run(uri, str(tmp_path / "out")).stderr


def test_the_reason_is_the_termination_message(uri: str, tmp_path: pathlib.Path) -> None:
    log = tmp_path / "termination-log"
    log.touch()

    done = run("--termination_log", str(log), uri.replace("sealed+", ""), str(tmp_path / "out"))

    assert done.returncode == 2
    assert log.read_text() == done.stderr.splitlines()[-1]
    assert "[release-uri]" in log.read_text()


def test_a_termination_message_is_as_long_as_kubernetes_shows(tmp_path: pathlib.Path) -> None:
    log = tmp_path / "termination-log"
    log.touch()

    done = run("--termination_log", str(log), f"{'sealed+s3://' + 'x' * 5000}", str(tmp_path))

    assert done.returncode == 2
    assert len(log.read_bytes()) == 4096


@pytest.mark.parametrize("before", ["", "a"], ids=["even", "odd"])
def test_a_termination_message_is_text_to_its_last_byte(
    tmp_path: pathlib.Path, before: str
) -> None:
    log = tmp_path / "termination-log"
    log.touch()

    done = run("--termination_log", str(log), f"sealed+s3://{before}{'é' * 5000}", "b")

    assert done.returncode == 2
    assert log.read_text(encoding="utf-8").count("é") > 1000


def test_a_termination_log_that_is_a_folder_changes_nothing(
    uri: str, tmp_path: pathlib.Path
) -> None:
    done = run("--termination_log", str(tmp_path), uri.replace("sealed+", ""), "b")

    assert done.returncode == 2
    assert "expected sealed+s3://" in done.stderr.splitlines()[-2]


def test_a_termination_log_that_is_not_there_is_not_made(uri: str, tmp_path: pathlib.Path) -> None:
    done = run("--termination_log", str(tmp_path / "none"), "s3://a", str(tmp_path / "out"))

    assert done.returncode == 2
    assert not (tmp_path / "none").exists()


def test_opens_what_lies_in_a_folder_without_an_object_store(
    uri: str, s3: Settings, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, at = ObjectStore(s3), ReleaseUri.parse(uri)
    for item in store.list(at.address):
        path = tmp_path / "models" / item.address.key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(store.get(item.address))
    monkeypatch.delenv("AWS_ENDPOINT_URL")

    done = run(f"sealed+file://{tmp_path}/models/{at.model}/{at.version}", str(tmp_path / "out"))

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/model.onnx").read_bytes() == b"model"


def test_a_folder_that_cannot_be_written_is_named(uri: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").touch()

    done = run(uri, str(tmp_path / "file/out"))

    assert done.returncode == 2
    assert "let the container's user write the model's folder" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_starts_light() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "inference.initializer", "--help"]

    done = subprocess.run(command, capture_output=True, text=True, check=True)

    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "components.foundation.errors" in imported
    assert not imported & {"numpy", "onnxruntime", "pyarrow", "pandas", "kfp", "deltalake"}
