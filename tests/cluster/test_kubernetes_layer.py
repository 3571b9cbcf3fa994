"""What the Kubernetes layer promises, on a real API server.

`test_kubernetes_versions.py` runs these with the oldest and the newest Kubernetes client, too.
"""

import concurrent.futures
import contextlib
import dataclasses
import json
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from components.foundation.kubernetes import discovery, resources
from components.foundation.kubernetes.client import Cluster
from components.foundation.kubernetes.failures import Owned, Owner
from components.foundation.kubernetes.resources import Resource
from components.foundation.kubernetes.retries import Retries
from components.foundation.kubernetes.watching import Change, Collection, Watch
from components.foundation.storage import Conflict, NotFound
from tests.cluster.cutting import Way, way_to
from tests.cluster.ground.clients import Access
from tests.cluster.ground.identities import Robot

OURS = {"a": "b"}  # the API server puts a ConfigMap of its own into every namespace
MAP: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}}


@pytest.fixture
def cluster(ground: Access, namespace: str) -> Cluster:
    environment = {"KUBECONFIG": str(ground.kubeconfig())}
    return Cluster.connect(environment, namespace=namespace)


def holding(**data: str) -> dict[str, Any]:
    return {**MAP, "data": data}


def put(cluster: Cluster, name: str, **data: str) -> None:
    cluster.apply({**MAP, "metadata": {"name": name, "labels": OURS}, "data": data})


def told(change: Change) -> tuple[str, str]:
    return str(change.kind), change.manifest["metadata"]["name"]


def test_a_field_that_an_apply_leaves_out_is_removed(cluster: Cluster) -> None:
    cluster.apply(holding(kept="1", left_out="2"))

    cluster.apply(holding(kept="1"))

    assert cluster.get(resources.CONFIG_MAP, "m")["data"] == {"kept": "1"}


def test_the_same_applied_again_changes_nothing(cluster: Cluster) -> None:
    first = cluster.apply(holding(a="1"))

    assert cluster.apply(holding(a="1"))["metadata"] == first["metadata"]


def test_a_conflict_names_the_managers_and_their_fields(ground: Access, cluster: Cluster) -> None:
    cluster.apply(holding(a="1", b="1"))
    for manager, key in (("kubectl-edit", "a"), ("helm", "b")):
        patch = json.dumps({"data": {key: "2"}})
        what = ("patch", "configmap", "m", f"--namespace={cluster.namespace}")
        ground.kubectl(*what, f"--field-manager={manager}", "--type=merge", f"--patch={patch}")

    with pytest.raises(Owned) as caught:
        cluster.apply(holding(a="3", b="3"))

    assert set(caught.value.owners) == {Owner("kubectl-edit", ".data.a"), Owner("helm", ".data.b")}
    assert cluster.get(resources.CONFIG_MAP, "m")["data"] == {"a": "2", "b": "2"}
    assert cluster.apply(holding(a="3", b="3"), force=True)["data"] == {"a": "3", "b": "3"}


def test_of_two_that_read_one_version_the_second_does_not_write(cluster: Cluster) -> None:
    cluster.create(holding(a="1"))
    seen = cluster.get(resources.CONFIG_MAP, "m")
    cluster.replace({**seen, "data": {"a": "first"}})

    with pytest.raises(Conflict, match="read it again"):
        cluster.replace({**seen, "data": {"a": "second"}})
    with pytest.raises(Conflict):
        cluster.delete(resources.CONFIG_MAP, "m", seen=seen)

    assert cluster.get(resources.CONFIG_MAP, "m")["data"] == {"a": "first"}
    cluster.delete(resources.CONFIG_MAP, "m", seen=cluster.get(resources.CONFIG_MAP, "m"))
    cluster.delete(resources.CONFIG_MAP, "m")
    with pytest.raises(NotFound):
        cluster.get(resources.CONFIG_MAP, "m")


def test_a_watch_tells_what_is_there_and_what_changes(cluster: Cluster) -> None:
    put(cluster, "m", a="1")
    watching = cluster.watch(resources.CONFIG_MAP, name="m", seconds=20)

    found = [told(next(watching))]
    put(cluster, "other", a="1")
    put(cluster, "m", a="2")
    found.append(told(next(watching)))
    cluster.delete(resources.CONFIG_MAP, "m")
    found.append(told(next(watching)))

    assert found == [("ADDED", "m"), ("MODIFIED", "m"), ("DELETED", "m")]


def test_a_watch_from_a_version_that_the_server_has_forgotten_lists_again(
    cluster: Cluster,
) -> None:
    put(cluster, "gone", a="1")
    put(cluster, "changed", a="1")
    watch = Watch(Collection(cluster, resources.CONFIG_MAP, [("labelSelector", "a=b")]))
    seen = watch.changes(seconds=20)
    while "gone" not in watch.known or "changed" not in watch.known:
        next(seen)
    cluster.delete(resources.CONFIG_MAP, "gone")
    put(cluster, "changed", a="2")

    watch.since = "1"  # long forgotten
    again = watch.changes(seconds=20)
    found = [told(next(again)), told(next(again))]
    put(cluster, "later")
    found.append(told(next(again)))

    assert found == [("DELETED", "gone"), ("MODIFIED", "changed"), ("ADDED", "later")]


@pytest.fixture
def cuttable(cluster: Cluster, ground: Access) -> Iterator[tuple[Cluster, Way]]:
    """The cluster over a way that can be cut."""
    again = Cluster.connect({"KUBECONFIG": str(ground.kubeconfig())}, namespace=cluster.namespace)
    with way_to(ground.url) as (url, way):
        again.api.configuration.host = url
        yield again, way


def test_a_watch_goes_on_where_its_connection_was_cut(
    cluster: Cluster, cuttable: tuple[Cluster, Way]
) -> None:
    over, way = cuttable
    watching = over.watch(resources.CONFIG_MAP, labels=OURS, seconds=30)
    expected = []
    found: list[tuple[str, str]] = []

    def follow() -> None:
        found.extend(told(change) for _, change in zip(range(6), watching, strict=False))

    following = threading.Thread(target=follow)
    following.start()
    for number in range(6):
        name = f"m{number}"
        put(cluster, name)
        expected.append(("ADDED", name))
        if number % 2:
            time.sleep(0.2)
            way.cut()
    following.join(20)

    assert found == expected
    assert way.cuts == 3


@contextlib.contextmanager
def turned_away(ground: Access, robot: Robot) -> Iterator[None]:
    """Have priority and fairness turn away what a robot asks while one answer is under way."""
    name = f"none-for-{robot.namespace}"
    subject = {"kind": "ServiceAccount"}
    subject["serviceAccount"] = {"namespace": robot.namespace, "name": robot.name}  # type: ignore[assignment]
    everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"]}
    rule = {"subjects": [subject], "resourceRules": [everything]}
    group = "flowcontrol.apiserver.k8s.io/v1"
    limited = {"nominalConcurrencyShares": 0, "limitResponse": {"type": "Reject"}}
    limited |= {"lendablePercent": 0, "borrowingLimitPercent": 0}
    level = {"type": "Limited", "limited": limited}
    flow = {"priorityLevelConfiguration": {"name": name}, "matchingPrecedence": 2, "rules": [rule]}
    things = [
        {"apiVersion": group, "kind": kind, "metadata": {"name": name}, "spec": spec}
        for kind, spec in (("PriorityLevelConfiguration", level), ("FlowSchema", flow))
    ]
    bundle = json.dumps({"apiVersion": "v1", "kind": "List", "items": things})
    try:
        ground.kubectl("apply", "-f", "-", input=bundle)
        yield
    finally:
        ground.kubectl("delete", "--ignore-not-found", "-f", "-", input=bundle)


def test_who_is_turned_away_comes_back_when_the_server_says(
    ground: Access, cluster: Cluster
) -> None:
    robot = Robot(cluster.namespace, f"robot-{uuid.uuid4().hex[:6]}")
    ground.kubectl("create", "serviceaccount", robot.name, f"--namespace={robot.namespace}")
    ground.kubectl(
        *("create", "rolebinding", "edits", "--clusterrole=edit"),
        *(f"--serviceaccount={robot.namespace}:{robot.name}", f"--namespace={robot.namespace}"),
    )
    waits: list[float] = []

    def patient(seconds: float) -> None:
        waits.append(seconds)
        time.sleep(0.01)

    with turned_away(ground, robot), concurrent.futures.ThreadPoolExecutor(8) as pool:
        asking = Cluster.connect({"KUBECONFIG": str(ground.kubeconfig(robot))})
        patience = Retries(attempts=200, first_s=0, sleep=patient)
        asking = dataclasses.replace(asking, namespace=cluster.namespace, retries=patience)
        things = [{**MAP, "metadata": {"name": f"m{number}"}} for number in range(30)]
        made = list(pool.map(asking.create, things))

    assert len(made) == len(things)  # each once: what was turned away was not taken on
    assert min(waits) >= 1  # what Retry-After says


def test_the_server_says_which_kinds_it_has(cluster: Cluster) -> None:
    known = [*resources.KNOWN, Resource("autoscaling/v2", "HorizontalPodAutoscaler", "hpas")]

    assert all(discovery.serves(cluster, one) for one in known)
    assert not discovery.serves(cluster, Resource("serving.kserve.io/v9", "InferenceService", ""))
    assert discovery.release(cluster).startswith("v1.")
