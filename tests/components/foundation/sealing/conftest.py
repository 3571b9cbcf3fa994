import pathlib
from collections.abc import Callable

import pytest

from components.foundation.sealing import parallel, release
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.release import Release
from components.foundation.storage import ObjectStore
from tests.components.foundation.sealing.memory import Memory


@pytest.fixture
def keys(tmp_path: pathlib.Path) -> KeyRing:
    return KeyRing.create(tmp_path / "keys")


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """A release folder whose model takes three chunks."""
    path = tmp_path / "folder"
    (path / "extra").mkdir(parents=True)
    (path / "model.onnx").write_bytes(bytes(range(256)) * 9000)
    (path / "signature.json").write_text('{"inputs": []}')
    (path / "contract.yaml").write_text("table: flights")
    (path / "extra/empty.txt").touch()
    return path


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the order of operations the same in every run, so that each has its number."""
    monkeypatch.setattr(parallel, "_MOST", 1)


@pytest.fixture
def seal(store: ObjectStore, keys: KeyRing, folder: pathlib.Path) -> Callable[..., Release]:
    def sealed(*, model: str, **facts: object) -> Release:
        return release.seal(folder, model=model, facts=facts, store=store, keys=keys)

    return sealed
