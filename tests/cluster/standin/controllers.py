"""What stands in for KServe's controller and for a gateway, in one namespace.

It is no KServe: it does what a KServe was seen to do, for the tests of what stands on it. The
Deployments that it makes are left to the real controller-manager, scheduler and autoscaler.
"""

import concurrent.futures
import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from components.foundation.errors import InfrastructureError
from components.foundation.kubernetes.client import Manifest
from components.foundation.kubernetes.resources import (
    DEPLOYMENT,
    EVENT,
    HTTP_ROUTE,
    INFERENCE_SERVICE,
    Resource,
)
from components.foundation.storage import Conflict, NotFound
from tests.cluster.standin import asked, failures, knative, runtimes, told, workloads
from tests.cluster.standin.api import Api, ClusterWide
from tests.cluster.standin.asked import Asked, Part
from tests.cluster.standin.runtimes import Catalog
from tests.cluster.standin.told import Seen
from tests.cluster.standin.workloads import HPA, INGRESS, SERVICE

POD = Resource("v1", "Pod", "pods")
_V1 = "serving.kserve.io/v1alpha1"
_RUNTIME = ClusterWide(_V1, "ClusterServingRuntime", "clusterservingruntimes")
_STORAGE = ClusterWide(_V1, "ClusterStorageContainer", "clusterstoragecontainers")
_INTERVAL_S = 0.15


@dataclass
class Controllers:
    """Both controllers.

    Attributes:
        gateway_api: whether KServe is told to use it; else it makes an Ingress.
        accepts: whether a gateway is there, which accepts every route.
    """

    api: Api
    gateway_api: bool = True
    accepts: bool = True
    _known: dict[str, str] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Take turns until `stop`."""
        while not self._over.wait(_INTERVAL_S):
            self.turn()

    def turn(self) -> None:
        """Reconcile; what somebody changed meanwhile is looked at again in the next."""
        with contextlib.suppress(Conflict, NotFound, InfrastructureError):
            self._reconcile()

    def stop(self) -> None:
        self._over.set()

    def _reconcile(self) -> None:
        """Look at everything, and do something only where something has changed."""
        services, pods = self.api.list(INFERENCE_SERVICE), self.api.list(POD)
        for pod in pods:
            if (status := failures.played(pod)) is not None:
                self.api.tell(POD, pod, status)
        kinds = (DEPLOYMENT, HTTP_ROUTE, knative.KSERVICE, _RUNTIME, _STORAGE)
        others = {kind: self.api.list(kind) for kind in kinds}
        now = [one["metadata"] for found in (services, pods, *others.values()) for one in found]
        versions = {one["uid"]: one["resourceVersion"] for one in now}
        if versions == self._known:
            return
        specs = {one["metadata"]["name"]: one["spec"] for one in others[_RUNTIME]}
        catalog = Catalog(specs, [one["spec"] for one in others[_STORAGE]])
        for manifest in services:
            one = asked.read(manifest)
            if one.mode == "Standard":
                self._standard(one, catalog, failures.told(pods))
            elif not one.stopped:
                self._knative(one, catalog)
        for route in others[HTTP_ROUTE] if self.accepts else ():
            self.api.tell(HTTP_ROUTE, route, told.gateway(route))
        self._known = versions

    def _standard(self, one: Asked, catalog: Catalog, failed: dict[str, Manifest]) -> None:
        there = {name["metadata"]["name"]: name for name in self._owned(DEPLOYMENT, one)}
        parts = one.parts(Seen(there).serving)
        try:
            runtime = catalog.runtime(one.stable)
            pods = [catalog.template(one, part) for part in parts]
        except runtimes.NoRuntime as error:
            self.api.tell(INFERENCE_SERVICE, one.manifest, told.invalid(error))
            return
        except runtimes.NoStorage as error:
            self._event(one, str(error))
            return
        for part, template in zip(parts, pods, strict=True):
            self._part(one, part, template, there.get(part.name))
        self._forget(one, parts)
        seen = self._routed(one, Seen(there, failures=failed))
        self.api.tell(INFERENCE_SERVICE, one.manifest, told.status(one, seen, runtime))

    def _knative(self, one: Asked, catalog: Catalog) -> None:
        try:
            template = catalog.template(one, one.stable)
        except runtimes.NoRuntime as error:
            self.api.tell(INFERENCE_SERVICE, one.manifest, told.invalid(error))
        except runtimes.NoStorage as error:
            self._event(one, str(error))
        else:
            knative.reconcile(self.api, one, template)

    def _part(self, one: Asked, part: Part, template: Manifest, there: Manifest | None) -> None:
        self.api.ensure(DEPLOYMENT, workloads.deployment(one, part, template))
        self.api.ensure(SERVICE, workloads.service(one, part))
        wanted = workloads.autoscaler(one, part)
        scaler = self.api.find(HPA, part.name)
        if scaler is None:
            self.api.post(HPA, wanted)
        elif there and not _left_over(scaler, part, there) and _floor(scaler) != part.floor:
            self.api.put(HPA, {**scaler, "spec": wanted["spec"]})
            if there["spec"]["replicas"] > part.floor < _floor(scaler):
                live = self.api.get(DEPLOYMENT, part.name)
                self.api.put(DEPLOYMENT, {**live, "spec": {**live["spec"], "replicas": part.floor}})

    def _forget(self, one: Asked, parts: Sequence[Part]) -> None:
        """Delete what is not wanted, at once; autoscalers are forgotten only with a stop."""
        names = {part.name for part in parts}
        for resource in (DEPLOYMENT, SERVICE, *([HPA] if one.stopped else [])):
            for found in self._owned(resource, one):
                if found["metadata"]["name"] not in names:
                    self.api.delete(resource, found["metadata"]["name"])

    def _routed(self, one: Asked, seen: Seen) -> Seen:
        """Make the way in as far as there should be one."""
        if not self.gateway_api:
            if not (one.local or one.stopped):
                self.api.ensure(INGRESS, workloads.ingress(one))
            return seen
        wanted = workloads.routes(one, seen.serving)
        for route in wanted:
            self.api.ensure(HTTP_ROUTE, route)
        there = self._owned(HTTP_ROUTE, one)
        for route in there:
            if route["metadata"]["name"] not in {one["metadata"]["name"] for one in wanted}:
                self.api.delete(HTTP_ROUTE, route["metadata"]["name"])
        accepted = all((route.get("status") or {}).get("parents") for route in there)
        return Seen(seen.deployments, bool(wanted), accepted, seen.failures)

    def _owned(self, resource: Resource, one: Asked) -> list[Manifest]:
        return self.api.list(resource, labels={runtimes.SERVICE: one.name})

    def _event(self, one: Asked, message: str) -> None:
        """Tell somebody who looks at events; nobody else hears of it."""
        reference = {"kind": "InferenceService", "name": one.name, "namespace": one.namespace}
        event = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": f"{one.name}.standin"}}
        event |= {"involvedObject": reference, "type": "Warning", "reason": "InternalError"}
        with contextlib.suppress(Conflict):
            self.api.post(EVENT, {**event, "message": message})


def _floor(scaler: Manifest) -> int:
    return int(scaler["spec"]["minReplicas"])


def _left_over(scaler: Manifest, part: Part, there: Manifest) -> bool:
    """Say whether an autoscaler is of an earlier canary of that name: its floor is inherited."""
    made, since = (one["metadata"]["creationTimestamp"] for one in (scaler, there))
    return bool(part.canary) and made < since


@contextlib.contextmanager
def running(api: Api, *, gateway_api: bool = True, accepts: bool = True) -> Iterator[Controllers]:
    """Stand in until the block ends."""
    found = Controllers(api, gateway_api, accepts)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        done = pool.submit(found.run)
        try:
            yield found
        finally:
            found.stop()
        done.result()  # what it did not expect is the test's failure
