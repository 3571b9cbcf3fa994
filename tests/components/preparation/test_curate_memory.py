"""The whole process keeps the memory limit, not only DuckDB."""

import json
import pathlib
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pytest

from components.foundation.storage import Settings
from components.foundation.tables import TableRef, Tables

ROWS, PARTS, KEYS = 5_000_000, 5, 1_000_000
CONTRACT = """
name: events
columns:
  - {name: id, type: int64, nullable: false}
  - {name: a, type: double, rules: [{range: {min: -4}}]}
keys:
  - columns: [id]
"""
NEWEST = "SELECT * FROM events QUALIFY row_number() OVER (PARTITION BY key ORDER BY time DESC) = 1"


def part(number: int) -> pa.Table:
    random = np.random.default_rng(number)
    size = ROWS // PARTS
    ids = np.arange(size) + number * size
    ids[:100] = ids[100:200]
    columns = {
        "id": ids,
        "key": random.integers(0, KEYS, size),
        "time": random.integers(0, 10**12, size),
        **{name: random.normal(size=size) for name in "abcd"},
        "word": random.choice(["falaj", "aflaj", "qanat"], size),
    }
    return pa.table({name: pa.array(values) for name, values in columns.items()})


@pytest.mark.slow
@pytest.mark.parametrize("memory_mb", [768, 1024])
def test_five_million_rows_with_a_contract_and_a_sort_keep_the_limit(
    tables: Tables, s3: Settings, unique: str, tmp_path: pathlib.Path, memory_mb: int
) -> None:
    ref = TableRef("falaj-raw", unique)
    for number in range(PARTS):
        pinned = tables.append(ref, part(number), transactions={})

    script = pathlib.Path(__file__).with_name("curate_alone.py")
    settings = json.dumps(s3.environment())
    arguments = [settings, str(pinned), str(tmp_path), NEWEST, CONTRACT, str(memory_mb)]
    started = time.perf_counter()
    ran = subprocess.run(
        [sys.executable, str(script), *arguments], check=True, capture_output=True, text=True
    )

    seen = json.loads(ran.stdout)
    print(f"\n{time.perf_counter() - started:.1f} s, {seen}")
    assert seen["bad"]["events: key id"] == pytest.approx(100 * PARTS, abs=5)
    assert seen["out"] > 0.98 * KEYS
    assert seen["peak_mb"] < memory_mb
