"""Storage on a real API server: taken strictly, volumes only in the UAE, a job that is admitted."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.cluster import applied
from tests.cluster.ground.clients import Access
from tests.manifests.conftest import built

Thing = dict[str, Any]

PROVIDERS = ("aws", "azure", "oracle", "on-prem")
NAMESPACE, ABROAD = "falaj-storage-test", "node-abroad"
CHOSEN = "volume.kubernetes.io/selected-node"  # where the scheduler wants the volume made


def volumes(provider: str) -> Thing:
    """The class of a provider under a name of its own: other tests may have another's."""
    [thing] = yaml.safe_load_all(built(f"manifests/storage-{provider}"))
    return {**thing, "metadata": {**thing["metadata"], "name": f"test-{provider}"}}


@pytest.fixture(scope="module")
def place(ground: Access) -> Iterator[str]:
    with applied.restricted(ground, NAMESPACE, ["storage"]):
        yield NAMESPACE


@pytest.fixture(scope="module")
def classes(ground: Access) -> Iterator[list[Thing]]:
    things = [volumes(provider) for provider in PROVIDERS]
    assert applied.apply(ground, things) == ""
    yield things
    ground.kubectl("delete", "storageclass", *(thing["metadata"]["name"] for thing in things))


def test_classes_of_copies_are_taken_strictly(ground: Access) -> None:
    things = []
    for provider in PROVIDERS:
        [thing] = yaml.safe_load_all(built(f"manifests/snapshots-{provider}"))
        things.append({**thing, "metadata": {"name": f"test-{provider}"}})

    assert applied.apply(ground, things) == ""
    names = [thing["metadata"]["name"] for thing in things]
    ground.kubectl("delete", "volumesnapshotclass", *names)


@pytest.fixture(scope="module")
def abroad(ground: Access) -> Iterator[str]:
    """A node in Bahrain, of a cluster that spans two countries."""
    node = ground.get("node", "node-0")
    labels = {**node["metadata"]["labels"], "topology.kubernetes.io/region": "me-south-1"}
    labels |= {"topology.kubernetes.io/zone": "me-south-1a", "kubernetes.io/hostname": ABROAD}
    metadata = {"name": ABROAD, "labels": labels, "annotations": node["metadata"]["annotations"]}
    taint = {"key": "falaj.example/abroad", "effect": "NoSchedule"}  # no other test's pods
    size = {name: node["status"][name] for name in ("capacity", "allocatable")}
    thing = {"apiVersion": "v1", "kind": "Node", "metadata": metadata}
    ground.kubectl("create", "-f", "-", input=json.dumps({**thing, "spec": {"taints": [taint]}}))
    status = json.dumps({"status": size})
    ground.kubectl("patch", "node", ABROAD, "--subresource=status", "--type=merge", "-p", status)
    yield ABROAD
    ground.kubectl("delete", "node", ABROAD, "--wait=false")


def claim(place: str, name: str, provider: str) -> Thing:
    spec = {
        "storageClassName": f"test-{provider}",
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "10Gi"}},
    }
    metadata = {"name": name, "namespace": place}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def user(place: str, name: str, node: str) -> Thing:
    """A pod that uses a claim of its own name on a node."""
    container = {
        "name": "user",
        "image": f"registry.falaj.example/falaj/data@sha256:{'0' * 64}",
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    spec = {
        "nodeSelector": {"kubernetes.io/hostname": node},
        "tolerations": [{"key": "falaj.example/abroad", "operator": "Exists"}],
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": name}}],
    }
    metadata = {"name": name, "namespace": place}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def why_pending(ground: Access, place: str, name: str) -> str:
    conditions = ground.get("pod", name, "-n", place)["status"].get("conditions", [])
    return "".join(c.get("message", "") for c in conditions if c["type"] == "PodScheduled")


def chosen(ground: Access, place: str, name: str) -> str:
    metadata = ground.get("persistentvolumeclaim", name, "-n", place)["metadata"]
    return str(metadata.get("annotations", {}).get(CHOSEN, ""))


def test_a_second_apply_warns_of_nothing_and_changes_nothing(ground: Access, place: str) -> None:
    things = applied.concern("storage", place)

    assert applied.changed_by_applying(ground, things) == []


def test_every_providers_volumes_are_taken_as_they_are(
    ground: Access, classes: list[Thing]
) -> None:
    for thing in classes:
        kept = ground.get("storageclass", thing["metadata"]["name"])

        assert kept["parameters"] == thing["parameters"]
        assert kept["allowedTopologies"] == thing["allowedTopologies"]


def test_no_volume_is_made_abroad(
    ground: Access, place: str, classes: list[Thing], abroad: str
) -> None:
    applied.apply(ground, [claim(place, "abroad", "aws"), user(place, "abroad", abroad)])

    message = applied.until(lambda: why_pending(ground, place, "abroad"), "a reason to wait")

    assert "didn't find available persistent volumes to bind" in message
    assert chosen(ground, place, "abroad") == ""


def test_a_volume_is_made_in_the_uae_once_its_pod_has_a_node(
    ground: Access, place: str, classes: list[Thing]
) -> None:
    applied.apply(ground, [claim(place, "here", "aws")])
    assert chosen(ground, place, "here") == ""

    applied.apply(ground, [user(place, "here", "node-1")])

    assert applied.until(lambda: chosen(ground, place, "here"), "a node chosen") == "node-1"


def test_another_key_needs_the_class_made_anew(ground: Access, classes: list[Thing]) -> None:
    thing = classes[0]
    other = {**thing, "parameters": {**thing["parameters"], "kmsKeyId": "another"}}

    done = ground.kubectl(*applied.STRICT, input=yaml.safe_dump(other), check=False)

    assert done.returncode == 1
    assert "updates to parameters are forbidden" in done.stderr


def test_the_job_that_keeps_buckets_is_admitted_as_restricted(ground: Access, place: str) -> None:
    made = ground.kubectl("-n", place, "create", "job", "now", "--from=cronjob/falaj-buckets")

    def pods() -> list[Thing]:
        found: list[Thing] = ground.get("pods", "-n", place, "-l", "job-name=now")["items"]
        return found

    [pod] = applied.until(pods, "a pod of the job")
    assert made.stderr == ""
    assert pod["spec"]["serviceAccountName"] == "falaj-buckets"
    assert [v for v in pod["spec"]["volumes"] if "projected" in v] == []  # no token
