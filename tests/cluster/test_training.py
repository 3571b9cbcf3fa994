"""Training and its queues, on a real API server: applied strictly, admitted, giving way."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from components.deployment import slots
from components.deployment.slots import Capacity, Version
from components.foundation.sealing.uri import ReleaseUri
from tests.cluster import applied
from tests.cluster.ground.clients import Access
from tests.manifests import served
from tests.manifests.features import on_page

Thing = dict[str, Any]

CONCERNS = ("training", "queues")
RELEASE = ReleaseUri.parse("sealed+s3://falaj-models/delays/0123456789ab")
NAMESPACE = "falaj-training-test"
RUNTIMES = ("falaj-torch", "falaj-tensorflow")


@pytest.fixture(scope="module")
def place(ground: Access) -> Iterator[str]:
    """A restricted namespace with runtimes and queues."""
    with applied.restricted(ground, NAMESPACE, CONCERNS):
        yield NAMESPACE


def job(namespace: str, runtime: str, pods: int) -> Thing:
    """Return the Job that JobSet makes of a runtime's template."""
    [kind] = [
        one
        for one in applied.concern("training", namespace)
        if one["kind"] == "ClusterTrainingRuntime" and one["metadata"]["name"] == runtime
    ]
    [node] = kind["spec"]["template"]["spec"]["replicatedJobs"]
    spec = {**node["template"]["spec"], "parallelism": pods, "completions": pods}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": f"made-of-{runtime}", "namespace": namespace},
        "spec": {**spec, "completionMode": "Indexed"},
    }


def pods(ground: Access, place: str, name: str) -> list[Thing]:
    selector = f"batch.kubernetes.io/job-name={name}"
    found: list[Thing] = ground.get("pods", "-n", place, "-l", selector)["items"]
    return found


def started(ground: Access, place: str, wanted: Thing) -> list[Thing]:
    """Have a Job's pods made; return them once all are there."""
    applied.apply(ground, [wanted])
    name, count = wanted["metadata"]["name"], wanted["spec"]["parallelism"]

    def all_there() -> list[Thing]:
        found = pods(ground, place, name)
        return found if len(found) == count else []

    found: list[Thing] = applied.until(all_there, f"{count} pods of {name}")
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
        thing.setdefault("spec", {})["falajMisspelt"] = 1

    said = applied.refused(ground, things)

    assert len(said) == len(things)
    assert [line for line in said if "field not declared in schema" not in line] == []


def test_the_pages_job_is_valid(ground: Access, place: str) -> None:
    shown = applied.moved([on_page("serving-cluster.md")["TrainJob", "flights"]], place)

    assert applied.apply(ground, list(shown)) == ""


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_its_pods_are_admitted_behind_what_serves_and_without_a_token(
    ground: Access, place: str, runtime: str
) -> None:
    found = started(ground, place, job(place, runtime, 2))

    for pod in found:
        assert pod["spec"]["priority"] == -1
        assert pod["spec"]["preemptionPolicy"] == "Never"
        assert pod["spec"]["serviceAccountName"] == "falaj-training"
        assert not [v for v in pod["spec"]["volumes"] if "projected" in v]


def test_the_same_pod_as_root_is_refused(ground: Access, place: str) -> None:
    wanted = job(place, "falaj-torch", 1)
    wanted["metadata"]["name"] = "as-root"
    [container] = wanted["spec"]["template"]["spec"]["containers"]
    container["securityContext"]["runAsNonRoot"] = False

    warned = applied.apply(ground, [wanted])

    assert 'would violate PodSecurity "restricted:latest": runAsNonRoot != true' in warned
    message = applied.until(lambda: _refusal(ground, place, "as-root"), "a refusal")
    assert 'violates PodSecurity "restricted:latest"' in message
    assert pods(ground, place, "as-root") == []


def _refusal(ground: Access, place: str, name: str) -> str:
    where = f"involvedObject.name={name},reason=FailedCreate"
    events = ground.get("events", "-n", place, "--field-selector", where)["items"]
    return events[0]["message"] if events else ""


@pytest.fixture
def small_node(ground: Access) -> Iterator[dict[str, Any]]:
    """A node of four cores for these pods only; what a pod says to get there."""
    name, capacity = "small-for-training", {"cpu": "4", "memory": "64Gi", "pods": "20"}
    taint = {"key": "falaj.example/small", "effect": "NoSchedule"}
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/hostname": name},
            "annotations": {"kwok.x-k8s.io/node": "fake"},
        },
        "spec": {"taints": [taint]},
        "status": {"capacity": capacity, "allocatable": capacity},
    }
    ground.kubectl("create", "-f", "-", input=yaml.safe_dump(node))
    yield {
        "nodeSelector": {"kubernetes.io/hostname": name},
        "tolerations": [{**taint, "operator": "Exists"}],
    }
    ground.kubectl("delete", "node", name)


def test_training_gives_way_to_a_model_that_finds_no_room(
    ground: Access, place: str, small_node: dict[str, Any]
) -> None:
    # Of two cores each, and not a Job's, whose pods kwok ends at once.
    applied.apply(ground, [applied.deployment(place, "training", _training(small_node), 2)])
    applied.until(lambda: len(_placed(ground, place, "training")) == 2, "a full node")

    applied.apply(ground, [applied.deployment(place, "model", _model(small_node))])

    applied.until(lambda: _placed(ground, place, "model"), "a model on the node")
    assert len(_placed(ground, place, "training")) == 1


def _placed(ground: Access, place: str, app: str) -> list[str]:
    """Name the pods that have a node and are not on their way out."""
    return [
        pod["metadata"]["name"]
        for pod in ground.get("pods", "-n", place, "-l", f"app={app}")["items"]
        if "nodeName" in pod["spec"] and "deletionTimestamp" not in pod["metadata"]
    ]


def _training(where: dict[str, Any]) -> Thing:
    """Return the pods of the runtime, to be kept running."""
    template: Thing = job("", "falaj-torch", 1)["spec"]["template"]
    template["metadata"]["labels"]["app"] = "training"
    template["spec"] |= {**where, "restartPolicy": "Always"}
    return template


def _model(where: dict[str, Any]) -> Thing:
    """Return the pods of a model as KServe makes them: they have no class."""
    service = slots.manifest(Version("a", RELEASE), Capacity())
    template = served.predictor(service)
    template["metadata"]["labels"]["app"] = "model"
    template["spec"] |= {**where, "serviceAccountName": "falaj-training"}
    return template
