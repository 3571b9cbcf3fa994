"""What serves, on a real API server: applied strictly, admitted as restricted, drained singly."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from components.deployment import slots
from components.deployment.slots import Capacity, Runtime, Version
from components.deployment.transformer import Transformer
from components.foundation.sealing.uri import ReleaseUri
from tests.cluster import applied
from tests.cluster.ground.clients import Access
from tests.manifests import served
from tests.manifests.features import on_page

Thing = dict[str, Any]

CONCERNS = ("serving", "serving-gpu", "scaling", "keda", "router")
PAGE = on_page("serving-cluster.md")
RELEASE = ReleaseUri.parse("sealed+s3://falaj-models/delays/0123456789ab")
IMAGE = f"registry.falaj.example/falaj/transformer@sha256:{'0' * 64}"
BEFORE = Transformer(IMAGE, "examples.flights.features", "lateness", "registry")
NAMESPACE = "falaj-serving-test"


def service(slot: str = "a", runtime: Runtime = Runtime.ONNX) -> Thing:
    return slots.manifest(Version(slot, RELEASE, runtime, BEFORE), Capacity(2, 4))


TEMPLATES = {
    "onnx": served.predictor(service()),
    "torch": served.predictor(service(runtime=Runtime.TORCH)),
    "tensorflow": served.predictor(service(runtime=Runtime.TENSORFLOW)),
    "triton": served.predictor(PAGE["InferenceService", "delays-gpu"]),
    "transformer": served.transformer(service()),
}


@pytest.fixture(scope="module")
def place(ground: Access) -> Iterator[str]:
    """A restricted namespace with everything that serving needs."""
    with applied.restricted(ground, NAMESPACE, CONCERNS):
        yield NAMESPACE


def pods(ground: Access, place: str, app: str) -> list[Thing]:
    found: list[Thing] = ground.get("pods", "-n", place, "-l", f"app={app}")["items"]
    return found


def made(ground: Access, place: str, name: str, template: Thing, replicas: int = 1) -> list[Thing]:
    """Have a Deployment's pods made; return them once all are there."""
    applied.apply(ground, [applied.deployment(place, name, template, replicas)])
    app = template["metadata"]["labels"]["app"]

    def all_there() -> list[Thing]:
        found = pods(ground, place, app)
        return found if len(found) == replicas else []

    found: list[Thing] = applied.until(all_there, f"{replicas} pods of {name}")
    return found


@pytest.mark.parametrize("concern", CONCERNS)
def test_a_second_apply_warns_of_nothing_and_changes_nothing(
    ground: Access, place: str, concern: str
) -> None:
    things = applied.concern(concern, place)

    assert applied.changed_by_applying(ground, things) == []


@pytest.mark.parametrize("concern", CONCERNS)
def test_an_unknown_field_is_refused_in_each_kind(ground: Access, place: str, concern: str) -> None:
    things = applied.concern(concern, place)
    for thing in things:
        thing["spec" if "spec" in thing else "metadata"]["falajMisspelt"] = 1

    said = applied.refused(ground, things)

    assert len(said) == len(things)
    assert [
        line for line in said if "falajMisspelt: field not declared in schema" not in line
    ] == []


@pytest.mark.parametrize("kind", ["InferenceService", "PodDisruptionBudget"])
def test_what_the_page_shows_is_valid(ground: Access, namespace: str, kind: str) -> None:
    shown = [thing for (its_kind, _), thing in PAGE.items() if its_kind == kind]

    assert shown
    assert applied.apply(ground, list(applied.moved(shown, namespace))) == ""


def test_what_an_engineer_adds_to_a_slot_survives_the_next_deploy(
    ground: Access, namespace: str
) -> None:
    deployer = ground.cluster(None, namespace)
    deployer.apply(service())
    [added] = applied.moved([PAGE["InferenceService", "delays-a"]], namespace)
    platform = (*applied.STRICT, "--field-manager=platform")
    ground.kubectl(*platform, input=yaml.safe_dump(added))

    deployer.apply(service())

    predictor = ground.get("inferenceservice", "delays-a", "-n", namespace)["spec"]["predictor"]
    assert (predictor["scaleMetric"], predictor["scaleTarget"]) == ("memory", 70)
    assert predictor["maxReplicas"] == 4


@pytest.mark.parametrize("name", TEMPLATES)
def test_its_pods_are_admitted_where_restricted_is_enforced(
    ground: Access, place: str, name: str
) -> None:
    template = TEMPLATES[name]
    template["metadata"]["labels"]["app"] = f"admitted-{name}"
    del template["spec"]["automountServiceAccountToken"]  # KServe's word; the account has its own

    [pod] = made(ground, place, f"admitted-{name}", template)

    assert not [v for v in pod["spec"]["volumes"] if "projected" in v]  # no token of Kubernetes


@pytest.mark.parametrize("part", ["containers", "initContainers"])
def test_the_same_pod_as_root_is_refused(ground: Access, place: str, part: str) -> None:
    template = served.predictor(service())
    template["metadata"]["labels"]["app"] = f"root-{part.lower()}"
    template["spec"][part][0]["securityContext"] |= {"runAsNonRoot": False, "runAsUser": 0}
    name = f"root-{part.lower()}"

    wanted = applied.deployment(place, name, template)
    warned = applied.apply(ground, [wanted])

    def failure() -> str:
        status = ground.get("deployment", name, "-n", place).get("status", {})
        told = [c for c in status.get("conditions", []) if c["type"] == "ReplicaFailure"]
        return told[0]["message"] if told else ""

    message = applied.until(failure, "a refusal")
    assert 'violates PodSecurity "restricted:latest": runAsNonRoot != true' in message
    assert "runAsUser=0" in message
    assert 'would violate PodSecurity "restricted:latest"' in warned
    assert pods(ground, place, template["metadata"]["labels"]["app"]) == []


def test_a_models_pods_keep_apart_from_that_models_only(ground: Access, place: str) -> None:
    found = made(ground, place, "delays-c-predictor", served.predictor(service("c")), replicas=3)

    for pod in found:
        terms = pod["spec"]["affinity"]["podAntiAffinity"]
        for one in terms["preferredDuringSchedulingIgnoredDuringExecution"]:
            [own] = one["podAffinityTerm"]["labelSelector"]["matchExpressions"]
            assert own == {"key": "app", "operator": "In", "values": ["isvc.delays-c-predictor"]}
    nodes = applied.until(lambda: _nodes(ground, place, "isvc.delays-c-predictor", 3), "3 nodes")
    assert len(nodes) == 3


def _nodes(ground: Access, place: str, app: str, count: int) -> set[str]:
    placed = {pod["spec"].get("nodeName", "") for pod in pods(ground, place, app)} - {""}
    return placed if len(placed) >= count else set()


def test_a_drain_takes_one_predictor_of_either_slot_at_a_time(
    ground: Access, namespace: str
) -> None:
    applied.apply(ground, applied.concern("scaling", namespace))
    first, second = _slots(ground, namespace)
    applied.until(lambda: _budget(ground, namespace).get("disruptionsAllowed"), "healthy pods")
    # What is evicted may not come back, so that the second answer does not depend on speed.
    ground.kubectl("create", "quota", "none", "--hard=pods=1", "-n", namespace)

    taken, held = _evict(ground, namespace, first), _evict(ground, namespace, second)

    assert _budget(ground, namespace)["expectedPods"] == 4
    assert taken == ""
    assert "Cannot evict pod as it would violate the pod's disruption budget" in held


def test_a_predictor_that_never_was_ready_may_go_but_holds_the_others(
    ground: Access, namespace: str
) -> None:
    applied.apply(ground, applied.concern("scaling", namespace))
    ready, _ = _slots(ground, namespace)
    broken = served.predictor(service("c"))
    broken["spec"]["nodeSelector"] = {"falaj.example/nowhere": "true"}
    [pending] = made(ground, namespace, "delays-c-predictor", broken)
    applied.until(lambda: _budget(ground, namespace).get("currentHealthy") == 4, "healthy pods")

    held, gone = _evict(ground, namespace, ready), _evict(ground, namespace, pending)

    assert "Cannot evict pod as it would violate the pod's disruption budget" in held
    assert gone == ""


def _slots(ground: Access, namespace: str) -> list[Thing]:
    """Have two pods made in each slot; return one of each."""
    ground.kubectl("create", "serviceaccount", "falaj-serving", "-n", namespace)
    return [
        made(ground, namespace, name, served.predictor(service(slot)), replicas=2)[0]
        for slot, name in ((slot, f"delays-{slot}-predictor") for slot in slots.SLOTS)
    ]


def _budget(ground: Access, namespace: str) -> Thing:
    found: Thing = ground.get("pdb", "falaj-predictors", "-n", namespace).get("status", {})
    return found


def _evict(ground: Access, place: str, pod: Thing) -> str:
    name = pod["metadata"]["name"]
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": place},
    }
    path = f"/api/v1/namespaces/{place}/pods/{name}/eviction"
    done = ground.kubectl(
        "create", "--raw", path, "-f", "-", input=json.dumps(eviction), check=False
    )
    return done.stderr


def test_the_router_has_as_many_pods_as_its_autoscaler_says(ground: Access, place: str) -> None:
    def replicas() -> bool:
        found = ground.get("deployment", "falaj-router", "-n", place)
        return bool(found["spec"]["replicas"] == found["status"].get("replicas") == 2)

    applied.until(replicas, "two routers")

    warned = applied.apply(ground, applied.concern("router", place))

    assert warned == ""
    assert replicas()
    [pod, _] = ground.get("pods", "-n", place, "-l", "app.kubernetes.io/name=falaj-router")["items"]
    assert pod["spec"]["priority"] == 1000
    assert not [v for v in pod["spec"]["volumes"] if "projected" in v]
