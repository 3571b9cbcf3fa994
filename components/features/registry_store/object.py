"""The registry store that feature_store.yaml names; Feast imports this module.

    registry:
      registry_store_type: components.features.registry_store.object.ObjectRegistryStore
      path: s3://falaj-features/flights/registry.db

Feast's own S3 registry needs boto3 and the last writer wins. Here a registry that says
nothing new is not written, and one that somebody else wrote meanwhile is not overwritten.
"""

import pathlib
import uuid
from collections.abc import Mapping
from typing import Any

from feast.infra.registry.registry_store import RegistryStore
from feast.protos.feast.core.Registry_pb2 import Registry
from feast.repo_config import RegistryConfig
from google.protobuf.json_format import MessageToDict

from components.features import settings
from components.foundation import digests
from components.foundation.errors import InfrastructureError
from components.foundation.storage import Address, Conflict, NotFound, ObjectStore

_TIMES = {"createdTimestamp", "lastUpdatedTimestamp", "lastUpdated", "versionId"}
# What Feast itself writes or leaves out from one apply of the same definitions to the next.
_FICKLE = {"dataSourceClassType"}
_NO_TTL = ("ttl", "0s")
_DEFINED = ("entities", "dataSources", "featureViews", "onDemandFeatureViews", "featureServices")
_ALSO_DEFINED = ("streamFeatureViews", "labelViews", "permissions")


class ObjectRegistryStore(RegistryStore):
    """One S3 object, moved by compare-and-swap."""

    def __init__(self, registry_config: RegistryConfig, repo_path: pathlib.Path | None) -> None:
        self._address = Address.parse(registry_config.path)
        self._store = ObjectStore(settings.object_store())
        self._etag: str | None = None
        self._content: Mapping[str, Any] = {}

    def get_registry_proto(self) -> Registry:
        """Read the object; raises FileNotFoundError, which Feast asks for, if there is none."""
        try:
            registry, self._etag = self._read()
        except NotFound as error:
            raise FileNotFoundError(str(self._address)) from error
        self._content = content(registry)
        return registry

    def update_registry_proto(self, registry_proto: Registry) -> None:
        """Write the registry if it says something new, and nobody else has said the same.

        Raises:
            InfrastructureError: somebody else wrote something other since we read it.
        """
        new = content(registry_proto)
        if self._etag is not None and new == self._content:
            return
        registry_proto.version_id = str(uuid.uuid4())
        registry_proto.last_updated.GetCurrentTime()
        data = registry_proto.SerializeToString()
        try:
            if self._etag is None:
                self._etag = self._store.create(self._address, data)
            else:
                self._etag = self._store.swap(self._address, data, etag=self._etag)
        except Conflict as error:
            # Only what says the same is taken over: who lost and tries again has to lose again.
            etag = self._etag_of(new)
            if etag is None:
                raise InfrastructureError(
                    f"registry {self._address}: another step changed it meanwhile; nothing was "
                    "written; run the step again",
                    code="registry-raced",
                ) from error
            self._etag = etag
        self._content = new

    def teardown(self) -> None:
        self._store.delete(self._address)

    def _read(self) -> tuple[Registry, str]:
        data, etag = self._store.get_with_etag(self._address)
        return _parsed(data), etag

    def _etag_of(self, said: Mapping[str, Any]) -> str | None:
        """Return the ETag of the object, if it is there and says this."""
        try:
            registry, etag = self._read()
        except NotFound:
            return None
        return etag if content(registry) == said else None


def content(registry: Registry) -> dict[str, Any]:
    """Return what a registry says, without when it was said."""
    said: dict[str, Any] = _without(MessageToDict(registry), _TIMES | _FICKLE)
    for kind, items in said.items():
        if kind in {*_DEFINED, *_ALSO_DEFINED}:
            items.sort(key=_place)
    return said


def definitions(registry: Registry) -> digests.Digest:
    """Digest what a registry defines, and neither its state nor its history."""
    said = _without(content(registry), {"meta"})
    return digests.of_json({k: said[k] for k in (*_DEFINED, *_ALSO_DEFINED) if k in said})


def digest_at(address: Address) -> digests.Digest:
    """Digest what the registry at an address defines; raises NotFound if there is none."""
    return definitions(_parsed(ObjectStore(settings.object_store()).get(address)))


def _parsed(data: bytes) -> Registry:
    registry = Registry()
    registry.ParseFromString(data)
    return registry


def _place(item: Mapping[str, Any]) -> tuple[str, str]:
    spec = item.get("spec", item)
    return spec.get("project", ""), spec.get("name", "")


def _without(value: Any, names: set[str]) -> Any:
    match value:
        case dict():
            kept = {k: v for k, v in value.items() if k not in names and (k, v) != _NO_TTL}
            return {k: _without(v, names) for k, v in kept.items()}
        case list():
            return [_without(item, names) for item in value]
        case _:
            return value
