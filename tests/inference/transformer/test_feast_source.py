"""A feature service of Feast, written to its SQLite online store and read from there."""

import datetime
import pathlib
import time
from typing import Any

import pytest

from components.features.registry_store.reference import RegistryRef
from components.features.repository import Repository
from components.foundation.errors import UserError
from components.foundation.storage import ObjectStore, Settings
from inference.transformer.feast_source import FeastSource
from tests.components.features.conftest import Small, no_network, small

__all__ = ["no_network", "small"]

pytestmark = pytest.mark.slow  # imports Feast and applies a repository


@pytest.fixture
def environment_of(s3: Settings, tmp_path: pathlib.Path) -> dict[str, str]:
    return {**s3.environment(), "FALAJ_ONLINE_STORE": str(tmp_path / "online.db")}


@pytest.fixture
def repository(small: Small, environment_of: dict[str, str], tmp_path: pathlib.Path) -> Repository:
    return Repository.load(small.package, environment_of, cache=tmp_path / "cache")


@pytest.fixture
def registry(repository: Repository, small: Small) -> RegistryRef:
    from components.features.apply_features.apply import apply

    small.observe(("EWR", 0, 0, 1.0))
    return apply(repository).registry


def remember(repository: Repository, *rows: tuple[str, float | None, int, float]) -> None:
    """Write (origin, temperature, gusts, hours ago) to the online store."""
    import pandas as pd

    now = datetime.datetime.now(datetime.UTC)
    seen = [now - datetime.timedelta(hours=row[3]) for row in rows]
    frame = {
        "origin": [row[0] for row in rows],
        "temp": [row[1] for row in rows],
        "gusts": [row[2] for row in rows],
        "seen": seen,
        "written": seen,
    }
    repository.store().write_to_online_store("weather", pd.DataFrame(frame))


def test_what_the_online_store_knows_is_found(
    repository: Repository,
    registry: RegistryRef,
    small: Small,
    environment_of: dict[str, str],
    tmp_path: pathlib.Path,
) -> None:
    remember(repository, ("EWR", 1.5, 3, 1), ("JFK", None, 4, 1), ("OLD", 9.0, 9, 7))
    source = FeastSource.open(
        small.package,
        service="lateness",
        registry=str(registry),
        environment=environment_of,
        cache=tmp_path / "cache",
    )

    asked = [{"origin": name} for name in ("JFK", "EWR", "OLD", "LGA")]
    found = source.lookup(asked, ["temp", "gusts"])

    assert [(key.name, key.datatype) for key in source.keys] == [("origin", "BYTES")]
    assert source.features == ("temp", "gusts")
    # OLD is older than the ttl of six hours, LGA was never seen.
    assert found == {"temp": [None, 1.5, None, None], "gusts": [4, 3, None, None]}


def test_definitions_stay_as_they_were_read(
    registry: RegistryRef,
    small: Small,
    store: ObjectStore,
    environment_of: dict[str, str],
    tmp_path: pathlib.Path,
) -> None:
    small.folder.joinpath("feature_store.yaml").write_text(
        (small.folder / "feature_store.yaml")
        .read_text()
        .replace("registry.db\n", "registry.db\n  cache_ttl_seconds: 1\n")
    )
    source = FeastSource.open(
        small.package,
        service="lateness",
        registry=str(registry),
        environment=environment_of,
        cache=tmp_path / "cache",
    )
    store.put(registry.address, b"what is no registry")
    time.sleep(1.1)

    assert source.lookup([{"origin": "EWR"}], ["temp"]) == {"temp": [None]}


@pytest.mark.parametrize(
    ("said", "why"),
    [
        pytest.param({"service": "latness"}, "feature-service-unknown", id="service"),
        pytest.param({"moved": True}, "registry-moved-on", id="other definitions"),
    ],
)
def test_refuses_what_is_not_the_pinned_service(
    registry: RegistryRef,
    small: Small,
    environment_of: dict[str, str],
    tmp_path: pathlib.Path,
    said: dict[str, Any],
    why: str,
) -> None:
    other = f"{registry.address}#sha256:{'0' * 64}"

    with pytest.raises(UserError) as caught:
        FeastSource.open(
            small.package,
            service=said.get("service", "lateness"),
            registry=other if "moved" in said else str(registry),
            environment=environment_of,
            cache=tmp_path / "cache",
        )

    assert caught.value.code == why
