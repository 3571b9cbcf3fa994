"""Pods behind InferenceServices: replaced without a gap, restarted, refused, stopped."""

import os
import signal

import httpx

from components.foundation.kubernetes import resources
from components.foundation.kubernetes.client import Cluster
from inference.plane.launch import Plane
from tests.inference.plane.kube import condition, route, service, serving, status, until


def answered(plane: Plane, host: str) -> str:
    """Return the version that answered, or the status."""
    reply = httpx.post(
        f"{plane.gateway}/v2/models/m/infer", headers={"host": f"{host}.localhost"}, json={}
    )
    return (
        str(reply.json()["model_version"]) if reply.status_code == 200 else str(reply.status_code)
    )


def children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def commands(pid: int) -> list[str]:
    return [_command(child) for child in children(pid)]


def _command(pid: int) -> str:
    """Return a process's command line; nothing of one that has ended meanwhile."""
    try:
        with open(f"/proc/{pid}/cmdline") as file:
            return file.read().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_status_is_written_as_kserve_does(cluster: Cluster) -> None:
    serving(cluster, "shaped", "sealed+s3://m/m/1")

    written = status(cluster, "shaped")

    assert condition(cluster, "shaped", "Stopped") == "False"
    assert written["modelStatus"] == {
        "copies": {"failedCopies": 0, "totalCopies": 1},
        "states": {"activeModelState": "Loaded", "targetModelState": "Loaded"},
        "transitionStatus": "UpToDate",
    }
    deployment = cluster.get(resources.DEPLOYMENT, "shaped-predictor")
    annotations = deployment["spec"]["template"]["metadata"]["annotations"]
    assert "sealed+s3://m/m/1" in annotations.values()


def test_a_new_release_takes_over_without_a_failed_request(cluster: Cluster, plane: Plane) -> None:
    serving(cluster, "moved", "sealed+s3://m/m/1")
    cluster.apply(route("moved", {"moved": 1}))

    seen = {answered(plane, "moved")}
    cluster.apply(service("moved", "sealed+s3://m/m/2"))

    def taken_over() -> bool:
        seen.add(answered(plane, "moved"))
        return "2" in seen

    until(taken_over)
    assert seen == {"1", "2"}


def test_a_release_that_is_refused_says_why_and_the_old_pod_serves_on(
    cluster: Cluster, plane: Plane
) -> None:
    serving(cluster, "kept", "sealed+s3://m/m/1")
    cluster.apply(route("kept", {"kept": 1}))

    cluster.apply(service("kept", "sealed+s3://m/m/tampered"))
    updated = until(
        lambda: cluster.get(resources.DEPLOYMENT, "kept-predictor")["metadata"]["generation"] == 2
    )

    assert updated
    assert {answered(plane, "kept") for _ in range(20)} == {"1"}


def test_a_service_whose_first_release_is_refused_is_never_ready(cluster: Cluster) -> None:
    cluster.apply(service("refused", "sealed+s3://m/m/tampered"))

    model = until(lambda: status(cluster, "refused").get("modelStatus", {}))
    model = until(
        lambda: (m := status(cluster, "refused")["modelStatus"]).get("lastFailureInfo") and m
    )

    assert model["transitionStatus"] == "BlockedByFailedLoad"
    assert "does not match its statement" in model["lastFailureInfo"]["message"]
    assert model["lastFailureInfo"]["exitCode"] == 3
    assert condition(cluster, "refused") == "False"


def test_a_dead_server_is_started_again(cluster: Cluster, plane: Plane) -> None:
    serving(cluster, "revived", "sealed+s3://m/m/1")
    cluster.apply(route("revived", {"revived": 1}))
    servers = [
        pid
        for pid, line in zip(children(plane.pid), commands(plane.pid), strict=True)
        if "--model_name=revived" in line
    ]

    os.kill(servers[0], signal.SIGKILL)
    until(lambda: answered(plane, "revived") == "503")

    until(lambda: answered(plane, "revived") == "1")


def test_replicas_are_counted(cluster: Cluster) -> None:
    serving(cluster, "several", "sealed+s3://m/m/1", minReplicas=2)

    def counts() -> bool:
        found = cluster.get(resources.DEPLOYMENT, "several-predictor")["status"]
        return (found["availableReplicas"], found["updatedReplicas"]) == (2, 2)

    assert until(counts)


def test_a_stopped_service_has_no_pods_and_comes_back(cluster: Cluster, plane: Plane) -> None:
    serving(cluster, "paused", "sealed+s3://m/m/1")
    stopped = service("paused", "sealed+s3://m/m/1")
    stopped["metadata"]["annotations"] = {"serving.kserve.io/stop": "true"}

    cluster.apply(stopped)
    until(lambda: condition(cluster, "paused", "Stopped") == "True")
    until(lambda: not any("--model_name=paused" in line for line in commands(plane.pid)))

    assert condition(cluster, "paused") == "False"
    assert cluster.find(resources.DEPLOYMENT, "paused-predictor") is None
    serving(cluster, "paused", "sealed+s3://m/m/1")


def test_an_annotation_restarts_the_pods_as_on_a_cluster(cluster: Cluster, plane: Plane) -> None:
    serving(cluster, "noted", "sealed+s3://m/m/1")
    before = status(cluster, "noted")["address"]["url"]
    noted = service("noted", "sealed+s3://m/m/1")
    noted["metadata"]["annotations"] = {"note": "a rollout's state does not belong here"}

    cluster.apply(noted)

    until(lambda: status(cluster, "noted").get("address", {}).get("url", before) != before)
