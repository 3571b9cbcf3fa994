"""Releases that were changed, and key rings that do not fit."""

import json
import pathlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from kfp import dsl

from components.foundation.sealing import channel, release
from components.foundation.sealing.keys import KeyRing
from components.foundation.storage import Address, ObjectStore
from components.release.open_profile.component import open_profile
from tests.bad_input.said import Fails, Said, check


@pytest.fixture
def sealed(
    store: ObjectStore, tmp_path: pathlib.Path, unique: str, monkeypatch: pytest.MonkeyPatch
) -> str:
    """A release that a channel points at, with a profile in it."""
    keys = KeyRing.create(tmp_path / "keys")
    monkeypatch.setenv("FALAJ_KEYS", str(tmp_path / "keys"))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "profile.json").write_text(json.dumps({"columns": [], "told": "x" * 100}))
    uri = release.seal(folder, model=unique, facts={}, store=store, keys=keys).uri
    channel.move(unique, uri, store=store, keys=keys, reason="first")
    return uri


def opened(fails: Fails, uri: str, folder: pathlib.Path) -> Said:
    profile = dsl.Artifact(uri=str(folder / "out/profile"))
    said = fails(open_profile, release=uri, model_name=uri.split("/")[-2], profile=profile)
    assert not (folder / "out/profile").exists()
    return said


def spoilt(store: ObjectStore, uri: str, change: Callable[[bytes], bytes], name: str) -> None:
    """Change the release's object whose key has `name` in it."""
    prefix = Address.parse(uri.removeprefix("sealed+"))
    for item in list(store.list(prefix)):
        if name in item.address.key:
            store.put(item.address, change(store.get(item.address)))


@pytest.mark.parametrize(
    ("change", "name", "code"),
    [
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "profile", "release-altered"),
        (lambda data: data[: len(data) // 2], "profile", "release-altered"),
        (lambda data: b"{}", "statement", "unsigned"),
    ],
    ids=["tampered", "truncated", "unsigned"],
)
def test_a_release_that_is_not_as_it_was_sealed(
    fails: Fails, sealed: str, store: ObjectStore, tmp_path: pathlib.Path, change: Any, name: str,
    code: str,
) -> None:  # fmt: skip
    spoilt(store, sealed, change, name)

    check(opened(fails, sealed, tmp_path), code)


def test_a_key_ring_of_somebody_else(
    fails: Fails, sealed: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    KeyRing.create(tmp_path / "others")
    monkeypatch.setenv("FALAJ_KEYS", str(tmp_path / "others"))

    check(opened(fails, sealed, tmp_path), "signer-unknown", "use the ring of whoever signed it")


def test_no_key_ring(
    fails: Fails, sealed: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with suppress(KeyError):
        monkeypatch.delenv("FALAJ_KEYS")

    check(opened(fails, sealed, tmp_path), "keys-unset", "FALAJ_KEYS is not set")
