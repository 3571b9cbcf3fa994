"""A cluster in memory for the tests of one backend after the other, and what Prometheus has."""

import contextlib
import functools
import time
import urllib.parse

import pytest
import yaml

from components.deployment import readiness
from components.deployment.roll_out import counters
from components.deployment.roll_out.counters import Metrics
from components.deployment.slots import Version
from inference.plane.objects import Key
from tests.cluster.claims import Stage
from tests.cluster.standin import offline
from tests.cluster.standin.answers import Answers
from tests.cluster.standin.offline import NAMESPACE, World
from tests.cluster.standin.scene import MANIFESTS

SETTINGS = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "config-autoscaler"}}
GATEWAY = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "Gateway",
    "metadata": {"name": "falaj"},
}
_SERVING = ("clusterservingruntime-*.yaml", "clusterstoragecontainer-*.yaml")


@functools.cache
def _serving() -> tuple[str, ...]:
    return tuple(
        path.read_text() for form in _SERVING for path in (MANIFESTS / "serving").glob(form)
    )


def made(patch: pytest.MonkeyPatch) -> World:
    """Make a world whose time passes where the code waits, and where its questions are answered."""
    world = offline.world()
    for text in _serving():
        _put(world, yaml.safe_load(text), NAMESPACE)
    _put(world, dict(SETTINGS), "knative-serving")
    _put(world, dict(GATEWAY), NAMESPACE)
    answers = Answers(world.api)

    def answer(url: str, version: Version) -> bool:
        service = str(urllib.parse.urlsplit(url).hostname).partition(".")[0]
        path = f"/v2/models/{version.model}/versions/{version.release.version}/ready"
        return answers.ready(service, path)

    patch.setattr(time, "sleep", world.sleep)
    patch.setattr(time, "monotonic", lambda: world.clock)
    patch.setattr(readiness, "answers", answer)
    patch.setattr(Metrics, "sample", lambda self, model: counters.parse(answers.page(model)))
    return world


def _put(world: World, thing: dict[str, object], namespace: str) -> None:
    resource = world.server._resource(str(thing["apiVersion"]), f"{str(thing['kind']).lower()}s")
    assert resource is not None
    metadata = thing["metadata"]
    assert isinstance(metadata, dict)
    world.server.objects.create(Key(resource, namespace, metadata["name"]), thing, manager="me")


def stage(world: World, backend: str) -> Stage:
    return Stage(
        world.cluster, world.api, "http://none", lambda model: contextlib.nullcontext(), backend
    )
