import pathlib
from collections.abc import Iterator

import pytest

from tests.components.foundation.sealing.keys import openbao
from tests.components.foundation.sealing.keys.openbao import OpenBao


@pytest.fixture(scope="session")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenBao]:
    with openbao.running(tmp_path_factory.mktemp("openbao")) as server:
        yield server


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """A release folder of one small model."""
    path = tmp_path / "model"
    path.mkdir()
    (path / "model.onnx").write_bytes(bytes(range(256)) * 100)
    (path / "contract.yaml").write_text("table: flights")
    return path
