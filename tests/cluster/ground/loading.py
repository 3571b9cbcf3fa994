"""Give a new control plane what a cluster has: definitions of resources, and nodes."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import kubernetes.client

from tests.cluster.ground import rest
from tests.cluster.ground.clients import Access

Thing = dict[str, Any]

_ESTABLISHED_SECONDS = 180.0
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


class NotEstablished(Exception):
    """The API server took a definition but does not serve it; the message says why."""


def load(access: Access, definitions: Sequence[Thing]) -> None:
    """Create definitions and wait until each is served.

    What they say for people is left out: it decides nothing, and is most of their bytes.

    Raises:
        NotEstablished: one was not in time.
    """
    with access.client() as api, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda one: rest.request(api, "POST", _CRDS, _unexplained(one)), definitions))
        until = time.monotonic() + _ESTABLISHED_SECONDS
        names = {one["metadata"]["name"] for one in definitions}
        while waiting := names - _served(api):
            if time.monotonic() > until:
                raise NotEstablished("; ".join(_why(api, name) for name in sorted(waiting)))
            time.sleep(0.2)


def add_nodes(access: Access, *, count: int) -> None:
    """Add nodes that kwok keeps ready, in one zone of the UAE each."""
    with access.client() as api:
        for number in range(count):
            rest.request(api, "POST", "/api/v1/nodes", _node(number))


def _unexplained(schema: Any) -> Any:
    """Leave out descriptions, but no field that is called so."""
    if isinstance(schema, list):
        return [_unexplained(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _unexplained(part)
        for key, part in schema.items()
        if key != "description" or not isinstance(part, str)
    }


def _served(api: "kubernetes.client.ApiClient") -> set[str]:
    """Return the names of what is served, as definitions have them."""
    return {f"{one.plural}.{one.group}" for one in rest.types(api)}


def _why(api: "kubernetes.client.ApiClient", name: str) -> str:
    conditions = rest.request(api, "GET", f"{_CRDS}/{name}").get("status", {}).get("conditions", [])
    return f"{name}: {[one['message'] for one in conditions]}"


def _node(number: int) -> Thing:
    capacity = {"cpu": "32", "memory": "256Gi", "pods": "200", "ephemeral-storage": "1Ti"}
    labels = {
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "topology.kubernetes.io/region": "me-central-1",
        "topology.kubernetes.io/zone": f"me-central-1{'abc'[number % 3]}",
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": f"node-{number}",
            "labels": {**labels, "kubernetes.io/hostname": f"node-{number}"},
            "annotations": {"kwok.x-k8s.io/node": "fake"},
        },
        "spec": {"providerID": f"aws:///{labels['topology.kubernetes.io/zone']}/node-{number}"},
        "status": {"capacity": capacity, "allocatable": capacity},
    }
