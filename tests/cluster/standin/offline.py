"""The same stand-in without an API server: objects in memory, and time that does not pass.

What a client asks is answered by the plane's objects, whose server-side apply is held against a
real API server. Each wait of the code is a turn of the stand-in's controllers, so a whole rollout
takes milliseconds and is the same each time.
"""

import json
import re
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from components.foundation.kubernetes import resources
from components.foundation.kubernetes.client import Cluster, Manifest
from components.foundation.kubernetes.resources import DEPLOYMENT, Resource
from inference.plane import ownership
from inference.plane.objects import ApiError, Key, Objects
from tests.cluster.standin import failures, knative, runtimes, workloads
from tests.cluster.standin.api import Api
from tests.cluster.standin.controllers import POD, Controllers
from tests.cluster.standin.workloads import HPA

NAMESPACE = "default"
_V1 = "serving.kserve.io/v1alpha1"
_KINDS = (
    *resources.KNOWN,
    POD,
    workloads.SERVICE,
    HPA,
    workloads.INGRESS,
    knative.KSERVICE,
    knative.REVISION,
    Resource(_V1, "ClusterServingRuntime", "clusterservingruntimes"),
    Resource(_V1, "ClusterStorageContainer", "clusterstoragecontainers"),
    Resource("gateway.networking.k8s.io/v1", "Gateway", "gateways"),
)
_PATH = re.compile(
    r"/(?:api|apis)/(?P<version>v1|[^/]+/[^/]+)(?:/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?(?P<status>/status)?$"
)


@dataclass
class Client:
    """What the layer needs of kubernetes' client: where it is, and the pool beneath it."""

    server: "Server"
    default_headers: dict[str, str] = field(default_factory=dict)

    @property
    def configuration(self) -> Any:
        return SimpleNamespace(host="http://memory", auth_settings=dict)

    @property
    def rest_client(self) -> Any:
        return SimpleNamespace(pool_manager=self)

    def request(self, verb: str, url: str, *, body: bytes | None = None, **how: Any) -> Any:
        asked = urllib.parse.urlsplit(url)
        query = dict(urllib.parse.parse_qsl(asked.query))
        try:
            code, answer = (
                200,
                self.server.answer(verb, asked.path, query, json.loads(body or "{}")),
            )
        except ApiError as error:
            causes = {"causes": error.causes}
            code, answer = error.code, {"message": error.message, "details": causes}
        return SimpleNamespace(status=code, headers={}, data=json.dumps(answer).encode())


@dataclass
class Server:
    """An API server in memory.

    Attributes:
        absent: groups that it does not have.
        forbidden: beginnings of paths that nobody may read.
    """

    objects: Objects = field(default_factory=Objects)
    absent: set[str] = field(default_factory=set)
    forbidden: set[str] = field(default_factory=set)

    def answer(self, verb: str, path: str, query: dict[str, str], body: Manifest) -> Any:
        if any(path.startswith(beginning) for beginning in self.forbidden):
            raise ApiError(403, "Forbidden", f"cannot {verb.lower()} {path}")
        if path.count("/") == 3 and path.startswith("/apis/"):
            return self._kinds(path.removeprefix("/apis/"))
        found = _PATH.match(path)
        resource = self._resource(found["version"], found["plural"]) if found else None
        if found is None or resource is None:
            raise ApiError(404, "NotFound", "the server could not find the requested resource")
        namespace = found["namespace"] or NAMESPACE
        name = found["name"] or body.get("metadata", {}).get("name", "")
        key = Key(resource, namespace, name)
        if verb == "GET" and not found["name"]:
            return {"metadata": {"resourceVersion": "1"}, "items": self._listed(key, query)}
        if found["status"]:
            self.objects.set_status(key, body["status"])
            return self.objects.get(key)
        return self._one(verb, key, query, body)

    def _one(self, verb: str, key: Key, query: dict[str, str], body: Manifest) -> Any:
        manager = query.get("fieldManager", "standin")
        match verb:
            case "GET":
                return self._read(key)
            case "POST":
                if key.resource == DEPLOYMENT:
                    body["spec"].setdefault("replicas", 1)  # as an API server does
                return self.objects.create(key, body, manager=manager)
            case "PUT":
                return self.objects.replace(key, body, manager=manager)
            case "PATCH":
                force = query.get("force") == "true"
                return self.objects.apply(key, body, manager=manager, force=force)
            case _:
                return self.objects.delete(key)

    def _read(self, key: Key) -> Manifest:
        """Return an object as `Objects.get` does; who writes it out needs no copy of it."""
        stored = self.objects._stored(key)
        owners = ownership.managed_fields(stored.owners, api_version=key.resource.api_version)
        return {**stored.body, "metadata": {**stored.body["metadata"], "managedFields": owners}}

    def _listed(self, key: Key, query: dict[str, str]) -> list[Manifest]:
        pairs = [pair.split("=") for pair in query.get("labelSelector", "").split(",") if pair]
        found = self.objects.list(key.resource, key.namespace)
        labels = [(one, one["metadata"].get("labels", {})) for one in found]
        return [one for one, has in labels if all(has.get(k) == v for k, v in pairs)]

    def _kinds(self, version: str) -> Manifest:
        there = [r for r in _KINDS if r.api_version == version]
        if not there or version.partition("/")[0] in self.absent:
            raise ApiError(404, "NotFound", "the server could not find the requested resource")
        return {"resources": [{"name": r.plural, "kind": r.kind} for r in there]}

    def _resource(self, version: str, plural: str) -> Resource | None:
        there = (r for r in _KINDS if (r.api_version, r.plural) == (version, plural))
        return next(there, None)


@dataclass
class World:
    """An API server in memory, KServe's stand-in, and kubelets whose pods are ready in a turn."""

    server: Server
    api: Api
    cluster: Cluster
    controllers: Controllers
    clock: float = 0.0
    looked: Callable[[], None] = lambda: None
    _seen: int = -1

    def sleep(self, seconds: float) -> None:
        """Let time pass, and everybody else have a turn."""
        self.clock += seconds
        self.turn()

    def turn(self) -> None:
        """Give everybody a turn, unless nothing has changed since they had one."""
        if self.server.objects.version == self._seen:
            return
        self._seen = self.server.objects.version
        self.controllers._reconcile()
        self._scale()
        for found in self.api.list(DEPLOYMENT):
            self._pods(found)
        self._orphans()
        self.looked()

    def _scale(self) -> None:
        """Raise what is below its autoscaler's floor."""
        for scaler in self.api.list(HPA):
            found = self.api.find(DEPLOYMENT, scaler["spec"]["scaleTargetRef"]["name"])
            floor = scaler["spec"]["minReplicas"]
            if found and found["spec"].get("replicas", 1) < floor:
                self.api.put(DEPLOYMENT, {**found, "spec": {**found["spec"], "replicas": floor}})

    def _pods(self, found: Manifest) -> None:
        """Make a Deployment's pods; those made a turn ago are ready, unless no node takes them."""
        name, spec = found["metadata"]["name"], found["spec"]
        template, ready = spec["template"], 0
        wanted = list(self._names(name, spec))
        for pod in self.api.list(POD, labels={"standin": name}):
            if pod["metadata"]["name"] not in wanted:
                self.api.delete(POD, pod["metadata"]["name"])
                continue
            if template["spec"].get("nodeSelector") != runtimes.NOWHERE:
                ready += 1
                conditions = [{"type": "Ready", "status": "True"}]
                self.api.tell(POD, pod, {"conditions": conditions})
        for pod_name in wanted:
            if self.api.find(POD, pod_name) is None:
                metadata = {**template["metadata"], "name": pod_name, "namespace": NAMESPACE}
                metadata["labels"] = {**metadata["labels"], "standin": name}
                pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}
                self.api.post(POD, {**pod, "spec": template["spec"]})
        counts = dict.fromkeys(("replicas", "updatedReplicas"), spec.get("replicas", 1))
        status = {**counts, "availableReplicas": ready, "readyReplicas": ready}
        live = self.api.get(DEPLOYMENT, name)
        self.api.tell(
            DEPLOYMENT, live, {**status, "observedGeneration": live["metadata"]["generation"]}
        )

    def _names(self, name: str, spec: Manifest) -> Iterator[str]:
        mark = spec["template"]["metadata"].get("annotations", {}).get(failures.SOURCE_URI)
        for number in range(spec.get("replicas", 1)):
            yield f"{name}-{str(mark)[-12:]}-{number}"

    def _orphans(self) -> None:
        there = {one["metadata"]["name"] for one in self.api.list(DEPLOYMENT)}
        for pod in self.api.list(POD):
            if pod["metadata"]["labels"].get("standin") not in there:
                self.api.delete(POD, pod["metadata"]["name"])


def world() -> World:
    server = Server()
    client: Any = Client(server)
    api = Api(client, NAMESPACE)
    return World(server, api, Cluster(client, NAMESPACE), Controllers(api))
