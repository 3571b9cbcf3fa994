"""deploy and roll_out on a real API server, as the service account that runs pipelines.

Real: the API, its schemas and conflicts, the Role, Deployments, Services, autoscalers, pods that
are scheduled. Stood in for: KServe and a gateway (`standin`), kubelets (kwok), what pods and
Prometheus answer (`standin/answers.py`). So no request is served, routed or counted here: that
is what `tests/components/deployment` and the plane show.
"""

import contextlib
import copy
import dataclasses
import json
from collections.abc import Callable, Iterator

import pytest

from components.deployment import route as routes
from components.deployment.slots import Runtime
from components.deployment.traffic.interface import Backend
from components.foundation.errors import Refused
from components.foundation.kubernetes import resources
from components.foundation.kubernetes.client import Cluster, Manifest
from components.foundation.verdict import Decision
from tests.cluster import claims
from tests.cluster.claims import FIRST, Stage
from tests.cluster.ground.clients import Access
from tests.cluster.ground.identities import Robot
from tests.cluster.standin import scene as scenes
from tests.cluster.standin import stages
from tests.cluster.standin.scene import Scene
from tests.cluster.standin.stages import ROLE, RUNNER, as_runner, manifest

OURS = {one.plural for one in resources.KNOWN}
RIGHTS = [
    (resource, verb)
    for rule in ROLE["rules"]
    for resource in rule["resources"]
    for verb in rule["verbs"]
    if resource in OURS
]


@pytest.fixture(scope="module")
def scene(ground: Access) -> Iterator[Scene]:
    """A namespace with what our manifests put into one, and a stand-in for KServe."""
    with (
        stages.namespace(ground, "deployment") as name,
        scenes.set_in(ground, name) as found,
    ):
        yield found


@pytest.fixture(scope="module")
def metrics(scene: Scene) -> Iterator[str]:
    with stages.answered(scene.api) as where:
        yield where


@pytest.fixture(scope="module")
def stage(ground: Access, scene: Scene, metrics: str) -> Stage:
    runner = as_runner(ground, scene.api.namespace, RUNNER, ROLE)
    return Stage(runner, scene.cluster, metrics, lambda model: contextlib.nullcontext())


@pytest.mark.parametrize("claim", claims.ALL, ids=claims.NAMES)
def test_on_a_real_api_server(
    claim: Callable[[Stage, str], None], stage: Stage, unique: str
) -> None:
    claim(stage, unique)


@pytest.fixture
def with_knative(ground: Access) -> Iterator[None]:
    with stages.with_knative(ground):
        yield


@pytest.mark.parametrize("claim", claims.BRIEFLY, ids=lambda claim: claim.__name__)
@pytest.mark.parametrize("backend", [Backend.CANARY, Backend.KNATIVE])
def test_on_a_real_api_server_with_what_a_backend_needs_and_no_more(
    claim: Callable[[Stage, str], None],
    ground: Access,
    scene: Scene,
    stage: Stage,
    with_knative: None,
    unique: str,
    backend: Backend,
) -> None:
    role = stages.role(backend)
    runner = as_runner(ground, scene.api.namespace, f"{RUNNER}-{backend}", role)

    claim(dataclasses.replace(_as(stage, runner), backend=backend), unique)


@pytest.mark.parametrize(("resource", "verb"), RIGHTS)
def test_without_a_right_deploying_is_refused(
    ground: Access, scene: Scene, stage: Stage, unique: str, resource: str, verb: str
) -> None:
    name = f"no-{verb}-{resource}"
    less = as_runner(ground, scene.api.namespace, name, without(ROLE, resource, verb))
    if (resource, verb) == ("events", "list"):  # what it tells is told no more, and no less
        assert "StorageURI" not in told_without_storage(ground, _as(stage, less), unique)
        return

    with pytest.raises(Refused, match=rf"cannot {verb} resource \"{resource}\""):
        story(_as(stage, less), unique)


def story(stage: Stage, model: str) -> None:
    """Deploy a first release, and look its route up again as roll_out does."""
    stage.launch(model, FIRST)
    routes.of(stage.cluster, model)


def without(role: Manifest, resource: str, verb: str) -> Manifest:
    """Return a Role with one right less."""
    less = copy.deepcopy(role)
    for rule in less["rules"]:
        if resource in rule["resources"]:
            rule["verbs"].remove(verb)
    less["rules"] = [rule for rule in less["rules"] if rule["verbs"]]
    return less


def _as(stage: Stage, cluster: Cluster) -> Stage:
    return Stage(cluster, stage.somebody, stage.metrics, stage.traffic)


def told_without_storage(ground: Access, stage: Stage, model: str) -> str:
    """Deploy where nothing fetches sealed releases; return why it was refused."""
    storage = manifest("clusterstoragecontainer", "falaj-sealed")
    ground.kubectl("delete", "clusterstoragecontainer", "falaj-sealed")
    try:
        _, verdict = stage.launch(model, FIRST, timeout_s=3)
    finally:
        ground.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(storage))
    assert verdict.decision is Decision.REFUSE
    return verdict.reason


def test_a_refusal_that_is_only_an_event_is_told(ground: Access, stage: Stage, unique: str) -> None:
    assert "StorageURI not supported: " in told_without_storage(ground, stage, unique)


def test_a_runtime_that_is_not_there_is_told_at_once(
    ground: Access, stage: Stage, unique: str
) -> None:
    ground.kubectl("delete", "clusterservingruntime", Runtime.ONNX.value)
    try:
        _, verdict = stage.launch(unique, FIRST)
    finally:
        scenes.load_runtimes(ground)

    assert verdict.decision is Decision.REFUSE
    assert "No ServingRuntime or ClusterServingRuntime with name: falaj-onnx" in verdict.reason


def test_the_runner_deletes_nothing_and_reads_no_secret(ground: Access, stage: Stage) -> None:
    robot = Robot(stage.cluster.namespace, RUNNER)
    for verb, what in [("delete", one) for one in OURS] + [("list", "secrets"), ("get", "secrets")]:
        ask = ("auth", "can-i", verb, what, "-n", stage.cluster.namespace)
        assert ground.kubectl(*ask, who=robot, check=False).stdout.strip() == "no", (verb, what)
