"""`falaj channels`: a channel is shown with its history, signed anew, or refused."""

import os
import pathlib

import pytest

from components.foundation.sealing import channel, release
from components.foundation.sealing.keys import KeyRing
from components.foundation.storage import Address, ObjectStore
from pipelines.__main__ import main


@pytest.fixture
def moved(
    tmp_path: pathlib.Path,
    environment: None,
    store: ObjectStore,
    unique: str,
    monkeypatch: pytest.MonkeyPatch,
) -> list[str]:
    """The releases that a champion's channel pointed at, oldest first."""
    monkeypatch.setenv("FALAJ_KEYS", str(tmp_path / "keys"))
    keys, folder, uris = KeyRing.create(tmp_path / "keys"), tmp_path / "plain", []
    folder.mkdir()
    for number in range(2):
        (folder / "model.onnx").write_bytes(b"weights %d" % number)
        made = release.seal(folder, model=unique, facts={}, store=store, keys=keys)
        channel.move(unique, made.uri, store=store, keys=keys, reason=f"reason {number}")
        uris.append(made.uri)
    return uris


def test_a_channel_is_shown_newest_move_first(
    moved: list[str], unique: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["channels", unique]) == 0

    first, *moves = capsys.readouterr().out.splitlines()
    assert first.startswith(f"s3://falaj-models/{unique}/channel/champion@2, signed 20")
    assert [line.split()[0] for line in moves] == ["2", "1"]
    assert [line.split()[2] for line in moves] == moved[::-1]
    assert moves[0].endswith("reason 1")


def test_renewing_changes_nothing_but_the_time_of_the_signature(
    moved: list[str], unique: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["channels", unique])
    before = capsys.readouterr().out.splitlines()

    assert main(["channels", unique, "--renew"]) == 0

    after = capsys.readouterr().out.splitlines()
    assert after[0] > before[0]
    assert after[1:] == before[1:]


def test_an_old_state_put_back_is_refused_by_name(
    moved: list[str], store: ObjectStore, unique: str, capsys: pytest.CaptureFixture[str]
) -> None:
    here = Address("falaj-models", f"{unique}/channel/champion")
    old = store.get(here)
    keys = KeyRing.from_environment(os.environ)
    channel.move(unique, moved[0], store=store, keys=keys, reason="back")
    store.put(here, old)

    assert main(["channels", unique, "--renew"]) == 3
    assert "an old state was put back" in capsys.readouterr().err


def test_a_channel_that_was_never_set_is_told(
    moved: list[str], unique: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["channels", unique, "--channel", "candidate"]) == 2
    assert "points nowhere yet" in capsys.readouterr().err
