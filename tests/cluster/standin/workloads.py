"""The Deployment, Service and autoscaler of a part, and the routes of a service."""

from collections.abc import Set

from components.foundation.kubernetes.client import Manifest
from components.foundation.kubernetes.resources import DEPLOYMENT, HTTP_ROUTE, Resource
from tests.cluster.standin.asked import Asked, Part

SERVICE = Resource("v1", "Service", "services")
HPA = Resource("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
INGRESS = Resource("networking.k8s.io/v1", "Ingress", "ingresses")
DOMAIN = "example.com"
_GATEWAY = {"name": "kserve-ingress-gateway", "namespace": "kserve"}


def named(resource: Resource, asked: Asked, name: str, spec: Manifest) -> Manifest:
    """Return an object that the InferenceService owns."""
    owner = asked.manifest
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": asked.name,
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {
            "name": name,
            "namespace": asked.namespace,
            "labels": {"serving.kserve.io/inferenceservice": asked.name},
            "ownerReferences": [reference],
        },
        "spec": spec,
    }


def deployment(asked: Asked, part: Part, template: Manifest) -> Manifest:
    """Return a Deployment; that it starts with one replica is the API server's default."""
    selector = {"matchLabels": {"app": f"isvc.{part.name}"}}
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%"}}
    spec = {"selector": selector, "template": template, "strategy": rolling}
    return named(DEPLOYMENT, asked, part.name, spec)


def service(asked: Asked, part: Part) -> Manifest:
    port = {"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}
    spec = {"selector": {"app": f"isvc.{part.name}"}, "ports": [port]}
    return named(SERVICE, asked, part.name, spec)


def autoscaler(asked: Asked, part: Part) -> Manifest:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": part.name}
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}
    spec = {"scaleTargetRef": target, "minReplicas": part.floor, "maxReplicas": part.ceiling}
    return named(
        HPA, asked, part.name, {**spec, "metrics": [{"type": "Resource", "resource": cpu}]}
    )


def routes(asked: Asked, serving: Set[str]) -> list[Manifest]:
    """Return the HTTPRoutes of a service whose stable predictor serves; else there is none.

    Weights of canaries are in every one of them: past a transformer, where there is one.
    """
    if asked.local or asked.stopped or asked.front.name not in serving:
        return []
    found = [_route(asked, asked.name, asked.front, serving)]
    found.append(_route(asked, f"{asked.name}-predictor", asked.stable, serving))
    if asked.transformer:
        found.append(_route(asked, asked.transformer.name, asked.transformer, serving))
    return found


def ingress(asked: Asked) -> Manifest:
    """Return what there is without Gateway API: everything goes to the stable predictor."""
    backend = {"service": {"name": asked.front.name, "port": {"number": 80}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    rule = {"host": _host(asked, asked.name), "http": {"paths": [path]}}
    return named(INGRESS, asked, asked.name, {"rules": [rule]})


def _route(asked: Asked, name: str, first: Part, serving: Set[str]) -> Manifest:
    headers = {"KServe-Isvc-Name": asked.name, "KServe-Isvc-Namespace": asked.namespace}
    named_headers = [{"name": key, "value": value} for key, value in headers.items()]
    modifier = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": named_headers}}
    rule = {
        "matches": [{"path": {"type": "RegularExpression", "value": "^/.*$"}}],
        "filters": [modifier],
        "timeouts": {"request": "60s"},
        "backendRefs": _backends(asked, first, serving),
    }
    spec = {"parentRefs": [_GATEWAY], "hostnames": [_host(asked, name)], "rules": [rule]}
    return named(HTTP_ROUTE, asked, name, spec)


def _backends(asked: Asked, first: Part, serving: Set[str]) -> list[Manifest]:
    if not asked.canaries:
        return [{"name": first.name, "port": 80}]
    ready = [one for one in asked.canaries if one.name in serving]
    rest = 100 - sum(one.percent for one in ready)
    split = [(first.name, rest), *((one.name, one.percent) for one in ready)]
    return [{"name": name, "port": 80, "weight": weight} for name, weight in split]


def _host(asked: Asked, name: str) -> str:
    return f"{name}-{asked.namespace}.{DOMAIN}"
