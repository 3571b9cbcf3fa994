import datetime
import json
import pathlib
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from components.deployment.score_batch.component import score_batch
from components.foundation.sealing import channel
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.release import Release
from components.foundation.storage import ObjectStore
from components.foundation.tables import TableRef, Tables
from tests.components.deployment import sealed

pytestmark = pytest.mark.usefixtures("environment")


@pytest.fixture
def keys(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> KeyRing:
    monkeypatch.setenv("FALAJ_KEYS", str(tmp_path / "keys"))
    return KeyRing.create(tmp_path / "keys")


@pytest.fixture
def release(tmp_path: pathlib.Path, unique: str, store: ObjectStore, keys: KeyRing) -> Release:
    return sealed.seal(tmp_path / "model", unique, slope=1.0, store=store, keys=keys)


def rows(*days: int, distance: float | None = 1.0) -> pa.Table:
    times = [datetime.datetime(2013, 8, day, 12, tzinfo=datetime.UTC) for day in days]
    return pa.table(
        {
            "flight": [f"f{day}" for day in days],
            "at": pa.array(times, pa.timestamp("us", tz="UTC")),
            "distance": pa.array([distance] * len(days), pa.float64()),
            "hour": pa.array([12] * len(days), pa.int64()),
        }
    )


@pytest.fixture
def source(tables: Tables, unique: str) -> TableRef:
    return tables.append(TableRef("falaj-features", unique), rows(1, 2), transactions={})


def scored(source: TableRef, sealed_as: Release, **changes: Any) -> Any:
    arguments = {
        "rows": str(source),
        "target": f"s3://falaj-curated/observations/{sealed_as.model}",
        "model_name": sealed_as.model,
        "id_column": "flight",
        "time_column": "at",
        "release": sealed_as.uri,
    }
    return score_batch.python_func(**{**arguments, **changes})


def observations(tables: Tables, ref: str) -> list[dict[str, Any]]:
    found = tables.read(TableRef.parse(ref)).sort_by(
        [("time", "ascending"), ("version", "ascending")]
    )
    listed: list[dict[str, Any]] = found.to_pylist()
    return listed


def test_every_row_is_scored_and_observed(
    tables: Tables, source: TableRef, release: Release
) -> None:
    table, count, version = scored(source, release)

    first, second = observations(tables, table)
    assert (count, version) == (2, release.version)
    assert first["score"] == pytest.approx(1 / (1 + np.exp(-1)), rel=1e-5)
    assert (first["id"], first["variant"], first["date"]) == (
        "f1",
        "batch",
        datetime.date(2013, 8, 1),
    )
    assert (first["model"], first["version"]) == (release.model, release.version)
    assert json.loads(second["features"]) == {"distance": 1.0, "hour": 12}


def test_missing_features_are_null_in_what_was_observed(
    tables: Tables, unique: str, release: Release
) -> None:
    source = tables.append(
        TableRef("falaj-features", unique), rows(1, distance=None), transactions={}
    )

    table, *_ = scored(source, release)

    (only,) = observations(tables, table)
    assert json.loads(only["features"]) == {"distance": None, "hour": 12}
    assert only["score"] == pytest.approx(0.5)


def test_the_same_rows_and_release_again_write_nothing(source: TableRef, release: Release) -> None:
    first, *_ = scored(source, release)

    assert scored(source, release)[0] == first


def test_newer_rows_replace_exactly_their_dates(
    tables: Tables, source: TableRef, release: Release
) -> None:
    scored(source, release)
    newer = tables.replace(source, rows(2, 3, distance=2.0))

    table, count, _ = scored(newer, release)

    assert count == 2
    seen = [(o["id"], round(o["score"], 3)) for o in observations(tables, table)]
    assert seen == [("f1", 0.731), ("f2", 0.881), ("f3", 0.881)]


def test_another_release_and_live_observations_stay(
    tables: Tables,
    source: TableRef,
    release: Release,
    tmp_path: pathlib.Path,
    store: ObjectStore,
    keys: KeyRing,
) -> None:
    other = sealed.seal(tmp_path / "other", release.model, slope=2.0, store=store, keys=keys)

    scored(source, release)
    table, *_ = scored(source, other)

    seen = {(o["id"], o["version"]) for o in observations(tables, table)}
    assert len(seen) == 4


def test_batches_give_what_one_batch_gives(tables: Tables, unique: str, release: Release) -> None:
    source = tables.append(TableRef("falaj-features", unique), rows(*range(1, 8)), transactions={})

    table, count, _ = scored(source, release, batch_rows=3)

    assert count == len(observations(tables, table)) == 7


def test_without_a_name_the_champion_scores(
    source: TableRef, release: Release, store: ObjectStore, keys: KeyRing
) -> None:
    channel.move(release.model, release.uri, store=store, keys=keys, reason="test")

    assert scored(source, release, release="")[2] == release.version


def test_a_tampered_release_is_refused(
    tables: Tables,
    source: TableRef,
    release: Release,
    store: ObjectStore,
    capsys: pytest.CaptureFixture[str],
) -> None:
    address = release.location.address / "files" / "model.onnx"
    data = bytearray(store.get(address))
    data[-1] ^= 1
    store.put(address, bytes(data))

    with pytest.raises(SystemExit) as stopped:
        scored(source, release)

    assert stopped.value.code == 3
    target = TableRef("falaj-curated", f"observations/{release.model}")
    assert not tables.exists(target)
    assert "model.onnx" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (rows(1).drop_columns(["distance"]), "'distance'"),
        (rows(1).drop_columns(["at"]), "'at'"),
        (pa.concat_tables([rows(1), rows(1)]), "every row needs an id"),
        (rows(), "no rows to score"),
    ],
    ids=["feature missing", "time missing", "id twice", "no rows"],
)
def test_rows_that_cannot_be_scored_are_a_user_error(
    tables: Tables,
    unique: str,
    release: Release,
    table: pa.Table,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = tables.append(TableRef("falaj-features", unique), table, transactions={})

    with pytest.raises(SystemExit) as stopped:
        scored(source, release)

    assert stopped.value.code == 2
    assert said in capsys.readouterr().err
