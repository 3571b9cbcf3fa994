"""The sum of requests counts what a scheduler would, and an installation's is as stated."""

from decimal import Decimal
from typing import Any

import pytest
import yaml

from components.deployment import slots
from components.deployment.slots import Capacity, Runtime, Version
from components.foundation.sealing.uri import ReleaseUri
from tests.manifests import requests, served
from tests.manifests.conftest import ROOT, built
from tests.manifests.requests import Requests

PAGE = (ROOT / "docs" / "serving-cluster.md").read_text()
MIB = Decimal(1 << 20)
RELEASE = ReleaseUri.parse("sealed+s3://falaj-models/delays/0123456789ab")


def pod(cpu: str, memory: str, **more: Any) -> dict[str, Any]:
    asked = {"requests": {"cpu": cpu, "memory": memory, **more}}
    return {"containers": [{"name": "c", "resources": asked}]}


def workload(kind: str, spec: dict[str, Any], **more: Any) -> dict[str, Any]:
    template = {"spec": spec}
    return {"kind": kind, "metadata": {"name": "w"}, "spec": {"template": template, **more}}


def test_counts_every_replica() -> None:
    things = [workload("Deployment", pod("250m", "128Mi"), replicas=3)]

    assert requests.standing(things) == Requests(Decimal("0.75"), 384 * MIB)


def test_counts_the_autoscalers_floor_not_the_objects_own_number() -> None:
    target = {"kind": "Deployment", "name": "w"}
    spec = {"scaleTargetRef": target, "minReplicas": 2}
    scaler = {"kind": "HorizontalPodAutoscaler", "spec": spec}

    asked = requests.standing([workload("Deployment", pod("1", "1Gi"), replicas=5), scaler])

    assert asked.cpu == 2


def test_an_init_container_counts_where_it_asks_for_more() -> None:
    spec = pod("500m", "512Mi")
    spec["initContainers"] = pod("100m", "2Gi")["containers"]

    assert requests.of_pod(spec) == Requests(Decimal("0.5"), 2048 * MIB)


def test_a_slice_of_a_gpu_counts_as_one() -> None:
    spec = pod("1", "1Gi", **{"nvidia.com/mig-1g.10gb": 1})

    assert requests.of_pod(spec).gpus == 1


def test_what_ends_is_counted_apart() -> None:
    job = {"template": {"spec": pod("2", "1Gi")}, "parallelism": 2}
    cron = {"kind": "CronJob", "spec": {"jobTemplate": {"spec": job}}}

    assert requests.standing([cron]) == Requests()
    assert requests.passing([cron]).cpu == 4


def test_a_container_without_requests_counts_nothing() -> None:
    assert requests.of_pod({"containers": [{"name": "c"}]}) == Requests()


def test_the_router_asks_for_half_a_core() -> None:
    asked = requests.standing(yaml.safe_load_all(built("manifests/router")))

    assert str(asked) == "0.5 CPU, 256 MiB"
    assert f"| the router, two pods | {asked} |" in PAGE


@pytest.mark.parametrize(
    ("runtime", "stated"),
    [
        (Runtime.ONNX, "0.5 CPU, 512 MiB"),
        (Runtime.TORCH, "0.5 CPU, 1024 MiB"),
        (Runtime.TENSORFLOW, "0.5 CPU, 1024 MiB"),
    ],
    ids=lambda value: str(value),
)
def test_a_served_model_asks_for_what_the_page_says(runtime: Runtime, stated: str) -> None:
    service = slots.manifest(Version("a", RELEASE, runtime), Capacity())

    assert str(requests.of_pod(served.predictor(service)["spec"])) == stated
    assert [line for line in PAGE.splitlines() if runtime.value in line and stated in line]
