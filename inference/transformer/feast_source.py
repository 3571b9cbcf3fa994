"""A feature service of a Feast repository, read from its online store."""

import pathlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Self

from components.foundation.errors import UserError, nearest
from components.foundation.signature import Tensor
from inference.transformer.lookup import Entities
from inference.transformer.plan import Columns

if TYPE_CHECKING:
    from feast import FeatureStore, FeatureView

    from components.features.repository import Repository

_KEYS: Final = {"String": "BYTES", "Int32": "INT32", "Int64": "INT64"}


@dataclass(frozen=True, slots=True)
class Feature:
    """Where a feature is, and how long its value holds; None is for ever."""

    reference: str
    seconds: float | None


@dataclass(frozen=True, slots=True)
class FeastSource:
    """An open store; its registry is not read again."""

    store: "FeatureStore"
    keys: tuple[Tensor, ...]
    known: Mapping[str, Feature]

    @classmethod
    def open(
        cls,
        package: str,
        *,
        service: str,
        registry: str | None,
        environment: Mapping[str, str],
        cache: pathlib.Path,
    ) -> Self:
        """Open a feature service.

        Args:
            package: the Feast repository.
            service: the feature service.
            registry: the pinned definitions; None takes whatever they are now.
            environment: what fills the repository's feature_store.yaml.
            cache: a folder for what Feast keeps.

        Raises:
            UserError: no such repository or service, or the definitions are not the pinned ones.
        """
        from components.features.registry_store.reference import RegistryRef
        from components.features.repository import check_unchanged

        pinned = None if registry is None else RegistryRef.parse(registry)
        store = _repository(package, environment, cache).store(registry=pinned)
        # Feast declares no types here.
        store.refresh_registry()  # type: ignore[no-untyped-call]
        source = cls(store, *_described(store, service))
        if pinned is not None:
            check_unchanged(pinned)  # as it was before, so what was read between is the same
        return source

    @property
    def features(self) -> tuple[str, ...]:
        return tuple(self.known)

    def lookup(self, entities: Entities, features: Sequence[str]) -> Columns:
        """Return these features; a value older than its view's ttl is none, as in training."""
        answer = self.store.get_online_features(
            features=[self.known[name].reference for name in features],
            entity_rows=[dict(entity) for entity in entities],
        ).to_dict(include_event_timestamps=True)
        now = time.time()
        return {name: _alive(answer, name, self.known[name].seconds, now) for name in features}


def _repository(package: str, environment: Mapping[str, str], cache: pathlib.Path) -> "Repository":
    """Load a repository whose registry is kept once it is read, where Feast reads it again."""
    from components.features.repository import Repository

    loaded = Repository.load(package, environment, cache=cache)
    kept = {**loaded.config["registry"], "cache_ttl_seconds": 0}
    return replace(loaded, config={**loaded.config, "registry": kept})


def _alive(answer: Mapping[str, Any], name: str, seconds: float | None, now: float) -> list[Any]:
    values, since = answer[name], answer[f"{name}__ts"]
    if seconds is None:
        return list(values)
    oldest = now - seconds
    return [
        value if moment >= oldest else None for value, moment in zip(values, since, strict=True)
    ]


def _described(
    store: "FeatureStore", service: str
) -> tuple[tuple[Tensor, ...], dict[str, Feature]]:
    """Return a service's keys and features."""
    services = {found.name: found for found in store.list_feature_services()}
    if service not in services:
        raise UserError(
            f"feature service {service!r}: unknown; {nearest(service, list(services))}",
            code="feature-service-unknown",
        )
    views = {view.name: view for view in store.list_feature_views()}
    keys: dict[str, Tensor] = {}
    known: dict[str, Feature] = {}
    for projection in services[service].feature_view_projections:
        view = views.get(projection.name)
        if view is None or projection.join_key_map or projection.name_alias:
            raise UserError(
                f"feature service {service}: {projection.name!r} is computed or renamed on the "
                "way; expected feature views as they are",
                code="transformer-features",
            )
        keys |= {tensor.name: tensor for tensor in _keys(view)}
        seconds = view.ttl.total_seconds() if view.ttl else None
        for feature in projection.features:
            known[feature.name] = Feature(f"{view.name}:{feature.name}", seconds)
    return tuple(keys.values()), known


def _keys(view: "FeatureView") -> list[Tensor]:
    columns = [column for column in view.entity_columns if column.name != "__dummy_id"]
    for column in columns:
        if str(column.dtype) not in _KEYS:
            raise UserError(
                f"feature view {view.name}: key {column.name!r} is {column.dtype}; expected "
                f"one of {', '.join(_KEYS)}",
                code="transformer-features",
            )
    return [Tensor(column.name, _KEYS[str(column.dtype)]) for column in columns]
