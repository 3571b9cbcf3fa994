"""Where objects live in the Kubernetes API: kinds and their paths."""

import urllib.parse
from dataclasses import dataclass
from typing import Any

from components.foundation.errors import UserError


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of namespaced object, with the name it has in paths."""

    api_version: str
    kind: str
    plural: str

    def path(self, namespace: str, name: str | None = None) -> str:
        """Return the path of one object, or of the collection when no name is given.

        Raises:
            ValueError: the name is empty; to delete that would be to delete all.
        """
        if name == "":
            raise ValueError(f"{self.kind} in {namespace}: expected a name, got an empty one")
        root = "api" if "/" not in self.api_version else "apis"
        parts = [root, *self.api_version.split("/"), "namespaces", namespace, self.plural]
        parts += [] if name is None else [name]
        return "/" + "/".join(urllib.parse.quote(part, safe="") for part in parts)

    @property
    def group(self) -> str:
        """The group, e.g. "serving.kserve.io"; empty for the core's kinds."""
        return self.api_version.rpartition("/")[0]


INFERENCE_SERVICE = Resource("serving.kserve.io/v1beta1", "InferenceService", "inferenceservices")
HTTP_ROUTE = Resource("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes")
CONFIG_MAP = Resource("v1", "ConfigMap", "configmaps")
DEPLOYMENT = Resource("apps/v1", "Deployment", "deployments")
EVENT = Resource("v1", "Event", "events")
GATEWAY = Resource("gateway.networking.k8s.io/v1", "Gateway", "gateways")

KNOWN = (INFERENCE_SERVICE, HTTP_ROUTE, CONFIG_MAP, DEPLOYMENT, EVENT)


def of(manifest: dict[str, Any]) -> Resource:
    """Return the resource of a manifest.

    Raises:
        UserError: the manifest names a kind that is not among the known ones.
    """
    named = (manifest.get("apiVersion", ""), manifest.get("kind", ""))
    for resource in KNOWN:
        if (resource.api_version, resource.kind) == named:
            return resource
    kinds = ", ".join(f"{r.api_version} {r.kind}" for r in KNOWN)
    raise UserError(
        f"manifest of {' '.join(named)!r}: expected one of {kinds}", code="kubernetes-kind-unknown"
    )
