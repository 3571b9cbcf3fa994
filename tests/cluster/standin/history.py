"""Who had traffic, and on how many pods, in every state that an API server has had.

Its watches tell each change and leave none out, and the resourceVersions of all kinds count
together. So what was only for a moment is seen too.
"""

import concurrent.futures
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from components.foundation.kubernetes.client import Cluster, Manifest
from components.foundation.kubernetes.resources import DEPLOYMENT, HTTP_ROUTE, Resource
from components.foundation.kubernetes.watching import Change, Collection, Kind, Watch
from tests.cluster.standin.knative import KSERVICE

_KINDS = (DEPLOYMENT, HTTP_ROUTE, KSERVICE)
_TURN_S = 1.0


@dataclass
class History:
    """What happened in one namespace.

    Attributes:
        during: what is going on, for whoever reads of it.
    """

    during: str = ""
    _changes: list[tuple[int, Resource, str, Change]] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def follow(self, cluster: Cluster, kind: Resource) -> None:
        watch = Watch(Collection(cluster, kind), turn_s=_TURN_S)
        while not self._over.is_set():
            for change in watch.changes(seconds=_TURN_S):
                version = int(change.manifest["metadata"]["resourceVersion"])
                since = version if watch.since else 0  # there before anything happened
                self._changes.append((since, kind, self.during, change))

    def end(self) -> None:
        self._over.set()

    def starved(self, replicas: int) -> list[str]:
        """Return each moment in which something got traffic with fewer pods than so many."""
        pods: dict[str, int] = {}
        shares: dict[str, dict[str, int]] = {}
        found = []
        for version, kind, during, change in sorted(self._changes, key=lambda one: one[0]):
            name, gone = change.manifest["metadata"]["name"], change.kind is Kind.DELETED
            if kind == DEPLOYMENT:
                pods[name] = 0 if gone else _available(change.manifest)
            else:
                shares[name] = {} if gone else _split(kind, change.manifest)
            few = _few(shares, pods, replicas) if version else []
            found += [f"{during}, at {version}: {one}" for one in few]
        return found


def _few(shares: dict[str, dict[str, int]], pods: dict[str, int], replicas: int) -> Iterator[str]:
    for route, split in shares.items():
        for name, share in split.items():
            if share and pods.get(name, 0) < replicas:
                yield f"{route} gives {share} % to {name}, which has {pods.get(name, 0)} pods"


def _available(deployment: Manifest) -> int:
    return int(deployment.get("status", {}).get("availableReplicas", 0))


def _split(kind: Resource, thing: Manifest) -> dict[str, int]:
    """Return the percent of each Deployment, as a route or a Knative Service gives it."""
    if kind == HTTP_ROUTE:
        backends = thing["spec"]["rules"][0].get("backendRefs", [])
        return {one["name"]: one.get("weight", 100) for one in backends}
    targets = thing.get("status", {}).get("traffic", [])
    return {f"{one['revisionName']}-deployment": one["percent"] for one in targets}


@contextlib.contextmanager
def followed(cluster: Cluster) -> Iterator[History]:
    """Follow until the block ends; ask the history after that."""
    history = History()
    with concurrent.futures.ThreadPoolExecutor(len(_KINDS)) as pool:
        done = [pool.submit(history.follow, cluster, kind) for kind in _KINDS]
        try:
            yield history
        finally:
            history.end()
    for one in done:
        one.result()
