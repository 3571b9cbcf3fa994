"""Tables to train on: small, made up, with something to learn in them."""

import pathlib
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from components.foundation.tables import TableRef, Tables

FEATURES = ["wind", "hour", "carrier_code", "seats"]


def make_rows(count: int, seed: int) -> pa.Table:
    """Delays that depend on wind, hour and carrier; wind is sometimes missing."""
    random = np.random.default_rng(seed)
    wind = random.normal(10, 4, count)
    hour = random.uniform(0, 24, count)
    carrier = random.integers(0, 6, count)
    logit = -2 + 0.3 * (wind - 10) + 0.1 * (hour - 12) + 0.4 * (carrier - 3)
    late = (random.random(count) < 1 / (1 + np.exp(-logit))).astype(np.int64)
    return pa.table(
        {
            "wind": pa.array(np.where(random.random(count) < 0.2, np.nan, wind)),
            "hour": pa.array(hour),
            "carrier_code": pa.array(carrier),
            "seats": pa.array(random.integers(50, 300, count), mask=random.random(count) < 0.1),
            "name": pa.array([f"flight {i}" for i in range(count)]),
            "late": pa.array(late, mask=random.random(count) < 0.05),
        }
    )


@pytest.fixture(scope="session")
def rows() -> Callable[[int, int], pa.Table]:
    return make_rows


@pytest.fixture
def training(tables: Tables, unique: str, environment: None) -> dict[str, object]:
    """Arguments of a trainer: two tables on the real store, features, a label."""
    train = tables.replace(TableRef("falaj-features", f"{unique}/train"), make_rows(3000, 1))
    validation = tables.replace(TableRef("falaj-features", f"{unique}/val"), make_rows(1000, 2))
    return {
        "train": str(train),
        "validation": str(validation),
        "features": FEATURES,
        "label": "late",
        "epochs": 3,
        "batch_size": 256,
    }


@pytest.fixture
def user_code(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, unique: str):  # type: ignore[no-untyped-def]  # a fixture that makes functions
    """Write a module of a user; return the name to import it by."""

    def write(text: str) -> str:
        (tmp_path / f"{unique}_models.py").write_text(text)
        monkeypatch.syspath_prepend(str(tmp_path))
        return f"{unique}_models"

    return write
