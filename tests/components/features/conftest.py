"""A small Feast repository over Delta tables of its own, made anew for every test."""

import datetime
import pathlib
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest

from components.foundation.tables import TableRef, Tables

NOON = datetime.datetime(2013, 1, 1, 12, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)
STAMP = pa.timestamp("us", tz="UTC")

_DEFINITIONS = """
import datetime
from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.data_format import DeltaFormat
from feast.types import Float64, Int64

origin = Entity(name="origin", value_type=ValueType.STRING)
weather = FeatureView(
    name="weather",
    entities=[origin],
    ttl=datetime.timedelta(hours=6),
    schema=[Field(name="temp", dtype=Float64), Field(name="gusts", dtype=Int64)],
    source=FileSource(
        name="weather",
        path="s3://falaj-curated/PROJECT/weather",
        file_format=DeltaFormat(),
        timestamp_field="seen",
        created_timestamp_column="written",
        field_mapping={"gust_count": "gusts"},
    ),
)
lateness = FeatureService(name="lateness", features=[weather])
"""
_STORE = """
project: PROJECT
provider: local
registry:
  registry_store_type: components.features.registry_store.object.ObjectRegistryStore
  path: s3://falaj-features/PROJECT/registry.db
offline_store:
  type: components.features.offline_store.delta.DeltaOfflineStore
  cache: ${FALAJ_CACHE}
online_store:
  type: sqlite
  path: ${FALAJ_ONLINE_STORE}
materialization:
  pull_latest_features: true
entity_key_serialization_version: 3
"""


@dataclass(frozen=True)
class Small:
    """A repository's package, and how to fill its tables."""

    package: str
    folder: pathlib.Path
    tables: Tables

    @property
    def weather(self) -> TableRef:
        return TableRef("falaj-curated", f"{self.package}/weather")

    @property
    def flights(self) -> TableRef:
        return TableRef("falaj-curated", f"{self.package}/flights")

    def observe(self, *rows: tuple[str, float, float, float | None]) -> TableRef:
        """Append weather as (origin, hours after noon, written hours after noon, temperature)."""
        table = pa.table(
            {
                "origin": pa.array([row[0] for row in rows], pa.string()),
                "seen": pa.array([NOON + row[1] * HOUR for row in rows], STAMP),
                "written": pa.array([NOON + row[2] * HOUR for row in rows], STAMP),
                "temp": pa.array([row[3] for row in rows], pa.float64()),
                "gust_count": pa.array(range(len(rows)), pa.int64()),
            }
        )
        return self.tables.append(self.weather, table, transactions={})

    def fly(self, *rows: tuple[str | None, float, int | None]) -> TableRef:
        """Append flights as (origin, hours after noon, late)."""
        table = pa.table(
            {
                "origin": pa.array([row[0] for row in rows], pa.string()),
                "event_timestamp": pa.array([NOON + row[1] * HOUR for row in rows], STAMP),
                "late": pa.array([row[2] for row in rows], pa.int64()),
                "distance": pa.array([100.0 + i for i in range(len(rows))], pa.float64()),
            }
        )
        return self.tables.append(self.flights, table, transactions={})

    def add_view(self, name: str) -> None:
        """Define another view of the weather, under a name of its own."""
        file = self.folder / "definitions.py"
        file.write_text(
            f'{file.read_text()}\n{name} = FeatureView(name="{name}", entities=[origin], '
            "ttl=weather.ttl, schema=weather.schema, source=weather.batch_source)\n"
        )

    def redefine(self, old: str, new: str) -> None:
        file = self.folder / "definitions.py"
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing leave this machine: Feast must not call home, now or after an upgrade."""
    connect = socket.socket.connect

    def only_here(self: socket.socket, address: Any) -> None:
        assert not isinstance(address, tuple) or address[0] == "127.0.0.1", address
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", only_here)


@pytest.fixture
def small(
    environment: None,
    tables: Tables,
    unique: str,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Small:
    monkeypatch.setenv("FALAJ_ONLINE_STORE", str(tmp_path / "online.db"))
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = tmp_path / unique
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "definitions.py").write_text(_DEFINITIONS.replace("PROJECT", unique))
    (folder / "feature_store.yaml").write_text(_STORE.replace("PROJECT", unique))
    return Small(unique, folder, tables)


@pytest.fixture
def forget(small: Small) -> Callable[[], None]:
    """Forget the imported definitions, as a new process would."""
    import importlib
    import sys

    def forget() -> None:
        for name in [n for n in sys.modules if n.split(".")[0] == small.package]:
            del sys.modules[name]
        importlib.invalidate_caches()

    return forget
