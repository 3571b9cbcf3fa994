"""Give a new control plane what a cluster has: definitions of resources, and nodes."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import kubernetes.client

from tests.cluster.ground.clients import Access

_ESTABLISHED_SECONDS = 180.0
_ATTEMPTS = 5
_BUSY = {429, 500, 503, 504}
_THERE = 409
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


class NotEstablished(Exception):
    """The API server took a definition but does not serve it; the message says why."""


def load(access: Access, definitions: Sequence[dict[str, Any]]) -> None:
    """Create definitions and wait until each is served.

    Raises:
        NotEstablished: one was not in time.
    """
    with access.client() as api, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda definition: _post(api, _CRDS, definition), definitions))
        until = time.monotonic() + _ESTABLISHED_SECONDS
        while waiting := _not_served(api):
            if time.monotonic() > until:
                raise NotEstablished("; ".join(waiting))
            time.sleep(0.2)


def add_nodes(access: Access, *, count: int) -> None:
    """Add nodes that kwok keeps ready, in one zone of the UAE each."""
    with access.client() as api:
        for number in range(count):
            _post(api, "/api/v1/nodes", _node(number))


def _post(api: "kubernetes.client.ApiClient", path: str, thing: dict[str, Any]) -> None:
    """Create an object; where a busy API server gave up waiting, ask it again."""
    for left in reversed(range(_ATTEMPTS)):
        try:
            api.call_api(path, "POST", body=thing, auth_settings=["BearerToken"])
        except kubernetes.client.ApiException as error:
            if error.status == _THERE:
                return  # by the attempt that seemed to fail
            if error.status not in _BUSY or not left:
                raise
            time.sleep(1)
        else:
            return


def _not_served(api: "kubernetes.client.ApiClient") -> list[str]:
    found = kubernetes.client.ApiextensionsV1Api(api).list_custom_resource_definition()
    return [
        f"{one.metadata.name}: {[c.message for c in one.status.conditions or []]}"
        for one in found.items
        if not any(
            c.type == "Established" and c.status == "True" for c in one.status.conditions or []
        )
    ]


def _node(number: int) -> dict[str, Any]:
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
