"""What a cluster has to split traffic with, as far as we may see it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from components.foundation.errors import Refused
from components.foundation.kubernetes import discovery
from components.foundation.kubernetes.client import Cluster, Manifest
from components.foundation.kubernetes.resources import (
    GATEWAY,
    HTTP_ROUTE,
    INFERENCE_SERVICE,
    Resource,
)
from components.foundation.storage import NotFound

KSERVICE = Resource("serving.knative.dev/v1", "Service", "services")

NAMESPACES = ("kserve", "kubeflow")  # of KServe: its own installation's, and Kubeflow's
SETTINGS = tuple(
    f"/api/v1/namespaces/{one}/configmaps/inferenceservice-config" for one in NAMESPACES
)
AUTOSCALER = "/api/v1/namespaces/knative-serving/configmaps/config-autoscaler"


@dataclass(frozen=True, slots=True)
class Found:
    """What is there; None is what we may not see.

    Attributes:
        kserve: its InferenceServices.
        routes: Gateway API's HTTPRoutes.
        gateway: why the Gateway is of no use; empty when it accepts, None when it is not seen.
        knative: Knative's Services.
        autoscaler: the settings without which KServe makes no Knative Service, and says nothing.
        mode: KServe's default for a service that names none.
        gateway_api: whether KServe makes routes of Gateway API.
        conditions: what the Gateway says of itself, by the condition's type.
        unseen: the paths of what we may not see.
    """

    kserve: bool
    routes: bool
    gateway: str | None
    knative: bool
    autoscaler: bool | None
    mode: str | None
    gateway_api: bool | None
    conditions: Mapping[str, str] = field(default_factory=dict)
    unseen: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Say what was found, for evidence; what is not known is left out.

        Evidence is an output of a step, and kfp.local takes no null in one.
        """
        known = {name: value for name, value in asdict(self).items() if value is not None}
        return {**known, "unseen": list(self.unseen)}


def probe(cluster: Cluster, gateway: str) -> Found:
    """Look at what a cluster has.

    Args:
        cluster: where.
        gateway: the Gateway that would carry a route, NAME or NAMESPACE/NAME.
    """
    kinds = discovery.kinds(cluster, GATEWAY.api_version)
    knative = discovery.serves(cluster, KSERVICE)
    at = _Gateway.named(gateway, cluster.namespace)
    paths = {AUTOSCALER: knative, at.path: GATEWAY.kind in kinds}
    seen = _kserve(cluster)
    mode, gateway_api = _settings(next(filter(None, seen.values()), None))
    seen |= {path: _seen(cluster, path) for path, asked in paths.items() if asked}
    settings = seen.get(AUTOSCALER, {})
    return Found(
        kserve=discovery.serves(cluster, INFERENCE_SERVICE),
        routes=HTTP_ROUTE.kind in kinds,
        gateway=at.no_use(seen.get(at.path)),
        knative=knative,
        autoscaler=None if settings is None else bool(settings),
        mode=mode,
        gateway_api=gateway_api,
        conditions={one["type"]: one["status"] for one in _conditions(seen.get(at.path))},
        unseen=tuple(path for path, found in seen.items() if found is None),
    )


def _kserve(cluster: Cluster) -> dict[str, Manifest | None]:
    """Look for KServe's settings; where they are found, other places do not matter."""
    seen: dict[str, Manifest | None] = {}
    for path in SETTINGS:
        seen[path] = _seen(cluster, path)
        if seen[path]:
            return {path: seen[path]}
    return seen


def _seen(cluster: Cluster, path: str) -> Manifest | None:
    """Return what lies at a path: nothing when it is not there, None when we may not see it."""
    try:
        return cluster.look(path)
    except NotFound:
        return {}
    except Refused:
        return None


def _settings(found: Manifest | None) -> tuple[str | None, bool | None]:
    """Read KServe's mode, and whether it uses Gateway API, from its ConfigMap."""
    data = (found or {}).get("data", {})
    deploy, ingress = _json(data.get("deploy")), _json(data.get("ingress"))
    uses = ingress.get("enableGatewayApi")
    return deploy.get("defaultDeploymentMode"), None if uses is None else str(uses) == "True"


def _json(text: str | None) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True)
class _Gateway:
    """The Gateway that would carry a route."""

    namespace: str
    name: str

    @classmethod
    def named(cls, text: str, home: str) -> "_Gateway":
        namespace, _, name = text.rpartition("/")
        return cls(namespace or home, name)

    @property
    def path(self) -> str:
        return GATEWAY.path(self.namespace, self.name)

    def no_use(self, found: Manifest | None) -> str | None:
        """Say why it carries nothing; empty when it does, None when it is not seen."""
        if found is None:
            return None
        if not found:
            return f"there is no Gateway {self.namespace}/{self.name}"
        for one in _conditions(found):
            if one["type"] in ("Accepted", "Programmed") and one["status"] == "False":
                why = one.get("message") or one.get("reason")
                return f"Gateway {self.namespace}/{self.name} is not {one['type'].lower()}: {why}"
        return ""


def _conditions(gateway: Manifest | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (gateway or {}).get("status", {}).get("conditions", [])
    return found
