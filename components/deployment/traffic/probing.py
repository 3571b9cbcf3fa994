"""What a cluster has to split traffic with, as far as we may see it."""

import json
from dataclasses import dataclass
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

SETTINGS = "/api/v1/namespaces/kserve/configmaps/inferenceservice-config"
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
    """

    kserve: bool
    routes: bool
    gateway: str | None
    knative: bool
    autoscaler: bool | None
    mode: str | None
    gateway_api: bool | None


def probe(cluster: Cluster, gateway: str) -> Found:
    """Look at what a cluster has.

    Args:
        cluster: where.
        gateway: the Gateway that would carry a route, NAME or NAMESPACE/NAME.
    """
    kinds = discovery.kinds(cluster, GATEWAY.api_version)
    knative = discovery.serves(cluster, KSERVICE)
    mode, gateway_api = _settings(_seen(cluster, SETTINGS))
    settings = _seen(cluster, AUTOSCALER) if knative else {}
    return Found(
        kserve=discovery.serves(cluster, INFERENCE_SERVICE),
        routes=HTTP_ROUTE.kind in kinds,
        gateway=_gateway(cluster, gateway) if GATEWAY.kind in kinds else None,
        knative=knative,
        autoscaler=None if settings is None else bool(settings),
        mode=mode,
        gateway_api=gateway_api,
    )


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


def _gateway(cluster: Cluster, gateway: str) -> str | None:
    namespace, _, name = gateway.rpartition("/")
    namespace = namespace or cluster.namespace
    found = _seen(cluster, GATEWAY.path(namespace, name))
    if found is None:
        return None
    if not found:
        return f"there is no Gateway {namespace}/{name}"
    for one in found.get("status", {}).get("conditions", []):
        if one["type"] in ("Accepted", "Programmed") and one["status"] == "False":
            why = one.get("message") or one.get("reason")
            return f"Gateway {namespace}/{name} is not {one['type'].lower()}: {why}"
    return ""
