"""What kept a version's pods from starting, as their openers said when they ended."""

from components.deployment import readiness
from components.deployment.readiness import Look
from components.deployment.slots import Version
from components.foundation.errors import Refused
from components.foundation.kubernetes.client import Cluster
from components.foundation.kubernetes.resources import Resource

POD = Resource("v1", "Pod", "pods")

_NEEDED = "its pods cannot be seen: the identity needs a Role with list on pods"


def look(cluster: Cluster, labels: dict[str, str], version: Version, waiting: str) -> Look:
    """Say whether a version that is not ready still can be.

    KServe tells of the failures of its stable predictor's pods only, so the others' are read.
    """
    try:
        pods = cluster.list(POD, labels=labels)
    except Refused:
        return Look(waiting=f"{waiting}; {_NEEDED}")
    ended = next(readiness.ended(pods, str(version.release)), None)
    if ended is None:
        return Look(waiting=f"{waiting}{readiness.event(cluster, version.model)}")
    if readiness.passing(ended):
        return Look(unable=readiness.told(ended))
    if readiness.final(ended):
        return Look(failed=readiness.told(ended))
    return Look(waiting=f"{waiting}; last failure: {readiness.told(ended)}")
