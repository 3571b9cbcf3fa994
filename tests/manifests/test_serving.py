"""What serves: three runtimes that differ in what they run only, and the router before them."""

import json
import subprocess
import sys
from typing import Any

import pytest
import yaml

from images.families import FAMILIES
from inference.router.config import Config
from tests.manifests.conftest import ROOT, built
from tests.manifests.schemas import Schemas
from tests.manifests.served import RESTRICTED

Thing = dict[str, Any]
FRAMEWORKS = {"falaj-torch": "pytorch", "falaj-tensorflow": "tensorflow"}


def runtime(name: str) -> Thing:
    path = ROOT / "manifests" / "serving" / f"clusterservingruntime-{name}.yaml"
    found: Thing = yaml.safe_load(path.read_text())
    return found


def container(name: str) -> Thing:
    [found] = runtime(name)["spec"]["containers"]
    assert isinstance(found, dict)
    return found


@pytest.fixture
def router() -> dict[str, Thing]:
    """The router's objects by kind."""
    return {thing["kind"]: thing for thing in yaml.safe_load_all(built("manifests/router"))}


@pytest.fixture
def routing(router: dict[str, Thing]) -> Thing:
    [found] = router["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_framework_is_served_as_onnx_is(name: str) -> None:
    ours, model = runtime(name), runtime("falaj-onnx")
    for thing in (ours, model):
        del thing["metadata"]["name"], thing["spec"]["supportedModelFormats"]
        for part in ("image", "resources", "startupProbe"):
            del thing["spec"]["containers"][0][part]

    assert ours == model


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_framework_has_its_own_image_and_the_name_that_kserve_knows(name: str) -> None:
    [known] = runtime(name)["spec"]["supportedModelFormats"]

    assert container(name)["image"].partition("@")[0].endswith(name.replace("falaj-", "/falaj/"))
    assert known["name"] == FRAMEWORKS[name]


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_framework_never_takes_what_was_meant_for_kserves_own_runtime(name: str) -> None:
    formats = runtime(name)["spec"]["supportedModelFormats"]

    assert [known["autoSelect"] for known in formats] == [False]


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_framework_may_take_its_time_and_memory(name: str) -> None:
    probe, resources = container(name)["startupProbe"], container(name)["resources"]

    assert probe["periodSeconds"] * probe["failureThreshold"] > 60
    assert probe["httpGet"]["path"] == "/v2/health/ready"  # alive is told before it has loaded
    assert (resources["requests"]["memory"], resources["limits"]["memory"]) == ("1Gi", "2Gi")


@pytest.mark.parametrize("name", ["falaj-onnx", *FRAMEWORKS])
def test_no_runtime_serves_what_nobody_signed(name: str) -> None:
    assert not [arg for arg in container(name)["args"] if "unsafe" in arg]


@pytest.mark.parametrize("folder", ["manifests/router", "manifests/network"])
def test_what_an_installation_may_add_is_valid(folder: str, known: Schemas) -> None:
    things = list(yaml.safe_load_all(built(folder)))

    assert {thing["kind"]: errors for thing in things if (errors := known.errors(thing))} == {}


def test_the_router_is_restricted_and_bounded(routing: Thing) -> None:
    assert routing["securityContext"] == RESTRICTED
    assert set(routing["resources"]["limits"]) == {"cpu", "memory"}
    assert "/tmp" in {mount["mountPath"] for mount in routing["volumeMounts"]}  # noqa: S108


def test_the_router_runs_from_an_image_of_ours_by_digest(routing: Thing) -> None:
    repository, _, digest = routing["image"].partition("@sha256:")

    assert repository.rpartition("/")[2] in FAMILIES
    assert len(digest) == 64


def test_the_router_is_nobody_to_kubernetes_and_holds_no_secret(router: dict[str, Thing]) -> None:
    pod = router["Deployment"]["spec"]["template"]["spec"]

    assert pod["automountServiceAccountToken"] is False
    assert router["ServiceAccount"]["automountServiceAccountToken"] is False
    assert pod["serviceAccountName"] == router["ServiceAccount"]["metadata"]["name"]
    assert "secret" not in json.dumps(pod).lower()


def test_the_router_is_given_options_that_it_has(routing: Thing) -> None:
    command = [sys.executable, *routing["command"][1:], "--help"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert [a for a in routing["args"] if f"{a.partition('=')[0]} " not in shown] == []
    assert "--host=0.0.0.0" in routing["args"]


def test_the_routers_configuration_can_be_read_where_it_is_mounted(
    router: dict[str, Thing], routing: Thing
) -> None:
    [(name, text)] = router["ConfigMap"]["data"].items()
    [mount] = [m for m in routing["volumeMounts"] if m["name"] == "config"]

    assert Config.parse(json.loads(text)).weights == {"a": 100, "b": 0}
    assert f"--config={mount['mountPath']}/{name}" in routing["args"]


def test_the_routers_service_leads_to_its_pods(router: dict[str, Thing], routing: Thing) -> None:
    spec, pods = router["Service"]["spec"], router["Deployment"]["spec"]

    assert spec["selector"] == pods["selector"]["matchLabels"]
    assert spec["selector"].items() <= pods["template"]["metadata"]["labels"].items()
    assert {port["targetPort"] for port in spec["ports"]} == {
        port["containerPort"] for port in routing["ports"]
    }


def test_the_router_is_given_time_to_drain(router: dict[str, Thing], routing: Thing) -> None:
    from inference.transport.server import DRAIN_SECONDS

    [delay] = [float(a.partition("=")[2]) for a in routing["args"] if "drain_delay_s" in a]

    grace = router["Deployment"]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace > delay + DRAIN_SECONDS
