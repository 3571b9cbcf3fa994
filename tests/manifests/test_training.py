"""Training on several pods, and the queues before it."""

import pathlib
import subprocess
import sys
from decimal import Decimal
from typing import Any

import pytest

from images.families import FAMILIES
from tests.manifests import requests
from tests.manifests.features import objects
from tests.manifests.served import RESTRICTED

Thing = dict[str, Any]

RUNTIMES = ("falaj-torch", "falaj-tensorflow")
runtimes = pytest.mark.parametrize("name", RUNTIMES)


def node(name: str) -> Thing:
    """Return the one replicated job of a runtime."""
    runtime = objects("training")["ClusterTrainingRuntime", name]
    [job] = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    assert isinstance(job, dict)
    return job


def pod(name: str) -> Thing:
    found: Thing = node(name)["template"]["spec"]["template"]["spec"]
    return found


def container(name: str) -> Thing:
    [found] = pod(name)["containers"]
    assert isinstance(found, dict)
    return found


@runtimes
def test_trainer_finds_what_it_fills_in(name: str) -> None:
    labels = node(name)["template"]["metadata"]["labels"]

    assert labels["trainer.kubeflow.org/trainjob-ancestor-step"] == "trainer"
    assert (node(name)["name"], container(name)["name"]) == ("node", "node")


@runtimes
def test_a_training_pod_is_restricted_and_bounded(name: str) -> None:
    assert container(name)["securityContext"] == RESTRICTED
    assert set(container(name)["resources"]["limits"]) == {"cpu", "memory"}
    assert set(container(name)["resources"]["requests"]) == {"cpu", "memory"}


@runtimes
def test_a_training_pod_is_nobody_to_kubernetes(name: str) -> None:
    account = objects("training")["ServiceAccount", "falaj-training"]

    assert pod(name)["serviceAccountName"] == account["metadata"]["name"]
    assert pod(name)["automountServiceAccountToken"] is False
    assert account["automountServiceAccountToken"] is False


@runtimes
def test_it_runs_the_image_that_trains_in_steps(name: str) -> None:
    repository, _, digest = container(name)["image"].partition("@sha256:")

    assert repository.rpartition("/")[2] == name.removeprefix("falaj-")
    assert repository.rpartition("/")[2] in FAMILIES
    assert len(digest) == 64


@pytest.mark.parametrize(
    "name", ["falaj-tensorflow", pytest.param("falaj-torch", marks=pytest.mark.slow)]
)
def test_a_job_that_says_nothing_to_run_fails(name: str) -> None:
    program, *rest = container(name)["command"]
    beside = pathlib.Path(sys.executable).parent / program

    done = subprocess.run([str(beside), *rest], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "required" in done.stderr or "expected" in done.stderr


def test_torch_is_told_of_its_peers_and_tensorflow_has_none() -> None:
    policies = {
        name: objects("training")["ClusterTrainingRuntime", name]["spec"]["mlPolicy"]
        for name in RUNTIMES
    }

    assert policies == {
        "falaj-torch": {"numNodes": 1, "torch": {}},
        "falaj-tensorflow": {"numNodes": 1},
    }


@pytest.mark.parametrize("queue", ["falaj-batch", "falaj-cpu", "falaj-gpu"])
def test_a_queue_leads_to_quotas_of_flavors_that_there_are(queue: str) -> None:
    queues = objects("queues")
    where = queues["LocalQueue", queue]["spec"]["clusterQueue"]
    spec = queues["ClusterQueue", where]["spec"]

    for group in spec["resourceGroups"]:
        for flavor in group["flavors"]:
            assert ("ResourceFlavor", flavor["name"]) in queues
            assert [r["name"] for r in flavor["resources"]] == group["coveredResources"]
    assert ("Cohort", spec["cohortName"]) in queues


@runtimes
def test_a_job_of_four_pods_fits_its_queue(name: str) -> None:
    quota = _quota("falaj-cpu", "falaj-cpu")

    asked = requests.of_pod(pod(name)).times(4)

    assert asked.cpu <= Decimal(quota["cpu"]["nominalQuota"])
    assert asked.memory / (1 << 30) <= int(quota["memory"]["nominalQuota"].removesuffix("Gi"))


def test_batch_may_borrow_all_of_training_and_gives_it_back() -> None:
    queues = objects("queues")
    lends, borrows = _quota("falaj-cpu", "falaj-cpu"), _quota("falaj-batch", "falaj-cpu")
    preemption = queues["ClusterQueue", "falaj-cpu"]["spec"]["preemption"]

    own, more = borrows["cpu"]["nominalQuota"], borrows["cpu"]["borrowingLimit"]
    assert own + more == lends["cpu"]["nominalQuota"]
    assert preemption["reclaimWithinCohort"] == "Any"


def test_a_job_has_the_same_place_in_the_queue_and_on_a_node() -> None:
    queues, training = objects("queues"), objects("training")

    for name, things in (("falaj-training", training), ("falaj-batch", queues)):
        on_a_node = things["PriorityClass", name]["value"]
        assert queues["WorkloadPriorityClass", name]["value"] == on_a_node


def _quota(queue: str, flavor: str) -> dict[str, Thing]:
    [group] = objects("queues")["ClusterQueue", queue]["spec"]["resourceGroups"]
    [found] = [one for one in group["flavors"] if one["name"] == flavor]
    return {resource["name"]: resource for resource in found["resources"]}
