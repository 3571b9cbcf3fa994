"""A real API server as deploy and roll_out meet it: with their Role, and with what answers."""

import contextlib
import copy
import json
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3.util.connection
import yaml

from components.deployment.readiness import pods_missing
from components.deployment.traffic.interface import Backend
from components.foundation.errors import Refused
from components.foundation.kubernetes.client import Cluster, Manifest
from components.foundation.kubernetes.resources import DEPLOYMENT, Resource
from tests.cluster.claims import Stage, until
from tests.cluster.ground.clients import Access
from tests.cluster.ground.identities import Robot
from tests.cluster.standin import answers
from tests.cluster.standin import scene as scenes
from tests.cluster.standin.answers import Answers
from tests.cluster.standin.api import Api
from tests.cluster.standin.controllers import Controllers
from tests.cluster.standin.scene import MANIFESTS, Scene
from tests.cluster.standin.workloads import HPA

RUNNER = "falaj-runner"
PODS = Resource("v1", "Pod", "pods")
INSIDE = ".svc.cluster.local"
_NAP_S, _NAPS = 0.05, 200
_nap = time.sleep


def manifest(kind: str, name: str) -> Manifest:
    """Return one of our manifests, whichever folder it is in."""
    [path] = MANIFESTS.glob(f"*/{kind}-{name}.yaml")
    found: Manifest = yaml.safe_load(Path(path).read_text())
    return found


ROLE = manifest("role", RUNNER)


def role(backend: str) -> Manifest:
    """Return the Role of deploying, with what a backend of KServe's needs more."""
    if backend == Backend.TWINS:
        return ROLE
    more = manifest("role", f"{RUNNER}-{backend}")
    return {**copy.deepcopy(ROLE), "rules": [*ROLE["rules"], *more["rules"]]}


def apply(ground: Access, namespace: str, *things: Manifest, name: str = "") -> None:
    things = copy.deepcopy(things)
    for thing in things:
        thing["metadata"] |= {"namespace": namespace} | ({"name": name} if name else {})
    bundle = {"apiVersion": "v1", "kind": "List", "items": things}
    ground.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(bundle))


def as_runner(ground: Access, namespace: str, name: str, role: Manifest) -> Cluster:
    """Return the API as a service account that has one Role, once the API server knows."""
    account, binding = manifest("serviceaccount", RUNNER), manifest("rolebinding", RUNNER)
    binding["subjects"] = [{"kind": "ServiceAccount", "name": name, "namespace": namespace}]
    binding["roleRef"]["name"] = name
    apply(ground, namespace, account, role, binding, name=name)
    cluster = ground.cluster(Robot(namespace, name), namespace)
    until(lambda: _is_known(cluster))
    return cluster


def _is_known(cluster: Cluster) -> bool:
    """Ask for what every Role here lets see."""
    try:
        return cluster.find(PODS, "nothing") is None
    except Refused:
        return False


@contextlib.contextmanager
def namespace(ground: Access, prefix: str) -> Iterator[str]:
    """Give a namespace with what our manifests put into one."""
    name = f"{prefix}-{uuid.uuid4().hex[:6]}"
    ground.kubectl("create", "namespace", name)
    scenes.load_runtimes(ground)
    apply(ground, name, manifest("serviceaccount", "falaj-serving"), manifest("gateway", "falaj"))
    yield name
    ground.kubectl("delete", "namespace", name, "--wait=false")


@contextlib.contextmanager
def with_knative(ground: Access) -> Iterator[None]:
    """Set the settings of Knative, without which KServe makes nothing."""
    ground.kubectl("create", "namespace", "knative-serving", check=False)
    where = ("-n", "knative-serving", "configmap", "config-autoscaler")
    ground.kubectl("create", *where, check=False)
    yield
    ground.kubectl("delete", *where, check=False)


@contextlib.contextmanager
def answered(api: Api) -> Iterator[str]:
    """Let names of Services lead to what answers for pods; give where counters are read."""
    connect: Callable[..., socket.socket] = urllib3.util.connection.create_connection
    with answers.answering(Answers(api)) as port, pytest.MonkeyPatch.context() as patch:

        def create_connection(address: tuple[str, int], *rest: Any, **more: Any) -> socket.socket:
            inside = address[0].endswith(INSIDE)
            return connect(("127.0.0.1", port) if inside else address, *rest, **more)

        patch.setattr(urllib3.util.connection, "create_connection", create_connection)
        yield f"http://127.0.0.1:{port}"


@dataclass
class Turns:
    """Time that passes only where our code waits; each wait is a turn of the stand-in.

    What is not stood in for is waited for in each turn, however long it takes: pods come in no
    simulated time.
    """

    controllers: Controllers
    clock: float = 0.0

    def sleep(self, seconds: float) -> None:
        self.clock += seconds
        self.controllers.turn()
        for _ in range(_NAPS):
            _nap(_NAP_S)
            if self._settled():
                break

    def _settled(self) -> bool:
        """Say whether every Deployment has the pods that it and its autoscaler ask for."""
        api = self.controllers.api
        floors = {one["metadata"]["name"]: one["spec"]["minReplicas"] for one in api.list(HPA)}
        return not any(
            pods_missing(one, max(one["spec"]["replicas"], floors.get(one["metadata"]["name"], 0)))
            for one in api.list(DEPLOYMENT)
        )


@contextlib.contextmanager
def stepped(ground: Access, namespace: str) -> Iterator[Scene]:
    """Stand in for KServe whenever our code waits, until the block ends."""
    with ground.client() as client, pytest.MonkeyPatch.context() as patch:
        api = Api(client, namespace)
        turns = Turns(Controllers(api))
        patch.setattr(time, "sleep", turns.sleep)
        patch.setattr(time, "monotonic", lambda: turns.clock)
        yield Scene(Cluster(client, namespace), api)


@contextlib.contextmanager
def staged(ground: Access, namespace: str, backend: Backend) -> Iterator[Stage]:
    """Give a stage in simulated time, whose steps have what a backend needs and no more."""
    runner = as_runner(ground, namespace, f"{RUNNER}-{backend}", role(backend))
    with stepped(ground, namespace) as scene, answered(scene.api) as metrics:
        yield Stage(runner, scene.cluster, metrics, lambda model: contextlib.nullcontext(), backend)
