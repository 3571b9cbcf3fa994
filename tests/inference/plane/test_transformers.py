"""A transformer beside its server: before it in the route, ready with it, kept, stopped."""

import contextlib
import os
import pathlib
import signal
from typing import Any

import httpx

from components.foundation.kubernetes import resources
from components.foundation.kubernetes.client import Cluster
from inference.plane.launch import Plane
from tests.inference.plane.kube import condition, route, service, status, until, with_transformer
from tests.inference.plane.test_workloads import children, commands


def transformed(cluster: Cluster, name: str, uri: str) -> None:
    """Apply a service with a transformer and its route, and wait until it is ready."""
    cluster.apply(with_transformer(service(name, uri)))
    cluster.apply(route(name, {name: 1}, "transformer"))
    until(lambda: condition(cluster, name, "TransformerReady") == "True")


def asked(plane: Plane, host: str) -> httpx.Response:
    headers = {"host": f"{host}.localhost"}
    return httpx.post(f"{plane.gateway}/v2/models/m/infer", headers=headers, json={})


def answered(plane: Plane, host: str) -> str:
    """Return the version that answered through the transformer, or the status."""
    reply = asked(plane, host)
    through = reply.headers.get("x-before") == "transformer"
    return str(reply.json()["model_version"]) if through and reply.is_success else "none"


def running(plane: Plane, of: str) -> dict[str, int]:
    """Return the plane's stand-ins of a service, by what they stand for."""
    found = {}
    for pid in children(plane.pid):
        with contextlib.suppress(OSError, IndexError):  # it ends while we look
            process = pathlib.Path(f"/proc/{pid}")
            program = process.joinpath("cmdline").read_text().split("\0")[1]
            if f"INFERENCE_SERVICE_NAME={of}\0" in process.joinpath("environ").read_text():
                found[pathlib.Path(program).stem.removeprefix("stub_")] = pid
    return found


def test_requests_go_through_the_transformer(cluster: Cluster, plane: Plane) -> None:
    transformed(cluster, "through", "sealed+s3://m/m/1")
    cluster.apply(route("past", {"through": 1}))

    assert answered(plane, "through") == "1"
    assert "x-before" not in asked(plane, "past").headers


def test_status_and_deployments_are_written_as_kserve_does(cluster: Cluster) -> None:
    transformed(cluster, "told", "sealed+s3://m/m/1")

    written = status(cluster, "told")
    deployment = cluster.get(resources.DEPLOYMENT, "told-transformer")

    assert written["address"]["url"] == written["components"]["transformer"]["url"]
    assert written["address"]["url"] != written["components"]["predictor"]["url"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert "--expected_version=1" in container["args"]
    assert deployment["status"]["availableReplicas"] == 1
    assert deployment["status"]["observedGeneration"] == deployment["metadata"]["generation"]


def test_it_listens_on_loopback_whatever_its_manifest_says(cluster: Cluster, plane: Plane) -> None:
    transformed(cluster, "near", "sealed+s3://m/m/1")

    [line] = [line for line in commands(plane.pid) if "stub_transformer" in line][-1:]

    assert line.index("--host=0.0.0.0") < line.index("--host=127.0.0.1")


def test_a_service_is_ready_only_when_both_are(cluster: Cluster, plane: Plane) -> None:
    transformed(cluster, "both", "sealed+s3://m/m/1")

    for part in ("transformer", "server"):
        os.kill(running(plane, "both")[part], signal.SIGSTOP)
        until(lambda: condition(cluster, "both") == "False")
        os.kill(running(plane, "both")[part], signal.SIGCONT)
        until(lambda: condition(cluster, "both") == "True")


def test_a_dead_transformer_is_started_again_and_its_server_serves_on(
    cluster: Cluster, plane: Plane
) -> None:
    transformed(cluster, "mended", "sealed+s3://m/m/1")
    before = running(plane, "mended")

    os.kill(before["transformer"], signal.SIGKILL)

    until(lambda: running(plane, "mended").get("transformer", 0) not in {0, before["transformer"]})
    until(lambda: answered(plane, "mended") == "1")
    assert running(plane, "mended")["server"] == before["server"]


def test_a_server_that_was_started_again_is_found_by_its_transformer(
    cluster: Cluster, plane: Plane
) -> None:
    transformed(cluster, "found", "sealed+s3://m/m/1")
    before = running(plane, "found")

    os.kill(before["server"], signal.SIGKILL)

    until(lambda: running(plane, "found").get("server", 0) not in {0, before["server"]})
    until(lambda: answered(plane, "found") == "1")
    assert before["transformer"] not in children(plane.pid)


def test_another_release_takes_over_with_its_own_transformer_without_a_failed_request(
    cluster: Cluster, plane: Plane
) -> None:
    transformed(cluster, "paired", "sealed+s3://m/m/1")
    seen: list[str] = []

    cluster.apply(with_transformer(service("paired", "sealed+s3://m/m/2")))

    def taken_over() -> bool:
        seen.append(answered(plane, "paired"))
        return seen[-1] == "2"

    until(taken_over)
    assert set(seen) == {"1", "2"}


def test_both_stop_together(cluster: Cluster, plane: Plane) -> None:
    transformed(cluster, "ended", "sealed+s3://m/m/1")
    stopped = with_transformer(service("ended", "sealed+s3://m/m/1"))
    stopped["metadata"]["annotations"] = {"serving.kserve.io/stop": "true"}

    cluster.apply(stopped)

    until(lambda: not running(plane, "ended"))
    assert cluster.find(resources.DEPLOYMENT, "ended-transformer") is None


def test_a_service_that_loses_its_transformer_keeps_no_deployment_of_it(cluster: Cluster) -> None:
    transformed(cluster, "bare", "sealed+s3://m/m/1")

    cluster.apply(service("bare", "sealed+s3://m/m/1"))

    until(lambda: cluster.find(resources.DEPLOYMENT, "bare-transformer") is None)


def test_refuses_a_transformer_that_is_not_ours(cluster: Cluster) -> None:
    cluster.apply(with_transformer(service("foreign", "sealed+s3://m/m/1"), "java", "-jar", "t"))

    def failure() -> Any:
        return status(cluster, "foreign").get("modelStatus", {}).get("lastFailureInfo")

    assert "runs java -jar t, expected python -m inference.transformer" in until(failure)["message"]
    assert condition(cluster, "foreign") == "False"


def test_federation_has_the_counts_of_both(cluster: Cluster, plane: Plane) -> None:
    transformed(cluster, "counted", "sealed+s3://m/m/1")
    asked(plane, "counted")

    page = httpx.get(f"{plane.api}/federate").text
    ours = [line for line in page.splitlines() if 'inferenceservice="counted"' in line]

    assert any(line.startswith("inference_requests_total") for line in ours)
    [whole] = [line for line in ours if line.startswith("falaj_transformer_requests_total")]
    assert 'pod="counted-transformer-1"' in whole
