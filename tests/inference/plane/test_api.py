"""The plane as a Kubernetes API, through the client that deployment uses."""

import json
import pathlib
import subprocess
import sys

import httpx
import pytest

from components.foundation.errors import UserError
from components.foundation.kubernetes import resources
from components.foundation.kubernetes.client import Cluster
from components.foundation.storage import Conflict, NotFound
from inference.plane.launch import Plane
from tests.inference.plane.kube import condition, route, serving, until

KUBECTL = str(pathlib.Path(sys.executable).with_name("kubectl"))
MAP = {"apiVersion": "v1", "kind": "ConfigMap"}


def test_an_identical_apply_leaves_version_and_generation_alone(cluster: Cluster) -> None:
    first = cluster.apply(route("same", {"x": 1}))
    second = cluster.apply(route("same", {"x": 1}))

    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert second["metadata"]["generation"] == 1


def test_what_an_apply_leaves_out_is_gone(cluster: Cluster) -> None:
    cluster.apply({**MAP, "metadata": {"name": "left-out"}, "data": {"a": "1", "b": "2"}})
    cluster.apply({**MAP, "metadata": {"name": "left-out"}, "data": {"a": "1"}})

    assert cluster.get(resources.CONFIG_MAP, "left-out")["data"] == {"a": "1"}


def test_an_explicit_null_is_refused(cluster: Cluster) -> None:
    wanted = route("null", {"x": 1})
    wanted["spec"]["rules"] = None

    with pytest.raises(UserError, match=r"spec\.rules"):
        cluster.apply(wanted)


def test_a_field_that_somebody_else_changed_is_a_named_conflict(
    cluster: Cluster, plane: Plane
) -> None:
    cluster.apply({**MAP, "metadata": {"name": "shared"}, "data": {"a": "1"}})
    url = f"{plane.api}/api/v1/namespaces/default/configmaps/shared"
    edited = {**cluster.get(resources.CONFIG_MAP, "shared"), "data": {"a": "2"}}
    httpx.put(url, params={"fieldManager": "kubectl-edit"}, json=edited).raise_for_status()

    with pytest.raises(Conflict, match=r"kubectl-edit.*\.data\.a"):
        cluster.apply({**MAP, "metadata": {"name": "shared"}, "data": {"a": "3"}})

    forced = cluster.apply({**MAP, "metadata": {"name": "shared"}, "data": {"a": "3"}}, force=True)
    assert forced["data"] == {"a": "3"}


def test_of_two_writers_with_one_version_one_wins(cluster: Cluster, plane: Plane) -> None:
    created = cluster.create({**MAP, "metadata": {"name": "raced"}, "data": {"n": "0"}})
    version = {"name": "raced", "resourceVersion": created["metadata"]["resourceVersion"]}

    cluster.replace({**MAP, "metadata": version, "data": {"n": "1"}})

    with pytest.raises(Conflict, match="has been modified"):
        cluster.replace({**MAP, "metadata": version, "data": {"n": "2"}})
    stale = {**created, "data": {"n": "3"}}
    put = httpx.put(f"{plane.api}/api/v1/namespaces/default/configmaps/raced", json=stale)
    assert (put.status_code, put.json()["reason"]) == (409, "Conflict")
    assert cluster.get(resources.CONFIG_MAP, "raced")["data"] == {"n": "1"}


def test_a_custom_resource_is_not_replaced_without_a_version(
    cluster: Cluster, plane: Plane
) -> None:
    cluster.apply(route("versionless", {"x": 1}))
    url = "/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes/versionless"

    put = httpx.put(f"{plane.api}{url}", json=route("versionless", {"x": 2}))

    assert put.status_code == 422


def test_creating_twice_conflicts_and_the_missing_is_not_found(cluster: Cluster) -> None:
    cluster.create({**MAP, "metadata": {"name": "twice"}})

    with pytest.raises(Conflict, match="already exists"):
        cluster.create({**MAP, "metadata": {"name": "twice"}})
    with pytest.raises(NotFound, match='"nothing" not found'):
        cluster.get(resources.CONFIG_MAP, "nothing")
    assert cluster.find(resources.CONFIG_MAP, "nothing") is None


def test_lists_select_by_label(cluster: Cluster) -> None:
    for name, team in (("l1", "red"), ("l2", "blue")):
        cluster.apply({**MAP, "metadata": {"name": name, "labels": {"team": team}}})

    found = cluster.list(resources.CONFIG_MAP, labels={"team": "red"})

    assert [item["metadata"]["name"] for item in found] == ["l1"]


def test_what_an_object_owned_goes_with_it(cluster: Cluster) -> None:
    owner = cluster.apply(route("owner", {"x": 1}))
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": "owner",
        "uid": owner["metadata"]["uid"],
    }
    cluster.create({**MAP, "metadata": {"name": "owned", "ownerReferences": [reference]}})

    cluster.delete(resources.HTTP_ROUTE, "owner")
    cluster.delete(resources.HTTP_ROUTE, "owner")

    assert cluster.find(resources.CONFIG_MAP, "owned") is None


def test_status_survives_an_apply_and_is_not_taken_from_one(cluster: Cluster) -> None:
    serving(cluster, "kept-status", "sealed+s3://m/m/1")
    before = cluster.get(resources.INFERENCE_SERVICE, "kept-status")
    wanted = {k: before[k] for k in ("apiVersion", "kind")}
    wanted |= {"metadata": {"name": "kept-status"}, "status": {"lie": True}}
    wanted["spec"] = {"predictor": {"model": {"storageUri": "sealed+s3://m/m/1"}}}

    cluster.apply(wanted)

    assert "lie" not in cluster.get(resources.INFERENCE_SERVICE, "kept-status")["status"]
    until(lambda: condition(cluster, "kept-status") == "True")


def test_kubectl_reads_it(plane: Plane, cluster: Cluster) -> None:
    cluster.apply(route("by-kubectl", {"x": 1}))

    listed = subprocess.run(
        [KUBECTL, f"--kubeconfig={plane.kubeconfig}", "get", "httproutes", "-o", "json"],
        capture_output=True,
        check=True,
        text=True,
    )

    names = [item["metadata"]["name"] for item in json.loads(listed.stdout)["items"]]
    assert "by-kubectl" in names
