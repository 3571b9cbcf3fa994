"""What stands in for KServe has every trap that KServe was seen to have.

Names and numbers are those of the record: a service `r` on a real KServe, pods by kwok.
"""

import functools
from collections.abc import Iterator
from typing import Any

import pytest

from components.foundation.errors import UserError
from components.foundation.kubernetes.client import Manifest
from components.foundation.kubernetes.resources import (
    DEPLOYMENT,
    EVENT,
    HTTP_ROUTE,
    INFERENCE_SERVICE,
    Resource,
)
from tests.cluster.ground.clients import Access
from tests.cluster.standin import scene as scenes
from tests.cluster.standin.scene import Scene
from tests.cluster.standin.workloads import INGRESS, SERVICE
from tests.inference.plane import kube
from tests.inference.plane.kube import service, with_transformer

REPLICA_SETS = Resource("apps/v1", "ReplicaSet", "replicasets")
FIRST, SECOND = "sealed+s3://falaj-models/m/1", "sealed+s3://falaj-models/m/2"
NEVER: Manifest = {"nodeSelector": {"nobody": "has"}}
until = functools.partial(kube.until, seconds=45)


@pytest.fixture(scope="module", autouse=True)
def _runtimes(ground: Access) -> None:
    scenes.load_runtimes(ground)


@pytest.fixture
def scene(ground: Access, namespace: str) -> Iterator[Scene]:
    with scenes.set_in(ground, namespace) as found:
        yield found


def canary(name: str, percent: int, **predictor: Any) -> Manifest:
    """Return a canary of another release."""
    model = {"name": "", "modelFormat": {"name": "falaj-onnx"}, "storageUri": SECOND}
    return {"trafficPercent": percent, "predictor": {"name": name, "model": model, **predictor}}


def apply(scene: Scene, *canaries: Manifest, uri: str = FIRST, **predictor: Any) -> Manifest:
    """Apply the service `r`."""
    wanted = service("r", uri, **predictor)
    if canaries:
        wanted["spec"]["canary"] = list(canaries)
    return scene.cluster.apply(wanted)


def serving(scene: Scene, *canaries: Manifest, **predictor: Any) -> None:
    """Apply the service `r` and wait for all of its pods and for its status."""
    wanted = apply(scene, *canaries, **predictor)["spec"]["predictor"].get("minReplicas", 1)
    until(lambda: sum(scene.replicas().values()) == wanted)
    until(lambda: scene.ready("r"))


def test_a_service_is_served_as_recorded(scene: Scene) -> None:
    serving(scene, minReplicas=2, maxReplicas=3)

    until(lambda: scene.status("r")["modelStatus"]["copies"]["totalCopies"] == 2)
    status, where = scene.status("r"), scene.api.namespace
    assert status["address"] == {"url": f"http://r-predictor.{where}.svc.cluster.local"}
    assert status["url"] == f"http://r-{where}.example.com"
    assert status["deploymentMode"] == "Standard"
    assert status["servingRuntimeName"] == "falaj-onnx"
    assert status["modelStatus"] == {
        "copies": {"failedCopies": 0, "totalCopies": 2},
        "states": {"activeModelState": "Loaded", "targetModelState": "Loaded"},
        "transitionStatus": "UpToDate",
    }
    assert {one["type"]: one["status"] for one in status["conditions"]} == {
        "IngressReady": "True", "PredictorReady": "True", "Ready": "True", "Stopped": "False",
    }  # fmt: skip


def test_our_opener_is_put_before_the_server_unchanged(scene: Scene) -> None:
    serving(scene)

    pod = scene.api.get(DEPLOYMENT, "r-predictor")["spec"]["template"]["spec"]
    [opener], [server] = pod["initContainers"], pod["containers"]
    assert opener["args"] == [FIRST, "/mnt/models"]
    assert opener["terminationMessagePolicy"] == "FallbackToLogsOnError"
    assert opener["securityContext"]["readOnlyRootFilesystem"] is True
    assert server["args"][-1] == "--model_name=m"
    assert "--model_name=r" in server["args"]


def test_routes_are_made_by_the_recorded_names_and_hosts(scene: Scene) -> None:
    serving(scene)

    routes = {one["metadata"]["name"]: one for one in scene.api.list(HTTP_ROUTE)}
    where = scene.api.namespace
    assert {name: one["spec"]["hostnames"] for name, one in routes.items()} == {
        "r": [f"r-{where}.example.com"],
        "r-predictor": [f"r-predictor-{where}.example.com"],
    }
    assert scene.weights("r") == {"r-predictor": 1}  # the API server's default


def test_without_a_gateway_the_ingress_is_not_ready(ground: Access, namespace: str) -> None:
    with scenes.set_in(ground, namespace, accepts=False) as scene:
        apply(scene, **NEVER)
        until(lambda: scene.condition("r", "IngressReady"))
        assert scene.condition("r", "IngressReady")["message"] == "Predictor HTTPRoute not created"
        assert scene.condition("r", "PredictorReady")["reason"] == "MinimumReplicasUnavailable"
        apply(scene)
        until(lambda: scene.replicas() == {"r-predictor": 1})
        until(lambda: scene.condition("r", "IngressReady")["reason"] == "ParentStatusNotAvailable")
        assert not scene.ready("r")


def test_an_explicit_null_is_refused(scene: Scene) -> None:
    wanted = service("r", FIRST)
    wanted["spec"]["canary"] = None

    with pytest.raises(UserError, match=r'spec\.canary in body must be of type array: "null"'):
        scene.cluster.apply(wanted)


def test_1_the_observed_generation_is_the_deployments(scene: Scene) -> None:
    serving(scene, minReplicas=2, maxReplicas=2)

    until(lambda: scene.status("r")["observedGeneration"] == 2)
    assert scene.api.get(INFERENCE_SERVICE, "r")["metadata"]["generation"] == 1


def test_2_ready_stays_true_through_an_update_to_pods_that_never_start(scene: Scene) -> None:
    serving(scene)

    apply(scene, uri=SECOND, **NEVER)
    until(lambda: _has_replica_sets(scene, 2))
    until(lambda: _deployment(scene)["status"].get("unavailableReplicas") == 1)

    assert scene.ready("r")
    assert scene.status("r")["modelStatus"]["transitionStatus"] == "UpToDate"


@pytest.mark.parametrize("kind", ["annotations", "labels"])
def test_3_two_words_written_on_a_service_restart_its_pods_twice(scene: Scene, kind: str) -> None:
    serving(scene)

    for count, word in enumerate(("one", "two"), start=2):
        wanted = service("r", FIRST)
        wanted["metadata"][kind] = {"falaj.example/state": word}
        scene.cluster.apply(wanted)
        until(functools.partial(_has_replica_sets, scene, count))


def test_4_a_rename_deletes_the_old_pods_before_the_new_ones_are_ready(scene: Scene) -> None:
    serving(scene)

    apply(scene, name="v2", uri=SECOND, **NEVER)
    until(lambda: scene.api.find(DEPLOYMENT, "r-predictor") is None)

    assert scene.api.get(DEPLOYMENT, "r-v2-predictor")["status"].get("availableReplicas") is None
    until(lambda: scene.api.find(SERVICE, "r-predictor") is None)
    until(lambda: not scene.ready("r"))


@pytest.mark.parametrize(
    ("canaries", "wanted"),
    [
        ([canary("v2", 30)], {"r-predictor": 7, "r-v2-predictor": 3}),
        ([canary("v2", 100)], {"r-predictor": 1, "r-v2-predictor": 10}),
        ([canary("v2", 20, minReplicas=8)], {"r-predictor": 2, "r-v2-predictor": 8}),
        ([canary("v2", 30), canary("v3", 15)],
         {"r-predictor": 5, "r-v2-predictor": 3, "r-v3-predictor": 2}),
    ],
    ids=["30 %", "100 %", "8 wanted", "two, rounded up"],
)  # fmt: skip
def test_5_a_canary_takes_its_replicas_from_the_stable_ones(
    scene: Scene, canaries: list[Manifest], wanted: dict[str, int]
) -> None:
    ten: Manifest = {"minReplicas": 10, "maxReplicas": 12}
    serving(scene, **ten)

    apply(scene, *canaries, **ten)

    until(lambda: scene.replicas() == wanted)


def test_5_after_a_rollback_pods_are_missing_until_the_autoscaler_has_looked(scene: Scene) -> None:
    four: Manifest = {"minReplicas": 4, "maxReplicas": 4}
    serving(scene, **four)
    apply(scene, canary("v2", 50), **four)
    until(lambda: scene.replicas() == {"r-predictor": 2, "r-v2-predictor": 2})

    apply(scene, **four)
    until(lambda: scene.replicas() == {"r-predictor": 4})

    messages = [event["message"] for event in scene.api.list(EVENT)]
    assert any(message.endswith("from 2 to 4") for message in messages)


def test_6_a_promotion_changes_the_address_inside_the_cluster(scene: Scene) -> None:
    serving(scene)
    apply(scene, canary("v2", 10))
    until(lambda: scene.weights("r") == {"r-predictor": 90, "r-v2-predictor": 10})

    apply(scene, name="v2", uri=SECOND)

    where = f"{scene.api.namespace}.svc.cluster.local"
    until(lambda: scene.status("r").get("address") == {"url": f"http://r-v2-predictor.{where}"})
    assert scene.weights("r") == {"r-v2-predictor": 1}
    assert scene.scalers() == {"r-predictor", "r-v2-predictor"}  # trap 10: one has nothing to scale


def test_7_traffic_of_a_canary_goes_past_the_transformer(scene: Scene) -> None:
    wanted = with_transformer(service("r", FIRST))
    wanted["spec"]["transformer"]["containers"][0].update(
        name="kserve-container", image="registry.falaj.example/falaj/transformer"
    )
    wanted["spec"]["canary"] = [canary("v2", 20)]
    scene.cluster.apply(wanted)

    until(
        lambda: scene.weights("r") == {"r-transformer": 80, "r-v2-predictor": 20},
    )
    pod = scene.api.get(DEPLOYMENT, "r-transformer")["spec"]["template"]["spec"]
    args = pod["containers"][0]["args"]
    assert args[-2:] == ["--predictor_host", f"r-predictor.{scene.api.namespace}"]
    until(lambda: scene.condition("r", "TransformerReady").get("status") == "True")


def test_8_without_gateway_api_a_split_is_claimed_and_there_is_none(
    ground: Access, namespace: str
) -> None:
    with scenes.set_in(ground, namespace, gateway_api=False) as scene:
        apply(scene, canary("v2", 20))
        until(lambda: scene.condition("r", "CanaryPredictorReady").get("status") == "True")
        until(lambda: scene.ready("r"))

        [claimed] = scene.status("r")["canaryStatuses"]
        assert (claimed["ready"], claimed["trafficPercent"]) == (True, 20)
        [rule] = scene.api.get(INGRESS, "r")["spec"]["rules"]
        assert [p["backend"]["service"]["name"] for p in rule["http"]["paths"]] == ["r-predictor"]
        assert scene.api.list(HTTP_ROUTE) == []


def test_9_a_percentage_for_knative_is_ignored_and_all_traffic_moves(scene: Scene) -> None:
    serving(scene)

    apply(scene, uri=SECOND, canaryTrafficPercent=10)

    until(lambda: _source(scene) == SECOND)
    assert scene.weights("r") == {"r-predictor": 1}


def test_10_a_canary_that_is_taken_back_leaves_its_autoscaler(scene: Scene) -> None:
    ten: Manifest = {"minReplicas": 10, "maxReplicas": 10}
    serving(scene, **ten)
    apply(scene, canary("v2", 40), **ten)
    until(lambda: scene.replicas() == {"r-predictor": 6, "r-v2-predictor": 4})
    apply(scene, **ten)
    until(lambda: "canaryStatuses" not in scene.status("r"))

    assert scene.api.find(DEPLOYMENT, "r-v2-predictor") is None
    assert scene.scalers() == {"r-predictor", "r-v2-predictor"}
    apply(scene, canary("v2", 10), **ten)
    until(lambda: scene.replicas().get("r-v2-predictor") == 4)


def test_11_a_first_deployment_starts_with_one_pod(scene: Scene) -> None:
    apply(scene, minReplicas=3, maxReplicas=3)

    until(lambda: scene.api.find(DEPLOYMENT, "r-predictor"))
    until(lambda: scene.replicas() == {"r-predictor": 3})
    assert _deployment(scene)["metadata"]["generation"] == 2  # made with one, then scaled


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"runtime": "nothing"}, "RuntimeNotRecognized"),
        ({"modelFormat": {"name": "unheard-of"}}, "NoSupportingRuntime"),
    ],
)
def test_12_what_no_runtime_serves_is_accepted_and_told_in_the_model_status(
    scene: Scene, change: Manifest, reason: str
) -> None:
    wanted = service("r", FIRST)
    wanted["spec"]["predictor"]["model"] |= change
    scene.cluster.apply(wanted)

    until(lambda: scene.status("r").get("modelStatus"))
    model = scene.status("r")["modelStatus"]
    assert (model["transitionStatus"], model["lastFailureInfo"]["reason"]) == (
        "InvalidSpec", reason,
    )  # fmt: skip
    assert scene.condition("r")["status"] == "Unknown"


def test_12_a_place_that_nothing_fetches_from_is_told_as_an_event_alone(scene: Scene) -> None:
    apply(scene, uri="ftp://models/m")

    [event] = until(lambda: scene.api.list(EVENT))
    assert (event["type"], event["involvedObject"]["name"]) == ("Warning", "r")
    assert event["message"].startswith("StorageURI not supported: ")
    assert scene.status("r") == {}


def test_12_a_service_without_a_model_is_ready(scene: Scene) -> None:
    wanted = service("r", FIRST)
    del wanted["spec"]["predictor"]["model"]["storageUri"]
    scene.cluster.apply(wanted)

    until(lambda: scene.ready("r"))


def test_a_canary_that_never_serves_gets_no_traffic_and_ready_stays(scene: Scene) -> None:
    serving(scene)

    apply(scene, canary("v2", 20, **NEVER))
    until(lambda: scene.condition("r", "CanaryPredictorReady").get("status") == "False")

    assert scene.weights("r") == {"r-predictor": 100}
    assert scene.ready("r")
    [told] = scene.status("r")["canaryStatuses"]
    assert told["ready"] is False


def test_a_local_service_has_no_route_and_needs_no_gateway(ground: Access, namespace: str) -> None:
    with scenes.set_in(ground, namespace, accepts=False) as scene:
        wanted = service("r", FIRST)
        wanted["metadata"]["labels"] = {"networking.kserve.io/visibility": "cluster-local"}
        scene.cluster.apply(wanted)

        until(lambda: scene.ready("r"))
        assert scene.api.list(HTTP_ROUTE) == []


def test_a_stop_leaves_nothing_and_its_removal_brings_all_back(scene: Scene) -> None:
    serving(scene)
    wanted = service("r", FIRST)
    wanted["metadata"]["annotations"] = {"serving.kserve.io/stop": "true"}
    scene.cluster.apply(wanted)

    until(lambda: scene.condition("r", "Stopped")["status"] == "True")
    assert scene.condition("r")["reason"] == "Stopped"
    until(lambda: not (scene.replicas() or scene.scalers() or scene.api.list(HTTP_ROUTE)))
    serving(scene)


def test_what_a_service_owned_goes_with_it(scene: Scene) -> None:
    serving(scene)

    scene.api.delete(INFERENCE_SERVICE, "r")

    until(lambda: not (scene.api.list(DEPLOYMENT) or scene.api.list(HTTP_ROUTE)))


def _deployment(scene: Scene) -> Manifest:
    return scene.api.get(DEPLOYMENT, "r-predictor")


def _has_replica_sets(scene: Scene, count: int) -> bool:
    return len(scene.api.list(REPLICA_SETS)) == count


def _source(scene: Scene) -> str:
    template = _deployment(scene)["spec"]["template"]["metadata"]
    key = "internal.serving.kserve.io/storage-initializer-sourceuri"
    return str(template["annotations"].get(key, ""))
