"""A namespace in which something stands in for KServe, and a few words to ask it with."""

import contextlib
import json
import pathlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from components.foundation.kubernetes.client import Cluster, Manifest
from components.foundation.kubernetes.resources import DEPLOYMENT, HTTP_ROUTE, INFERENCE_SERVICE
from tests.cluster.ground.clients import Access
from tests.cluster.standin import controllers
from tests.cluster.standin.api import Api
from tests.cluster.standin.workloads import HPA

MANIFESTS = pathlib.Path(__file__).parents[3] / "manifests"
_SERVING = ("clusterservingruntime-*.yaml", "clusterstoragecontainer-*.yaml")


@dataclass(frozen=True)
class Scene:
    """One namespace: what our steps would see, and what its administrator sees."""

    cluster: Cluster
    api: Api

    def replicas(self) -> dict[str, int]:
        """Return how many pods each Deployment has that answer."""
        found = self.api.list(DEPLOYMENT)
        counts = {d["metadata"]["name"]: d["status"].get("availableReplicas", 0) for d in found}
        asked = {d["metadata"]["name"]: d["spec"]["replicas"] for d in found}
        return counts if counts == asked else {}

    def scalers(self) -> set[str]:
        return {one["metadata"]["name"] for one in self.api.list(HPA)}

    def weights(self, route: str) -> dict[str, int | None]:
        """Return the split of a route; nothing while there is none."""
        found = self.api.find(HTTP_ROUTE, route)
        backends = found["spec"]["rules"][0]["backendRefs"] if found else []
        return {one["name"]: one.get("weight") for one in backends}

    def status(self, name: str) -> Manifest:
        found: Manifest = self.api.get(INFERENCE_SERVICE, name).get("status", {})
        return found

    def condition(self, name: str, kind: str = "Ready") -> dict[str, Any]:
        conditions = self.status(name).get("conditions", [])
        return next((one for one in conditions if one["type"] == kind), {})

    def ready(self, name: str) -> bool:
        return self.condition(name).get("status") == "True"


def load_runtimes(ground: Access) -> None:
    """Apply what serves and what opens, as our manifests have it."""
    paths = [path for form in _SERVING for path in sorted((MANIFESTS / "serving").glob(form))]
    things = [yaml.safe_load(path.read_text()) for path in paths]
    bundle = {"apiVersion": "v1", "kind": "List", "items": things}
    ground.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(bundle))


@contextlib.contextmanager
def set_in(ground: Access, namespace: str, **how: bool) -> Iterator[Scene]:
    """Stand in for KServe in a namespace until the block ends."""
    with ground.client() as client:
        api = Api(client, namespace)
        with controllers.running(api, **how):
            yield Scene(Cluster(client, namespace), api)
