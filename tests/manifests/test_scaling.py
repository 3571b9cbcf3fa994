"""How many pods there are, where, and which give way: autoscalers, budgets, priorities."""

import inspect
import pathlib
from collections.abc import Mapping
from typing import Any

import pytest

from components.deployment import slots
from components.deployment.slots import Capacity, Version
from components.deployment.transformer import Transformer
from components.foundation.sealing.uri import ReleaseUri
from inference.server.telemetry import exposition
from tests.manifests import served
from tests.manifests.features import base_with, objects, one

Thing = dict[str, Any]

RELEASE = ReleaseUri.parse("sealed+s3://falaj-models/delays/0123456789ab")
IMAGE = f"registry.falaj.example/falaj/transformer@sha256:{'0' * 64}"
BEFORE = Transformer(IMAGE, "examples.flights.features", "lateness", "registry")
AUTOSCALERS_ADD_NO_NODE_BELOW = -10
FEATURES = ("router", "gpu", "ha", "keda", "kueue", "training", "knative")


def service(slot: str) -> Thing:
    return slots.manifest(Version(slot, RELEASE, transformer=BEFORE), Capacity(2, 4))


def selects(budget: Thing, labels: Mapping[str, str]) -> bool:
    wanted: dict[str, str] = budget["spec"]["selector"]["matchLabels"]
    return wanted.items() <= labels.items()


def test_a_budget_covers_the_pods_of_both_slots_and_no_others() -> None:
    scaling = objects("scaling")
    pods = {
        f"{slot}-{kind}": template(service(slot))["metadata"]["labels"]
        for slot in slots.SLOTS
        for kind, template in (("p", served.predictor), ("t", served.transformer))
    }
    pods["router"] = objects("router")["Deployment", "falaj-router"]["spec"]["template"][
        "metadata"
    ]["labels"]

    def covered(name: str) -> set[str]:
        budget = scaling["PodDisruptionBudget", name]
        return {pod for pod, labels in pods.items() if selects(budget, labels)}

    assert covered("falaj-predictors") == {"a-p", "b-p"}
    assert covered("falaj-transformers") == {"a-t", "b-t"}


def test_no_budget_holds_a_pod_that_was_never_ready() -> None:
    budgets = [
        *objects("scaling").values(),
        objects("router")["PodDisruptionBudget", "falaj-router"],
    ]

    for budget in budgets:
        assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
        assert budget["spec"]["maxUnavailable"] == 1


def test_the_routers_number_is_its_autoscalers_alone() -> None:
    router = objects("router")
    deployment = router["Deployment", "falaj-router"]
    scaler = router["HorizontalPodAutoscaler", "falaj-router"]["spec"]

    assert "replicas" not in deployment["spec"]
    assert scaler["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert (
        scaler["minReplicas"]
        > router["PodDisruptionBudget", "falaj-router"]["spec"]["maxUnavailable"]
    )


def test_the_routers_target_can_be_reached() -> None:
    router = objects("router")
    [container] = router["Deployment", "falaj-router"]["spec"]["template"]["spec"]["containers"]
    [metric] = router["HorizontalPodAutoscaler", "falaj-router"]["spec"]["metrics"]
    percent = metric["resource"]["target"]["averageUtilization"]

    assert container["resources"]["requests"]["cpu"] == "250m"
    assert 250 * percent / 100 < 1000 * float(container["resources"]["limits"]["cpu"])


def test_what_answers_is_above_training_and_training_above_batch() -> None:
    serving = objects("serving")["PriorityClass", "falaj-serving"]["value"]
    training = objects("training")["PriorityClass", "falaj-training"]["value"]
    batch = objects("queues")["PriorityClass", "falaj-batch"]["value"]
    without_a_class = 0

    assert serving > without_a_class > training > batch > AUTOSCALERS_ADD_NO_NODE_BELOW


def test_jobs_displace_nobody() -> None:
    classes = (
        objects("training")["PriorityClass", "falaj-training"],
        objects("queues")["PriorityClass", "falaj-batch"],
    )

    assert {one["preemptionPolicy"] for one in classes} == {"Never"}


@pytest.mark.parametrize("name", ["falaj-onnx", "falaj-torch", "falaj-tensorflow", "falaj-triton"])
def test_a_models_pods_keep_apart_from_each_other_only(name: str) -> None:
    terms = served.runtime(name)["spec"]["affinity"]["podAntiAffinity"]
    [zone, node] = terms["preferredDuringSchedulingIgnoredDuringExecution"]
    labels = served.predictor(service("a"))["metadata"]["labels"]

    for term in (zone["podAffinityTerm"], node["podAffinityTerm"]):
        assert term["labelSelector"]["matchLabels"].items() <= labels.items()
        assert term["matchLabelKeys"] == ["app"]
    assert labels["app"] != served.predictor(service("b"))["metadata"]["labels"]["app"]
    assert zone["weight"] > node["weight"]


@pytest.mark.parametrize("slot", slots.SLOTS)
def test_keda_scales_what_deploy_makes_by_what_its_server_counts(slot: str) -> None:
    scaled = objects("keda")["ScaledObject", f"delays-{slot}"]["spec"]
    [trigger] = scaled["triggers"]
    version = Version(slot, RELEASE)
    args = served.predictor(slots.manifest(version, Capacity()))["spec"]["containers"][0]["args"]

    assert scaled["scaleTargetRef"]["name"] in version.deployments
    assert "inference_in_flight{" in trigger["metadata"]["query"]
    assert '"inference_in_flight"' in inspect.getsource(exposition)
    assert f'variant="{slot}"' in trigger["metadata"]["query"]
    assert {f"--variant={slot}", "--model_name=delays"} <= set(args)


def test_keda_takes_missing_numbers_for_a_failure_and_keeps_a_pod() -> None:
    for scaled in objects("keda").values():
        assert scaled["spec"]["triggers"][0]["metadata"]["ignoreNullValues"] == "false"
        assert scaled["spec"]["fallback"]["replicas"] >= scaled["spec"]["minReplicaCount"] == 1


def test_ha_keeps_a_router_in_every_zone(tmp_path: pathlib.Path) -> None:
    things = base_with(tmp_path, "router", "ha")
    pod = one(things, "Deployment", "falaj-router")["spec"]["template"]["spec"]

    [zone, node] = pod["topologySpreadConstraints"]

    assert one(things, "HorizontalPodAutoscaler", "falaj-router")["spec"]["minReplicas"] == 3
    assert (zone["topologyKey"], zone["whenUnsatisfiable"]) == (
        "topology.kubernetes.io/zone",
        "DoNotSchedule",
    )
    assert node["whenUnsatisfiable"] == "ScheduleAnyway"


def test_ha_asks_for_no_router(tmp_path: pathlib.Path) -> None:
    kinds = {thing["kind"] for thing in base_with(tmp_path, "ha")}

    assert "PodDisruptionBudget" in kinds
    assert "HorizontalPodAutoscaler" not in kinds


def test_knative_is_told_nothing_of_places(tmp_path: pathlib.Path) -> None:
    runtimes = [
        t for t in base_with(tmp_path, "gpu", "knative") if t["kind"] == "ClusterServingRuntime"
    ]

    assert len(runtimes) == 4
    assert [t["metadata"]["name"] for t in runtimes if "affinity" in t["spec"]] == []


def test_all_features_can_be_chosen_together(tmp_path: pathlib.Path) -> None:
    things = base_with(tmp_path, *FEATURES)

    names = [(thing["kind"], thing["metadata"]["name"]) for thing in things]
    assert len(names) == len(set(names))
    assert ("ClusterQueue", "falaj-gpu") in names
