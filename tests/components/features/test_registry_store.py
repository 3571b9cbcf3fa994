from typing import Any

import pytest

from components.foundation.errors import InfrastructureError
from components.foundation.storage import Address, ObjectStore


@pytest.fixture
def stores(environment: None, unique: str) -> tuple[Any, Any]:
    """Two processes that use one registry."""
    from components.features.repository import quickly_import_feast

    quickly_import_feast()
    from feast.repo_config import RegistryConfig

    from components.features.registry_store.object import ObjectRegistryStore

    config = RegistryConfig(path=f"s3://falaj-features/{unique}/registry.db")
    return ObjectRegistryStore(config, None), ObjectRegistryStore(config, None)


def _registry(*projects: str) -> Any:
    from feast.protos.feast.core.Registry_pb2 import Registry

    registry = Registry()
    for name in projects:
        registry.projects.add().spec.name = name
    return registry


def test_a_registry_comes_back_as_it_was_written(stores: tuple[Any, Any]) -> None:
    mine, theirs = stores
    with pytest.raises(FileNotFoundError):
        mine.get_registry_proto()

    mine.update_registry_proto(_registry("a"))

    assert [p.spec.name for p in theirs.get_registry_proto().projects] == ["a"]


def test_a_registry_that_says_nothing_new_is_not_written(
    stores: tuple[Any, Any], store: ObjectStore, unique: str
) -> None:
    mine, _ = stores
    address = Address("falaj-features", f"{unique}/registry.db")
    mine.update_registry_proto(_registry("a"))
    before = store.get_with_etag(address)

    mine.update_registry_proto(_registry("a"))

    assert store.get_with_etag(address) == before


def test_the_slower_of_two_writers_does_not_overwrite(stores: tuple[Any, Any]) -> None:
    mine, theirs = stores
    mine.update_registry_proto(_registry("a"))
    registry = theirs.get_registry_proto()
    mine.update_registry_proto(_registry("a", "b"))

    registry.projects.add().spec.name = "c"
    for _ in range(2):  # nor when it tries again with what it has
        with pytest.raises(InfrastructureError, match="another step changed it meanwhile"):
            theirs.update_registry_proto(registry)

    assert [p.spec.name for p in theirs.get_registry_proto().projects] == ["a", "b"]


def test_two_first_writers_cannot_both_win(stores: tuple[Any, Any]) -> None:
    mine, theirs = stores
    mine.update_registry_proto(_registry("a"))

    with pytest.raises(InfrastructureError, match="run the step again"):
        theirs.update_registry_proto(_registry("b"))


@pytest.mark.parametrize("known", [False, True], ids=["of the first", "of a later one"])
def test_two_writers_of_the_same_both_go_on(stores: tuple[Any, Any], known: bool) -> None:
    mine, theirs = stores
    if known:
        mine.update_registry_proto(_registry("a"))
        theirs.get_registry_proto()
    mine.update_registry_proto(_registry("a", "b"))

    theirs.update_registry_proto(_registry("a", "b"))
    theirs.update_registry_proto(_registry("a", "b", "c"))

    assert [p.spec.name for p in mine.get_registry_proto().projects] == ["a", "b", "c"]
