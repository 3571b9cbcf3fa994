"""Make a registry say what a repository defines, no more and no less."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.features.registry_store.reference import RegistryRef
from components.features.repository import Repository, path_of

if TYPE_CHECKING:
    from feast import FeatureStore, FeatureView


@dataclass(frozen=True, slots=True)
class View:
    """A registered feature view, as a person wants to see it."""

    name: str
    keys: tuple[str, ...]
    features: tuple[str, ...]
    source: str
    ttl: str
    description: str


@dataclass(frozen=True, slots=True)
class Applied:
    """A registry and the views that it now has, by name."""

    registry: RegistryRef
    views: tuple[View, ...]


def apply(repository: Repository) -> Applied:
    """Register a repository's definitions, and delete those it no longer has.

    Applying twice writes once. The registry is left alone if another step changes it
    meanwhile.

    Raises:
        UserError: the package or a definition is wrong.
        InfrastructureError: somebody else applied at the same time.
    """
    store = repository.store()
    wanted = repository.objects()
    store.apply(wanted, objects_to_delete=_gone(store, wanted), partial=False)
    from components.features.registry_store import object as stored

    registry = RegistryRef(repository.registry, stored.digest_at(repository.registry))
    views = sorted(store.list_feature_views(), key=lambda view: view.name)
    return Applied(registry, tuple(map(_view, views)))


def _view(view: "FeatureView") -> View:
    return View(
        name=view.name,
        keys=tuple(column.name for column in view.entity_columns),
        features=tuple(feature.name for feature in view.features),
        source=path_of(view),
        ttl=str(view.ttl) if view.ttl else "for ever",
        description=view.description,
    )


def _gone(store: "FeatureStore", wanted: Sequence[Any]) -> list[Any]:
    """List what the registry has and the repository does not, views before their entities."""
    from feast.feature_view import DUMMY_ENTITY_NAME

    known = {(type(item), item.name) for item in [*wanted, *_sources(wanted)]}
    registered: list[Any] = [
        *store.list_feature_services(),
        *store.list_feature_views(),
        *store.list_on_demand_feature_views(),
        *store.list_data_sources(),
        *store.list_entities(),
    ]
    return [
        item
        for item in registered
        if (type(item), item.name) not in known and item.name != DUMMY_ENTITY_NAME
    ]


def _sources(wanted: Sequence[Any]) -> list[Any]:
    sources = (getattr(item, "batch_source", None) for item in wanted)
    return [source for source in sources if source is not None]
