"""The Kubernetes API as its administrator: any kind of object, and the status of things."""

import hashlib
import json
from dataclasses import dataclass

from components.foundation.kubernetes.client import Cluster, Manifest
from components.foundation.kubernetes.resources import Resource

_WANTED = "standin.falaj.example/wanted"
_KEPT = ("replicas", "clusterIP", "clusterIPs")  # what others set in an object that we replace


@dataclass(frozen=True, slots=True)
class ClusterWide(Resource):
    """A kind of object that has no namespace."""

    def path(self, namespace: str, name: str | None = None) -> str:
        return "/".join(["/apis", self.api_version, self.plural, *([name] if name else [])])


@dataclass(frozen=True, slots=True)
class Status(Resource):
    """The status of a kind of object."""

    def path(self, namespace: str, name: str | None = None) -> str:
        return f"{Resource.path(self, namespace, name)}/status"


@dataclass(frozen=True)
class Api(Cluster):
    """One namespace of one API server."""

    def post(self, resource: Resource, manifest: Manifest) -> Manifest:
        return self._call("POST", resource, self.namespace, None, manifest)

    def put(self, resource: Resource, manifest: Manifest) -> Manifest:
        return self._call("PUT", resource, self.namespace, manifest["metadata"]["name"], manifest)

    def tell(self, resource: Resource, found: Manifest, status: Manifest) -> None:
        """Replace the status of an object, if it says something else."""
        if found.get("status") != status:
            part = Status(resource.api_version, resource.kind, resource.plural)
            self.put(part, {**found, "status": status})

    def ensure(self, resource: Resource, wanted: Manifest) -> None:
        """Make an object as wanted; one that was last made so is left alone."""
        mark = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:16]
        metadata = {**wanted["metadata"], "annotations": {_WANTED: mark}}
        found = self.find(resource, metadata["name"])
        if found is None:
            self.post(resource, {**wanted, "metadata": metadata})
        elif found["metadata"].get("annotations", {}).get(_WANTED) != mark:
            metadata["resourceVersion"] = found["metadata"]["resourceVersion"]
            kept = {name: found["spec"][name] for name in _KEPT if name in found["spec"]}
            self.put(resource, {**wanted, "metadata": metadata, "spec": {**wanted["spec"], **kept}})
