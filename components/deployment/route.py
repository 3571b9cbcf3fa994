"""A model's HTTPRoute: its host, and the weights that split traffic between the slots."""

from collections.abc import Mapping
from dataclasses import dataclass

from components.deployment.slots import Version
from components.foundation.errors import UserError
from components.foundation.kubernetes import resources
from components.foundation.kubernetes.client import Cluster, Manifest

Weights = Mapping[Version, int]

_LABELS = {"app.kubernetes.io/part-of": "falaj"}
_GATEWAY = "falaj"


@dataclass(frozen=True, slots=True)
class Route:
    """Where a model is reached.

    Attributes:
        gateway: name of the Gateway, or namespace/name.
    """

    model: str
    host: str
    gateway: str

    def manifest(self, weights: Weights) -> Manifest:
        namespace, _, name = self.gateway.rpartition("/")
        parent = {"name": name, **({"namespace": namespace} if namespace else {})}
        return {
            "apiVersion": resources.HTTP_ROUTE.api_version,
            "kind": resources.HTTP_ROUTE.kind,
            "metadata": {"name": self.model, "labels": dict(_LABELS)},
            "spec": {
                "parentRefs": [parent],
                "hostnames": [self.host],
                "rules": [
                    {
                        "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                        "backendRefs": [_backend(v, weight) for v, weight in weights.items()],
                    }
                ],
            },
        }

    def split(self, cluster: Cluster, weights: Weights, *, force: bool = False) -> Manifest:
        """Send traffic to versions by weight; a version left out gets none.

        With `force` also over weights that somebody else has set: only where a rollout ends.
        """
        return cluster.apply(self.manifest(weights), force=force)


def to(cluster: Cluster, model: str, *, host: str, gateway: str) -> Route:
    """Return where a model is to be reached; what is left open stays as it is.

    Args:
        cluster: where.
        model: its name.
        host: empty: the one it has, at first the one that the site gives it.
        gateway: empty: the one it has, at first `falaj`.
    """
    found = cluster.find(resources.HTTP_ROUTE, model)
    ours = found is not None and found["metadata"].get("labels", {}).items() >= _LABELS.items()
    had = _parsed(found, model) if found and ours else Route(model, cluster.host(model), _GATEWAY)
    return Route(model, host or had.host, gateway or had.gateway)


def of(cluster: Cluster, model: str) -> Route:
    """Read where a model is reached from its route.

    Raises:
        NotFound: it has none.
        UserError: the route no longer says where.
    """
    return _parsed(cluster.get(resources.HTTP_ROUTE, model), model)


def _parsed(found: Manifest, model: str) -> Route:
    spec = found["spec"]
    if not spec.get("parentRefs") or not spec.get("hostnames"):
        raise UserError(
            f"HTTPRoute {model}: names no Gateway or no host; somebody has "
            "edited it: restore it, then run again",
            code="rollout-edited",
        )
    parent = spec["parentRefs"][0]
    gateway = "/".join(filter(None, (parent.get("namespace"), parent["name"])))
    return Route(model, spec["hostnames"][0], gateway)


def _backend(version: Version, weight: int) -> dict[str, object]:
    return {"name": version.deployments[-1], "port": 80, "weight": weight}
