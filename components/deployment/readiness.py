"""Whether a slot really serves the release it should.

`Ready` alone lies through failed updates, and `observedGeneration` of an InferenceService is
its Deployment's. What counts: all of the Deployment's pods carry the wanted release, as many as
wanted are available, the conditions agree, the server itself answers for it, and where the route
leads to it alone, the Gateway has something behind that.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from components.deployment import reach, slots
from components.deployment.slots import Version
from components.foundation.errors import FalajError, InfrastructureError, Refused, UserError
from components.foundation.kubernetes import resources
from components.foundation.kubernetes.client import Cluster, Manifest
from components.foundation.kubernetes.resources import Resource

_POD = Resource("v1", "Pod", "pods")
_LABEL = "serving.kserve.io/inferenceservice"
SOURCE = "internal.serving.kserve.io/storage-initializer-sourceuri"
_BLOCKED = ("BlockedByFailedLoad", "InvalidSpec")
_FINAL_CODES = (UserError.exit_code, Refused.exit_code)  # trying again cannot help
_PROBE_S = 3.0


@dataclass(frozen=True, slots=True)
class Look:
    """What one look showed.

    Attributes:
        failed: why it can never become ready; empty while it may.
        unable: what failed beneath the release, such as the object store; it may come back.
        waiting: what is missing; empty when ready.
    """

    failed: str = ""
    unable: str = ""
    waiting: str = ""

    @property
    def ready(self) -> bool:
        return not (self.failed or self.unable or self.waiting)

    def settled(self) -> bool:
        """Say whether looking again, for now, would show nothing else."""
        return not self.waiting


def look(cluster: Cluster, version: Version, *, replicas: int, stale: Any = None) -> Look:
    """Look once at conditions, pods and the server itself.

    Args:
        cluster: where.
        version: the release and its slot.
        replicas: how many at least must be available.
        stale: a failure that was there before this release was applied, to be ignored.
    """
    service = cluster.find(resources.INFERENCE_SERVICE, version.service)
    if service is None:
        return Look(waiting="the slot is not there")
    failure = last_failure(service)
    if failure and failure != stale and _blocked(service):
        if final(failure):
            return Look(failed=told(failure))
        if passing(failure):
            return Look(unable=told(failure))
    lacks = _missing(cluster, version, replicas) or _not_ready(service)
    if not lacks:
        lacks = _unserved(cluster, service, version)
    if lacks and failure and failure != stale:
        lacks = f"{lacks}; last failure: {told(failure)}"
    return Look(waiting=lacks)


def _unserved(cluster: Cluster, service: Manifest, version: Version) -> str:
    """Say what is missing of an answer: the server's own, or one through the route."""
    url = service["status"].get("address", {}).get("url", "")
    if not served(cluster, url, version):
        return "the server does not answer for this release"
    return reach.astray(cluster, version)


def last_failure(service: Manifest | None) -> dict[str, Any] | None:
    """Return what modelStatus says of the last failure to load, if anything."""
    model = (service or {}).get("status", {}).get("modelStatus", {})
    found: dict[str, Any] | None = model.get("lastFailureInfo")
    return found


def passing(failure: dict[str, Any] | None) -> bool:
    """Say whether a failure is not the release's, by its exit code: another try may do."""
    return (failure or {}).get("exitCode") == InfrastructureError.exit_code


def overdue(cluster: Cluster, version: Version, why: str) -> Look:
    """Say what kept a slot from being ready in time, as far as anything is known of it."""
    failure = last_failure(cluster.find(resources.INFERENCE_SERVICE, version.service))
    if failure and passing(failure):
        return Look(unable=f"{why}; last failure: {told(failure)}")
    last = _ended_last(cluster, version)
    if last and passing(last):
        return Look(unable=f"{why}; its pod said: {told(last)}")
    said = f"; its pod said: {told(last)}" if last else ""
    return Look(failed=f"{why}{said}{event(cluster, version.service)}")


def _ended_last(cluster: Cluster, version: Version) -> dict[str, Any] | None:
    """Return how a pod of a release ended, where pods may be read.

    KServe tells it in modelStatus; not in every release, and not before it has looked.
    """
    try:
        pods = cluster.list(_POD, labels={_LABEL: version.service})
    except FalajError:  # no right to list pods, or a plane, which has none
        return None
    return next(ended(pods, str(version.release)), None)


def ended(pods: Iterable[Manifest], release: str) -> Iterator[dict[str, Any]]:
    """Yield how containers of a release's pods ended, other than well; openers first."""
    for pod in pods:
        if pod["metadata"].get("annotations", {}).get(SOURCE) != release:
            continue
        status = pod.get("status", {})
        for one in (*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])):
            states = (one.get(name, {}).get("terminated") or {} for name in ("state", "lastState"))
            yield from (state for state in states if state.get("exitCode"))


def _blocked(service: Manifest) -> bool:
    return service["status"]["modelStatus"].get("transitionStatus") in _BLOCKED


def final(failure: dict[str, Any]) -> bool:
    """Say whether a failure is one that trying again cannot mend, by its exit code."""
    return failure.get("exitCode", _FINAL_CODES[0]) in _FINAL_CODES


def told(failure: dict[str, Any]) -> str:
    """Say a failure as whoever saw it does."""
    said = failure.get("message") or failure.get("reason") or dict(failure)
    return str(said or "no reason was given")


def _not_ready(service: Manifest) -> str:
    condition = slots.condition(service, "Ready")
    if condition.get("status") == "True":
        return ""
    return str(condition.get("message") or condition.get("reason") or "no Ready condition yet")


def _missing(cluster: Cluster, version: Version, replicas: int) -> str:
    """Say what is missing of the server's pods, then of those that look features up."""
    found = [cluster.find(resources.DEPLOYMENT, name) for name in version.deployments]
    server, *before = found
    if server is None:
        return "no Deployment yet"
    template = server["spec"]["template"].get("metadata", {})
    if template.get("annotations", {}).get(SOURCE) != str(version.release):
        return "the pods still have another release"
    if version.transformer and before[0] and not _transforms(before[0], version):
        return "the transformer's pods still expect another release"
    return next(filter(None, (pods_missing(one, replicas) for one in found)), "")


def _transforms(deployment: Manifest, version: Version) -> bool:
    expected = f"--expected_version={version.release.version}"
    containers = deployment["spec"]["template"].get("spec", {}).get("containers", [])
    return any(expected in container.get("args", []) for container in containers)


def pods_missing(deployment: Manifest | None, replicas: int) -> str:
    """Say what is missing of a Deployment's pods; empty when so many of its newest are available.

    More than that may be on their way: an autoscaler that adds pods takes none of those that serve.
    """
    if deployment is None:
        return "no Deployment yet"
    status = deployment.get("status", {})
    if status.get("observedGeneration") != deployment["metadata"].get("generation"):
        return "the Deployment has not been looked at yet"
    names = ("replicas", "updatedReplicas", "availableReplicas")
    counts = {name: status.get(name, 0) for name in names}
    if counts["updatedReplicas"] < counts["replicas"] or counts["availableReplicas"] < replicas:
        return f"replicas {counts}, wanted {replicas} at least, all updated"
    return ""


def served(cluster: Cluster, url: str, version: Version) -> bool:
    """Ask the server at a Service's URL, from outside of a cluster by way of the API server."""
    return answers(url, version) or reach.through_api(cluster, url, version)


def answers(url: str, version: Version) -> bool:
    """Ask the server at a URL whether it is ready with exactly this version of this model."""
    import urllib3

    asked = f"{url}{reach.question(version)}"
    try:
        answer = urllib3.request("GET", asked, timeout=_PROBE_S, retries=False)
    except urllib3.exceptions.HTTPError:
        return False
    return answer.status == 200


def event(cluster: Cluster, name: str) -> str:
    """Return the last warning about an InferenceService: some refusals are told only so."""
    try:
        events = cluster.list(resources.EVENT)
    except FalajError:  # no right to list them; what is known without them is told anyway
        return ""
    warnings = [one for one in events if _warns_of(one, name)]
    last = max(warnings, key=_happened, default=None)
    return f"; {last.get('message', '')}" if last else ""


def _warns_of(event: Manifest, name: str) -> bool:
    about = event.get("involvedObject", {})
    kind = about.get("kind", resources.INFERENCE_SERVICE.kind)
    return (event.get("type"), about.get("name"), kind) == (
        "Warning",
        name,
        resources.INFERENCE_SERVICE.kind,
    )


def _happened(event: Manifest) -> str:
    """Return when an event was last seen: lists have them by name, and one is counted up."""
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")
