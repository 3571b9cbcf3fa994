"""What `deploy` writes to a cluster: valid by the schemas, and covered by the manifests."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from components.deployment import slots
from components.deployment.route import Route
from components.deployment.slots import Capacity, Runtime, Version
from components.deployment.transformer import Transformer
from components.foundation import trained_with
from components.foundation.kubernetes import resources
from components.foundation.sealing.uri import ReleaseUri
from inference.transformer.options import Options
from inference.transformer.predictor import Pin
from tests.manifests.conftest import ROOT
from tests.manifests.schemas import Schemas

REGISTRY = f"s3://falaj-features/registry.db#sha256:{'0' * 64}"
IMAGE = f"registry.falaj.example/falaj/transformer@sha256:{'0' * 64}"
TRANSFORMER = Transformer(IMAGE, "examples.flights.features", "lateness", REGISTRY)
RELEASE = ReleaseUri.parse("sealed+s3://falaj-models/delays/0123456789ab")
READS = {"get": "get", "find": "get", "list": "list", "delete": "delete"}
WRITES = {"apply": ("create", "patch"), "create": ("create",), "replace": ("update",)}
NOT_OURS = {"pods", "secrets", "workflowtaskresults"}  # what KFP and Argo call
Call = tuple[str, str, str]


@pytest.fixture(params=Runtime, ids=lambda runtime: runtime.value)
def runtime(request: pytest.FixtureRequest) -> Runtime:
    found: Runtime = request.param
    return found


@pytest.fixture
def service(runtime: Runtime) -> dict[str, Any]:
    where = "s3://falaj-raw/observations/delays"
    return slots.manifest(Version("a", RELEASE, runtime), Capacity(1, 3), observations=where)


@pytest.fixture
def transformed() -> dict[str, Any]:
    return slots.manifest(Version("a", RELEASE, transformer=TRANSFORMER), Capacity(2, 3))


@pytest.fixture
def route() -> dict[str, Any]:
    weights = {Version("a", RELEASE): 90, Version("b", RELEASE): 10}
    return Route("delays", "delays.falaj.example", "falaj").manifest(weights)


def manifest(name: str) -> dict[str, Any]:
    thing: dict[str, Any] = yaml.safe_load((ROOT / "manifests" / name).read_text())
    return thing


def test_the_service_is_valid(service: dict[str, Any], known: Schemas) -> None:
    assert known.errors(service) == []


def test_the_service_with_a_transformer_is_valid(
    transformed: dict[str, Any], known: Schemas
) -> None:
    assert known.errors(transformed) == []


def test_the_transformer_is_held_to_the_release(transformed: dict[str, Any]) -> None:
    [container] = transformed["spec"]["transformer"]["containers"]
    given = [*container["args"], "--predictor_host", "delays-a-predictor.falaj"]

    options = Options.parse(given)

    assert options.pin == Pin(RELEASE.version, trained_with.said("lateness", REGISTRY))
    assert (options.model_name, options.http_port) == ("delays", 8080)
    assert "--host=0.0.0.0" in given  # the default listens on loopback only
    assert container["args"][:4] == ["--model_name", "delays", "--http_port", "8080"]


def test_the_transformer_is_restricted_as_the_server_is(transformed: dict[str, Any]) -> None:
    [server] = manifest("serving/clusterservingruntime-falaj-onnx.yaml")["spec"]["containers"]
    component = transformed["spec"]["transformer"]
    [container] = component["containers"]

    for part in ("securityContext", "envFrom", "volumeMounts", "name", "ports"):
        assert container[part] == server[part]
    *same, online = container["env"]
    assert same == server["env"]
    assert online == {
        "name": "FALAJ_ONLINE_STORE",
        "valueFrom": {
            "secretKeyRef": {
                "name": "falaj-online-store",
                "key": "FALAJ_ONLINE_STORE",
                "optional": True,
            }
        },
    }
    assert component["serviceAccountName"] == "falaj-serving"
    assert component["minReplicas"] == transformed["spec"]["predictor"]["minReplicas"] == 2
    assert set(container["resources"]["limits"]) == {"cpu", "memory"}


def test_requests_go_to_the_transformer_where_there_is_one() -> None:
    weights = {Version("a", RELEASE, transformer=TRANSFORMER): 90, Version("b", RELEASE): 10}

    route = Route("delays", "delays.falaj.example", "falaj").manifest(weights)

    [rule] = route["spec"]["rules"]
    names = [backend["name"] for backend in rule["backendRefs"]]
    assert names == ["delays-a-transformer", "delays-b-predictor"]


@pytest.mark.parametrize("before", [None, TRANSFORMER], ids=["plain", "transformed"])
def test_a_version_is_read_back_as_it_was_written(
    runtime: Runtime, before: Transformer | None
) -> None:
    version = Version("b", RELEASE, runtime, before)

    assert Version.from_dict(json.loads(json.dumps(version.to_dict()))) == version


def test_a_version_written_before_there_were_runtimes_is_read() -> None:
    old = {"slot": "a", "release": str(RELEASE)}

    assert Version.from_dict(old) == Version("a", RELEASE)
    assert Version("a", RELEASE).to_dict() == old


def test_the_route_is_valid(route: dict[str, Any], known: Schemas) -> None:
    assert known.errors(route) == []


def test_the_service_names_what_the_manifests_give(
    service: dict[str, Any], runtime: Runtime
) -> None:
    served = manifest(f"serving/clusterservingruntime-{runtime.value}.yaml")
    opener = manifest("serving/clusterstoragecontainer-falaj-sealed.yaml")
    predictor = service["spec"]["predictor"]
    [model_format] = served["spec"]["supportedModelFormats"]

    assert predictor["model"]["runtime"] == served["metadata"]["name"]
    assert predictor["model"]["modelFormat"]["name"] == model_format["name"]
    assert predictor["model"]["protocolVersion"] in served["spec"]["protocolVersions"]
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
    for rule in manifest("rbac/role-falaj-runner.yaml")["rules"]:
        for plural in set(rule["resources"]) - NOT_OURS:
            yield from ((rule["apiGroups"][0], plural, verb) for verb in rule["verbs"])


def _made() -> Iterator[Call]:
    """Read from the source of the steps what they ask of a cluster.

    A module applies the one kind whose manifest it writes.
    """
    for path in sorted((ROOT / "components").glob("*/**/*.py")):
        if "status" in path.parts:  # `falaj status` asks as the person who types it
            continue
        text = path.read_text()
        for call, kind in re.findall(r"cluster\.(get|find|list|delete)\(\s*resources\.(\w+)", text):
            yield _call(kind, READS[call])
        for call in re.findall(r"cluster\.(apply|create|replace)\(", text):
            [kind] = set(re.findall(r"resources\.(\w+)\.kind", text))
            yield from (_call(kind, verb) for verb in WRITES[call])


def _call(kind: str, verb: str) -> Call:
    resource = getattr(resources, kind)
    return ("" if "/" not in resource.api_version else resource.group, resource.plural, verb)
