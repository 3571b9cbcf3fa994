"""What kept a version's pods from starting, as their openers said when they ended."""

from components.deployment import readiness
from components.deployment.readiness import Look
from components.deployment.slots import Version
from components.foundation.errors import Refused
from components.foundation.kubernetes.client import Cluster
from components.foundation.kubernetes.resources import EVENT, Resource

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
        event = _event(cluster, version.model)
        return Look(waiting=f"{waiting}{event}")
    if readiness.passing(ended):
        return Look(unable=readiness.told(ended))
    if readiness.final(ended):
        return Look(failed=readiness.told(ended))
    return Look(waiting=f"{waiting}; last failure: {readiness.told(ended)}")


def _event(cluster: Cluster, name: str) -> str:
    """Return the last warning about an InferenceService, such as a URI that nothing fetches."""
    try:
        events = cluster.list(EVENT)
    except Refused:
        return ""
    told = [
        event.get("message", "")
        for event in events
        if event.get("type") == "Warning" and event.get("involvedObject", {}).get("name") == name
    ]
    return f"; {told[-1]}" if told else ""
