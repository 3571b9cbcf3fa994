"""What readiness makes of statuses that KServe was seen to write, traps included."""

import copy
import dataclasses
from typing import Any

import pytest

from components.deployment import reach, readiness
from components.deployment.route import Route
from components.deployment.slots import Version
from components.deployment.traffic.twins import Twins
from components.deployment.transformer import Transformer
from components.foundation.errors import Refused
from components.foundation.kubernetes import resources
from components.foundation.kubernetes.client import Cluster
from components.foundation.sealing.uri import ReleaseUri
from inference.plane.launch import Plane
from tests.inference.plane.kube import serving

VERSION = Version("b", ReleaseUri("falaj-models", "m", "bbbbbbbbbb00"))
FAILURE = {"exitCode": 3, "message": "model.onnx: was altered", "reason": "ModelLoadFailed"}


class Recorded:
    """An API that answers with what was recorded; `service` and `deployment` may be changed."""

    def __init__(self, service: dict[str, Any], deployment: dict[str, Any]) -> None:
        self.service, self.deployment = copy.deepcopy(service), copy.deepcopy(deployment)
        self.events: list[dict[str, Any]] | None = []
        self.pods: list[dict[str, Any]] = []
        self.transformer: dict[str, Any] | None = None

    def find(self, resource: resources.Resource, name: str) -> dict[str, Any] | None:
        if name.endswith("-transformer"):
            return self.transformer
        return self.service if resource == resources.INFERENCE_SERVICE else self.deployment

    def list(
        self, resource: resources.Resource, *, labels: dict[str, str] | None = None
    ) -> "list[dict[str, Any]]":
        if resource.kind == "Pod":
            return self.pods
        if self.events is None:
            raise Refused("events: no right", code="x")
        return self.events


@pytest.fixture(scope="module")
def well(plane: Plane) -> tuple[dict[str, Any], dict[str, Any]]:
    """A service that is ready in every respect, its server included."""
    cluster = Cluster.connect(plane.environment())
    serving(cluster, VERSION.service, str(VERSION.release))
    return (
        cluster.get(resources.INFERENCE_SERVICE, VERSION.service),
        cluster.get(resources.DEPLOYMENT, f"{VERSION.service}-predictor"),
    )


@pytest.fixture
def api(well: tuple[dict[str, Any], dict[str, Any]]) -> Any:
    return Recorded(*well)


def look(api: Any, **how: Any) -> readiness.Look:
    return readiness.look(api, VERSION, **{"replicas": 1, **how})


def waited(api: Any, *, stale: Any = None) -> readiness.Look:
    """Look until time is up, which it is at once."""
    twins = Twins(api, Route("m", "m.localhost", "gateway"))
    return twins.wait(VERSION, replicas=1, timeout_s=0, stale=stale)


def test_ready_is_what_is_ready_in_every_respect(api: Any) -> None:
    assert look(api).ready


def test_ready_true_with_pods_of_another_release_is_not_ready(api: Any) -> None:
    annotations = api.deployment["spec"]["template"]["metadata"]["annotations"]
    annotations.update(dict.fromkeys(annotations, "sealed+s3://falaj-models/m/aaaaaaaaaa00"))

    assert look(api).waiting == "the pods still have another release"


@pytest.mark.parametrize(
    ("expected", "available", "waiting"),
    [
        pytest.param(VERSION.release.version, 1, "", id="ready"),
        pytest.param("aaaaaaaaaa00", 1, "the transformer's pods still expect", id="another"),
        pytest.param(VERSION.release.version, 0, "replicas", id="not available"),
        pytest.param(None, 1, "no Deployment yet", id="none"),
    ],
)
def test_a_transformer_has_to_be_ready_too(
    api: Any, expected: str | None, available: int, waiting: str
) -> None:
    before = Transformer("image", "a.b", "lateness", "s3://b/k#sha256:00")
    version = dataclasses.replace(VERSION, transformer=before)
    if expected is not None:
        api.transformer = copy.deepcopy(api.deployment)
        pod = before.manifest("m", expected)
        api.transformer["spec"]["template"]["spec"] = {"containers": pod["containers"]}
        api.transformer["status"]["availableReplicas"] = available

    assert readiness.look(api, version, replicas=1).waiting.startswith(waiting)
    assert readiness.look(api, version, replicas=1).ready is (waiting == "")


@pytest.mark.parametrize("name", ["updatedReplicas", "availableReplicas"])
def test_replicas_that_are_not_updated_and_available_are_waited_for(api: Any, name: str) -> None:
    api.deployment["status"][name] = 0

    assert "replicas" in look(api).waiting


def test_pods_that_an_autoscaler_adds_take_nothing_from_those_that_serve(api: Any) -> None:
    """Else a candidate that gets its share, and more pods for it, would be rolled back."""
    api.deployment["status"] |= {"replicas": 3, "updatedReplicas": 3, "availableReplicas": 1}

    assert look(api).ready


def test_fewer_replicas_than_wanted_are_waited_for(api: Any) -> None:
    assert "wanted 2" in look(api, replicas=2).waiting


def test_a_deployment_that_nobody_has_looked_at_is_waited_for(api: Any) -> None:
    api.deployment["metadata"]["generation"] += 1

    assert not look(api).ready


@pytest.mark.parametrize("nobody", [True, False], ids=["no server", "one that says no"])
def test_a_server_that_does_not_answer_for_this_version_is_not_ready(
    api: Any, plane: Plane, nobody: bool
) -> None:
    url = "http://127.0.0.1:9" if nobody else plane.gateway  # it knows no such host: 404
    api.service["status"]["address"]["url"] = url

    assert "does not answer" in look(api).waiting


def blocked(api: Any, failure: dict[str, Any], state: str = "BlockedByFailedLoad") -> None:
    api.service["status"]["modelStatus"] = {"transitionStatus": state, "lastFailureInfo": failure}
    for condition in api.service["status"]["conditions"]:
        condition["status"] = "False"


def test_a_refused_release_can_never_become_ready(api: Any) -> None:
    blocked(api, FAILURE)

    assert look(api).failed == "model.onnx: was altered"


def test_a_runtime_that_does_not_exist_is_final(api: Any) -> None:
    blocked(api, {"reason": "NoSupportingRuntime"}, "InvalidSpec")

    assert look(api).failed == "NoSupportingRuntime"


def test_a_store_that_is_down_may_come_back(api: Any) -> None:
    blocked(api, {**FAILURE, "exitCode": 75, "message": "the store did not answer"})

    seen = look(api)

    assert not seen.failed
    assert not seen.ready
    assert seen.unable == "the store did not answer"


def test_a_store_that_was_down_before_is_waited_for_and_named_when_time_is_up(api: Any) -> None:
    before = {**FAILURE, "exitCode": 75, "message": "the store did not answer"}
    blocked(api, before)

    assert look(api, stale=before).waiting
    late = waited(api, stale=before)
    assert "not ready after 0 s" in late.unable
    assert "the store did not answer" in late.unable


def test_a_failure_of_the_release_before_is_not_held_against_this_one(api: Any) -> None:
    blocked(api, FAILURE)

    assert not look(api, stale=FAILURE).failed


def test_what_is_told_only_as_an_event_is_told_when_time_is_up(api: Any) -> None:
    blocked(api, {})
    subject = {"name": VERSION.service}
    api.events = [{"type": "Warning", "involvedObject": subject, "message": "URI not supported"}]

    seen = waited(api)

    assert "URI not supported" in seen.failed


def test_of_several_events_the_last_is_told(api: Any) -> None:
    blocked(api, {})
    subject = {"name": VERSION.service, "kind": "InferenceService"}
    others = {"name": VERSION.service, "kind": "Deployment"}
    api.events = [
        {"type": "Warning", "involvedObject": about, "message": said, "lastTimestamp": at}
        for about, said, at in (
            (subject, "counted up since", "2026-11-29T08:05:00Z"),
            (subject, "of the release before", "2026-11-29T08:01:00Z"),
            (others, "of another object", "2026-11-29T08:09:00Z"),
        )
    ]

    assert readiness.event(api, VERSION.service) == "; counted up since"


def test_without_the_right_to_read_events_the_rest_is_told(api: Any) -> None:
    blocked(api, {})
    api.events = None

    assert "not ready after 0 s" in waited(api).failed


def test_a_condition_says_what_is_missing(api: Any) -> None:
    for condition in api.service["status"]["conditions"]:
        if condition["type"] == "Ready":
            condition |= {"status": "False", "message": "Predictor HTTPRoute not created"}

    assert look(api).waiting == "Predictor HTTPRoute not created"


def pod(release: str, code: int, message: str) -> dict[str, Any]:
    ended = {"terminated": {"exitCode": code, "message": message}}
    return {
        "metadata": {"annotations": {readiness.SOURCE: release}},
        "status": {"initContainerStatuses": [{"name": "storage-initializer", "lastState": ended}]},
    }


@pytest.mark.parametrize(
    ("code", "kind"), [(3, "failed"), (75, "unable")], ids=["the release's", "the store's"]
)
def test_what_the_initializer_said_last_is_told_when_time_is_up(
    api: Any, code: int, kind: str
) -> None:
    blocked(api, {})
    api.pods = [
        pod("sealed+s3://falaj-models/m/aaaaaaaaaa00", 1, "another release"),
        pod(str(VERSION.release), code, "model.onnx: was altered"),
    ]

    seen = waited(api)

    assert "its pod said: model.onnx: was altered" in getattr(seen, kind)
    assert bool(seen.failed) is (kind == "failed")


def test_a_gateway_with_nothing_behind_the_route_is_waited_for(
    api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "astray", lambda cluster, version: "the Gateway answers 503")

    assert look(api).waiting == "the Gateway answers 503"
