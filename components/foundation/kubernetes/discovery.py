"""Which kinds an API server has; everybody who is known may ask."""

from typing import TYPE_CHECKING

from components.foundation.kubernetes.resources import Resource
from components.foundation.storage import NotFound

if TYPE_CHECKING:
    from components.foundation.kubernetes.client import Cluster


def serves(cluster: "Cluster", resource: Resource) -> bool:
    """Say whether an API server has a kind in just this version."""
    return resource.kind in kinds(cluster, resource.api_version)


def kinds(cluster: "Cluster", api_version: str) -> frozenset[str]:
    """Return the kinds of a group's version, e.g. of "serving.kserve.io/v1beta1"."""
    root = "apis" if "/" in api_version else "api"
    try:
        found = cluster.look(f"/{root}/{api_version}")
    except NotFound:
        return frozenset()
    return frozenset(one["kind"] for one in found["resources"] if "/" not in one["name"])


def release(cluster: "Cluster") -> str:
    """Return the API server's own version, e.g. "v1.34.2"."""
    return str(cluster.look("/version")["gitVersion"])
