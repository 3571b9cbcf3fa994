import json
import pathlib

import numpy as np
import pyarrow as pa
import pytest
from kfp import dsl

from components.foundation.sealing.keys import KeyRing
from components.foundation.storage import ObjectStore
from components.foundation.tables import TableRef, Tables
from tests.inference.models import write_model


@pytest.fixture
def keys(environment: None, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> KeyRing:
    """The site's key ring, where a step finds it."""
    monkeypatch.setenv("FALAJ_KEYS", str(tmp_path / "keys"))
    return KeyRing.create(tmp_path / "keys")


@pytest.fixture
def model(tmp_path: pathlib.Path) -> dsl.Model:
    return dsl.Model(uri=str(write_model(tmp_path / "onnx")))


@pytest.fixture
def profile(tmp_path: pathlib.Path) -> dsl.Artifact:
    (tmp_path / "profile").write_text(json.dumps({"columns": []}))
    return dsl.Artifact(uri=str(tmp_path / "profile"))


@pytest.fixture
def evaluation(tmp_path: pathlib.Path) -> dsl.Artifact:
    (tmp_path / "evaluation").write_text(json.dumps({"auc": 0.7}))
    return dsl.Artifact(uri=str(tmp_path / "evaluation"))


@pytest.fixture
def rows(store: ObjectStore, tables: Tables, unique: str) -> str:
    """A table of 100 rows with what the model wants, some of it missing."""
    delay = np.linspace(-3, 3, 100, dtype=np.float32)
    table = pa.table(
        {
            "delay": pa.array(delay, mask=np.arange(100) % 7 == 0),
            "carrier": pa.array(np.arange(100) % 3, pa.int64()),
            "label": pa.array(np.arange(100) % 2, pa.int64()),
        }
    )
    return str(tables.replace(TableRef("falaj-features", unique), table))
