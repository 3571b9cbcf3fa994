"""The commands of `falaj` that stand on sealed releases: seal, unseal, verify, serve."""

import json
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import IO

import pytest

from components.foundation.audit import LOG, AuditLog
from components.foundation.sealing import channel
from components.foundation.sealing.keys import KeyRing
from components.foundation.storage import Address, ObjectStore
from components.foundation.tables import TableRef
from pipelines.__main__ import main
from pipelines.laptop import session
from tests.components.deployment import sealed

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default project folder is relative, as for whoever types the command."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The state of a laptop that has a champion, rows to score, and an audit log."""
    import pyarrow as pa

    folder = tmp_path_factory.mktemp("laptop")
    with session.storing(folder) as running:
        store, keys = running.store, KeyRing.load(folder / "keys")
        release = sealed.seal(folder / "plain", "delays", slope=1.0, store=store, keys=keys)
        channel.move("delays", release.uri, store=store, keys=keys, reason="a test")
        for number in range(3):
            AuditLog(store).append("verdict", f"step {number}", {"decision": "accept"})
        rows = pa.table({"distance": [0.0], "hour": [7]})
        running.tables.replace(TableRef("falaj-features", "delays/scoring"), rows)
    return folder


@pytest.fixture
def copied(laptop: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """The same state, to be spoiled."""
    return pathlib.Path(shutil.copytree(laptop, tmp_path / "copied"))


@pytest.fixture
def ring(tmp_path: pathlib.Path, environment: None, monkeypatch: pytest.MonkeyPatch) -> KeyRing:
    """The key ring of the environment."""
    monkeypatch.setenv("FALAJ_KEYS", str(tmp_path / "keys"))
    return KeyRing.create(tmp_path / "keys")


@pytest.fixture
def plain(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder to seal."""
    folder = tmp_path / "plain"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"weights" * 1000)
    (folder / "signature.json").write_text("{}")
    return folder


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """What the command printed, errors included."""
    captured = capsys.readouterr()
    return captured.out + captured.err


# seal and unseal


def _seal(plain: pathlib.Path, capsys: pytest.CaptureFixture[str], model: str) -> str:
    assert main(["seal", str(plain), "--model", model]) == 0
    return capsys.readouterr().out.strip()


def test_what_is_sealed_can_be_unsealed(
    plain: pathlib.Path,
    tmp_path: pathlib.Path,
    ring: KeyRing,
    unique: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    uri = _seal(plain, capsys, unique)

    assert uri.startswith(f"sealed+s3://falaj-models/{unique}/")
    assert _seal(plain, capsys, unique) == uri
    assert main(["unseal", uri, str(tmp_path / "opened")]) == 0
    assert (tmp_path / "opened/model.onnx").read_bytes() == (plain / "model.onnx").read_bytes()


def test_unseal_refuses_a_release_with_one_byte_altered(
    plain: pathlib.Path,
    tmp_path: pathlib.Path,
    ring: KeyRing,
    store: ObjectStore,
    unique: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    uri = _seal(plain, capsys, unique)
    alter(store, Address.parse(uri.removeprefix("sealed+")) / "files/model.onnx")

    assert main(["unseal", uri, str(tmp_path / "opened")]) == 3
    assert "model.onnx" in said(capsys)
    assert list((tmp_path / "opened").rglob("*")) == []


def test_unseal_refuses_what_other_keys_signed(
    plain: pathlib.Path,
    tmp_path: pathlib.Path,
    ring: KeyRing,
    unique: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    uri = _seal(plain, capsys, unique)
    KeyRing.create(tmp_path / "others")
    monkeypatch.setenv("FALAJ_KEYS", str(tmp_path / "others"))

    assert main(["unseal", uri, str(tmp_path / "opened")]) == 3
    assert "sign" in said(capsys)


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("FALAJ_KEYS", "FALAJ_KEYS is not set"),
        ("AWS_ENDPOINT_URL", "'AWS_ENDPOINT_URL' is not set"),
    ],
)
def test_seal_names_what_the_environment_lacks(
    missing: str,
    words: str,
    plain: pathlib.Path,
    ring: KeyRing,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv(missing)

    assert main(["seal", str(plain), "--model", "delays"]) == 2
    assert words in said(capsys)


def test_unseal_names_the_release_that_is_not_there(
    tmp_path: pathlib.Path, ring: KeyRing, unique: str, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = f"sealed+s3://falaj-models/{unique}/0123456789ab"

    assert main(["unseal", uri, str(tmp_path / "opened")]) == 2
    assert f"{uri}: not found" in said(capsys)


# verify


def alter(store: ObjectStore, address: Address) -> None:
    """Change one byte in the middle of an object."""
    data = bytearray(store.get(address))
    data[len(data) // 2] ^= 1
    store.put(address, bytes(data))


def test_verify_counts_what_holds(laptop: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--state", str(laptop)]) == 0
    words = said(capsys)
    assert "audit log: 3 entries, every link holds" in words
    assert words.count("verified: sealed+s3://falaj-models/delays/") == 1


def test_verify_refuses_an_altered_entry(
    copied: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with session.storing(copied) as running:
        entry = json.loads(running.store.get(LOG / "00000002.json"))
        entry["body"]["decision"] = "refuse"
        running.store.put(LOG / "00000002.json", json.dumps(entry).encode())

    assert main(["verify", "--state", str(copied)]) == 3
    assert "entry 3 does not follow from entry 2: edited" in said(capsys)


def test_verify_names_an_altered_release_and_goes_on(
    copied: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with session.storing(copied) as running:
        store, keys = running.store, KeyRing.load(copied / "keys")
        bad, good = (
            sealed.seal(copied / name, name, slope=1.0, store=store, keys=keys).uri
            for name in ("bad", "good")
        )
        alter(store, Address.parse(bad.removeprefix("sealed+")) / "files/model.onnx")

    assert main(["verify", "--state", str(copied)]) == 3
    words = said(capsys)
    assert f"{bad}, model.onnx: sealed bytes have digest" in words
    assert f"verified: {good}" in words
    assert "1 of 3 releases" in words


# serve


def test_serve_without_a_champion_says_how_to_get_one(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "delays", "--state", str(tmp_path)]) == 2
    assert "delays: has no champion yet; `make run` makes one" in said(capsys)


def test_serve_knows_the_models_of_the_project(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "delay", "--state", str(tmp_path)]) == 2
    assert "project flights has 'delays'" in said(capsys)


def test_serve_prints_a_request_that_works_and_stops_everything_on_ctrl_c(
    copied: pathlib.Path,
) -> None:
    command = [sys.executable, "-m", "pipelines", "serve", "delays", "--state", str(copied)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        curl = next(line for line in _lines(serving.stdout) if line.startswith("curl "))
        answered = subprocess.run(shlex.split(curl), capture_output=True, check=True)
        serving.send_signal(signal.SIGINT)

    assert json.loads(answered.stdout)["outputs"][0]["data"] == [0.5]
    assert serving.returncode == 130
    assert [line for line in _processes() if str(copied) in line] == []


def _lines(stream: IO[str]) -> Iterator[str]:
    """Yield lines as they come; a test's time limit ends a wait in vain."""
    while line := stream.readline():
        yield line


def _processes() -> Iterator[str]:
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError):
            continue
