"""What `deploy` writes to a cluster: valid by the schemas, and covered by the manifests."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from components.deployment import slots
from components.deployment.route import Route
from components.deployment.slots import Capacity, Version
from components.foundation.kubernetes import resources
from components.foundation.sealing.uri import ReleaseUri
from tests.manifests.conftest import ROOT
from tests.manifests.schemas import Schemas

RELEASE = ReleaseUri.parse("sealed+s3://falaj-models/delays/0123456789ab")
READS = {"get": "get", "find": "get", "list": "list", "delete": "delete"}
WRITES = {"apply": ("create", "patch"), "create": ("create",), "replace": ("update",)}
NOT_OURS = {"pods", "secrets", "workflowtaskresults"}  # what KFP and Argo call
Call = tuple[str, str, str]


@pytest.fixture
def service() -> dict[str, Any]:
    where = "s3://falaj-raw/observations/delays"
    return slots.manifest(Version("a", RELEASE), Capacity(1, 3), observations=where)


@pytest.fixture
def route() -> dict[str, Any]:
    weights = {Version("a", RELEASE): 90, Version("b", RELEASE): 10}
    return Route("delays", "delays.falaj.example", "falaj").manifest(weights)


def manifest(name: str) -> dict[str, Any]:
    thing: dict[str, Any] = yaml.safe_load((ROOT / "manifests" / name).read_text())
    return thing


def test_the_service_is_valid(service: dict[str, Any], known: Schemas) -> None:
    assert known.errors(service) == []


def test_the_route_is_valid(route: dict[str, Any], known: Schemas) -> None:
    assert known.errors(route) == []


def test_the_service_names_what_the_manifests_give(service: dict[str, Any]) -> None:
    runtime = manifest("serving/clusterservingruntime-falaj-onnx.yaml")
    opener = manifest("serving/clusterstoragecontainer-falaj-sealed.yaml")
    predictor = service["spec"]["predictor"]
    [model_format] = runtime["spec"]["supportedModelFormats"]

    assert predictor["model"]["runtime"] == runtime["metadata"]["name"]
    assert predictor["model"]["modelFormat"]["name"] == model_format["name"]
    assert predictor["model"]["protocolVersion"] in runtime["spec"]["protocolVersions"]
    assert predictor["serviceAccountName"] == "falaj-serving"
    assert predictor["model"]["storageUri"].startswith(
        opener["spec"]["supportedUriFormats"][0]["prefix"]
    )


def test_the_pod_may_read_the_keys_that_the_runtime_mounts(service: dict[str, Any]) -> None:
    volumes = manifest("serving/clusterservingruntime-falaj-onnx.yaml")["spec"]["volumes"]
    [mode] = [volume["secret"]["defaultMode"] for volume in volumes if "secret" in volume]

    assert mode & 0o040
    assert service["spec"]["predictor"]["securityContext"]["fsGroup"] == 65532


def test_the_role_has_every_call_of_our_steps_and_no_more() -> None:
    assert set(_granted()) == set(_made())


def _granted() -> Iterator[Call]:
    for rule in manifest("pipelines/role-falaj-runner.yaml")["rules"]:
        for plural in set(rule["resources"]) - NOT_OURS:
            yield from ((rule["apiGroups"][0], plural, verb) for verb in rule["verbs"])


def _made() -> Iterator[Call]:
    """Read from the source of the steps what they ask of a cluster.

    A module applies the one kind whose manifest it writes.
    """
    for path in sorted((ROOT / "components").glob("*/**/*.py")):
        text = path.read_text()
        for call, kind in re.findall(r"cluster\.(get|find|list|delete)\(\s*resources\.(\w+)", text):
            yield _call(kind, READS[call])
        for call in re.findall(r"cluster\.(apply|create|replace)\(", text):
            [kind] = set(re.findall(r"resources\.(\w+)\.kind", text))
            yield from (_call(kind, verb) for verb in WRITES[call])


def _call(kind: str, verb: str) -> Call:
    resource = getattr(resources, kind)
    return ("" if "/" not in resource.api_version else resource.group, resource.plural, verb)
