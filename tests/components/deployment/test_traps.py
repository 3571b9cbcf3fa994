"""What KServe was seen to do, each with what keeps it from harming a rollout.

docs/rollouts.md has the table; in memory, where every turn of every controller is seen.
"""

import dataclasses
import json

import pytest

from components.deployment.deploy.launch import Launch, launch
from components.deployment.record import Phase, Record
from components.deployment.route import Route
from components.deployment.slots import Capacity, Version
from components.deployment.traffic import choosing, probing
from components.deployment.traffic.canary import HPA, Canary
from components.deployment.traffic.interface import Backend, NotCarried
from components.deployment.traffic.knative import Knative
from components.deployment.transformer import Transformer
from components.foundation.errors import InfrastructureError, Refused
from components.foundation.kubernetes.client import Manifest
from components.foundation.kubernetes.resources import (
    CONFIG_MAP,
    DEPLOYMENT,
    INFERENCE_SERVICE,
    Resource,
)
from components.foundation.verdict import Decision, Verdict
from inference.plane.objects import Key
from tests.cluster.claims import BAD, BETTER, FIRST, Stage, uri
from tests.cluster.standin.offline import NAMESPACE, World
from tests.components.deployment import world as worlds

OURS = [Backend.CANARY, Backend.KNATIVE]
RUNTIME = Resource("serving.kserve.io/v1alpha1", "ClusterServingRuntime", "clusterservingruntimes")
STORAGE = Resource(
    "serving.kserve.io/v1alpha1", "ClusterStorageContainer", "clusterstoragecontainers"
)
BEFORE = Transformer("registry.falaj.example/t", "examples.flights.features", "late", "s3://r/x")


def settle(world: World, turns: int = 4) -> None:
    for _ in range(turns):
        world.sleep(1)


def watched(world: World, stage: Stage) -> list[int]:
    """Note at every turn how many pods the version has that has fewest of those with traffic."""
    least: list[int] = []

    def looked() -> None:
        found = [stage.deployments("m", slot) for slot in stage.given("m")]
        pods = [one["status"].get("availableReplicas", 0) for there in found for one in there]
        least.append(min(pods, default=0) if len(pods) == len(found) else 0)

    world.looked = looked
    return least


def service(world: World) -> Manifest:
    return world.api.get(INFERENCE_SERVICE, "m")


def halfway(world: World, backend: Backend, **how: int) -> Stage:
    """Deploy two releases, and give the second its first share."""
    stage = worlds.stage(world, backend)
    stage.launch("m", FIRST, **how)
    stage.launch("m", BETTER, **how)
    run = stage.rollout("m")
    run._begin()
    run._turn()
    return stage


@pytest.mark.parametrize("backend", OURS)
def test_3_nothing_is_written_into_labels_or_annotations(world: World, backend: Backend) -> None:
    seen = set()

    def looked() -> None:
        if found := world.api.find(INFERENCE_SERVICE, "m"):
            metadata = found["metadata"]
            seen.add(json.dumps([metadata["labels"], metadata["annotations"]], sort_keys=True))

    world.looked = looked
    stage = halfway(world, backend)
    assert stage.rolled_out("m").decision is Decision.PROMOTE

    assert len(seen) == 1


def test_4_what_was_promoted_goes_back_the_way_it_came(world: World) -> None:
    stage = worlds.stage(world, Backend.CANARY)
    stage.launch("m", FIRST, replicas=2)
    stage.launch("m", BETTER, replicas=2)
    stage.rolled_out("m")
    least = watched(world, stage)
    version, verdict = stage.launch("m", FIRST, replicas=2)
    [entry] = service(world)["spec"]["canary"]
    assert (version.slot, verdict.decision, entry["trafficPercent"]) == ("a", Decision.ACCEPT, 0)
    assert service(world)["spec"]["predictor"]["name"] == "b"
    assert stage.rolled_out("m").decision is Decision.PROMOTE

    assert stage.given("m") == {"a": 100}
    assert min(least) == 2


def test_4_a_promotion_waits_for_pods_however_its_entry_was_lost(world: World) -> None:
    stage = halfway(world, Backend.CANARY)
    record = Record.open(stage.cluster, "m")
    found = service(world)
    del found["spec"]["canary"]
    world.server.objects.replace(Key(INFERENCE_SERVICE, NAMESPACE, "m"), found, manager="other")
    settle(world)
    assert record.state.champion
    assert record.state.candidate
    least = watched(world, stage)

    Canary(world.cluster, "m").settle(record.state.candidate, record.state.champion)

    assert stage.given("m") == {"b": 100}
    assert min(least) >= 1


def test_5_neither_version_is_short_of_pods_for_the_other(world: World) -> None:
    stage = worlds.stage(world, Backend.CANARY)
    stage.launch("m", FIRST, replicas=4)
    stage.launch("m", BETTER, replicas=2)
    settle(world)

    spec = service(world)["spec"]
    assert spec["canary"][0]["predictor"]["minReplicas"] == 2
    assert spec["predictor"]["minReplicas"] == 6
    [champion] = stage.deployments("m", "a")
    assert champion["status"]["availableReplicas"] >= 4


def test_5_a_candidate_has_as_many_pods_as_the_champion_came_to(world: World) -> None:
    stage = worlds.stage(world, Backend.CANARY)
    way, wide = Route("m", "", "falaj"), Capacity(1, 9)
    how = Launch(way, wide, timeout_s=60, backend="canary")
    launch(world.cluster, uri("m", FIRST), how, tell=list[Verdict]().append)
    [pods] = stage.deployments("m", "a")
    busy = {**pods, "spec": {**pods["spec"], "replicas": 5}}
    key = Key(DEPLOYMENT, NAMESPACE, pods["metadata"]["name"])
    world.server.objects.replace(key, busy, manager="autoscaler")
    settle(world)

    launch(world.cluster, uri("m", BETTER), how, tell=list[Verdict]().append)

    assert service(world)["spec"]["canary"][0]["predictor"]["minReplicas"] == 5


def test_5_all_traffic_is_the_canary_s_before_it_is_promoted(world: World) -> None:
    splits = []

    def looked() -> None:
        spec = service(world)["spec"] if world.api.find(INFERENCE_SERVICE, "m") else {}
        if spec.get("canary"):
            splits.append(spec["canary"][0]["trafficPercent"])

    world.looked = looked
    stage = halfway(world, Backend.CANARY)
    stage.rolled_out("m")

    assert splits[-1] == 100
    assert set(splits) == {0, 20, 50, 100}


def test_6_the_champion_s_own_release_is_no_candidate(world: World) -> None:
    stage = worlds.stage(world, Backend.CANARY)
    stage.launch("m", FIRST)
    champion = Version("a", uri("m", FIRST))

    with pytest.raises(Refused, match="the champion's own release") as caught:
        Canary(world.cluster, "m").bring(champion, dataclasses.replace(champion, slot="b"))
    assert caught.value.code == "backend-unfit"


def test_6_the_verdict_says_where_the_model_is_now_inside_the_cluster(world: World) -> None:
    verdict = halfway(world, Backend.CANARY).rolled_out("m")

    assert verdict.evidence["address_inside"] == "http://m-b-predictor.default.svc.cluster.local"


@pytest.mark.parametrize("backend", OURS)
def test_7_a_transformer_is_refused(world: World, backend: Backend) -> None:
    way = Route("m", "", "falaj")
    how = Launch(way, Capacity(), transformer=BEFORE, backend=backend)

    with pytest.raises(Refused, match="has a transformer before it") as caught:
        launch(world.cluster, uri("m", FIRST), how, tell=list[Verdict]().append)
    assert caught.value.code == "backend-unfit"
    assert world.api.find(INFERENCE_SERVICE, "m") is None


def test_8_where_no_route_carries_the_split_deploying_is_refused(world: World) -> None:
    world.controllers.gateway_api = False

    with pytest.raises(NotCarried, match="enableGatewayApi") as caught:
        worlds.stage(world, Backend.CANARY).launch("m", FIRST)
    assert caught.value.code == "split-not-carried"


def test_8_a_route_that_loses_a_backend_half_way_leaves_the_champion_everything(
    world: World,
) -> None:
    stage = halfway(world, Backend.CANARY)
    world.controllers.gateway_api = False

    with pytest.raises(NotCarried):
        stage.rollout("m", min_requests=1).run()

    assert service(world)["spec"]["canary"][0]["trafficPercent"] == 0
    assert stage.state("m")[0] in (Phase.CANARY, Phase.BAKING)


def test_a_gateway_that_accepts_nothing_is_told_and_not_waited_for_ever(world: World) -> None:
    world.controllers.accepts = False

    with pytest.raises(NotCarried, match="no Gateway has accepted"):
        worlds.stage(world, Backend.TWINS).launch("m", FIRST)
    assert world.clock < 30


@pytest.mark.parametrize(("backend", "mode"), [("canary", "Standard"), ("knative", "Knative")])
def test_9_each_object_names_its_mode_and_a_percent_is_only_knative_s(
    world: World, backend: str, mode: str
) -> None:
    halfway(world, Backend(backend))

    found = service(world)
    assert found["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == mode
    assert ("canaryTrafficPercent" in found["spec"]["predictor"]) == (mode == "Knative")


@pytest.mark.parametrize("version", [BETTER, BAD])
def test_10_no_autoscaler_is_left_over(world: World, version: str) -> None:
    stage = worlds.stage(world, Backend.CANARY)
    stage.launch("m", FIRST)
    stage.launch("m", version)
    stage.rolled_out("m", min_requests=400)
    settle(world)

    there = {one["metadata"]["name"] for one in world.api.list(HPA)}
    assert there == {"m-b-predictor" if version == BETTER else "m-a-predictor"}


def test_11_a_first_release_is_ready_only_with_all_of_its_replicas(world: World) -> None:
    stage = worlds.stage(world, Backend.CANARY)

    _, verdict = stage.launch("m", FIRST, replicas=3)

    [pods] = stage.deployments("m", "a")
    assert verdict.passes
    assert pods["status"]["availableReplicas"] == 3


def test_12_a_runtime_that_is_not_there_is_told_at_once(world: World) -> None:
    world.server.objects.delete(Key(RUNTIME, NAMESPACE, "falaj-onnx"))

    _, verdict = worlds.stage(world, Backend.CANARY).launch("m", FIRST)

    assert "No ServingRuntime or ClusterServingRuntime with name: falaj-onnx" in verdict.reason
    assert world.clock < 10


def test_12_what_is_told_only_as_an_event_is_told(world: World) -> None:
    world.server.objects.delete(Key(STORAGE, NAMESPACE, "falaj-sealed"))

    _, verdict = worlds.stage(world, Backend.CANARY).launch("m", FIRST)

    assert "StorageURI not supported" in verdict.reason


def test_13_without_knatives_settings_it_is_refused_before_anything_is_made(world: World) -> None:
    world.server.objects.delete(Key(CONFIG_MAP, "knative-serving", "config-autoscaler"))

    with pytest.raises(Refused, match="config-autoscaler") as caught:
        worlds.stage(world, Backend.KNATIVE).launch("m", FIRST)
    assert caught.value.code == "backend-missing"
    assert world.api.find(INFERENCE_SERVICE, "m") is None


def test_13_settings_that_cannot_be_seen_are_named_where_nothing_is_made(world: World) -> None:
    world.server.objects.delete(Key(CONFIG_MAP, "knative-serving", "config-autoscaler"))
    world.server.forbidden.add("/api/v1/namespaces/knative-serving/")
    found = probing.probe(world.cluster, "falaj")
    world.server.forbidden.clear()

    assert found.autoscaler is None
    assert choosing.choice(found, Backend.KNATIVE) is Backend.KNATIVE
    seen = Knative(world.cluster, "m").look(Version("a", uri("m", FIRST)), replicas=1)
    assert "config-autoscaler" in seen.waiting


def test_13_a_candidate_never_has_all_traffic_before_it_is_promoted(world: World) -> None:
    """In Knative mode that would move what is rolled out, and a percent of 0 no way back."""
    stage = worlds.stage(world, Backend.KNATIVE)
    stage.launch("m", FIRST)
    stage.launch("m", BETTER)
    run = stage.rollout("m")
    while Record.open(stage.cluster, "m").state.phase is not Phase.BAKING:
        run._begin() if run.record.state.phase is Phase.DARK else run._turn()
    run._turn()
    assert stage.given("m") == {"a": 1, "b": 99}

    assert run.run().decision is Decision.PROMOTE
    assert stage.given("m") == {"b": 100}


@pytest.mark.parametrize("backend", Backend)
def test_once_a_rollback_is_decided_the_loser_gets_nothing_more(
    world: World, backend: Backend
) -> None:
    """A percent that is only left out would give everything to the newest revision: the loser's."""
    stage = worlds.stage(world, backend)
    stage.launch("m", FIRST)
    stage.launch("m", BAD)
    after = []

    def looked() -> None:
        if Record.open(stage.somebody, "m").state.phase in (Phase.CLEARING, Phase.STABLE):
            after.append(stage.given("m").get("b", 0))

    world.looked = looked
    assert stage.rolled_out("m", min_requests=400).decision is Decision.ROLL_BACK
    settle(world)

    first = after.index(0)
    assert set(after[first:]) == {0}


@pytest.mark.parametrize("backend", OURS)
def test_names_that_would_be_too_long_are_refused(world: World, backend: Backend) -> None:
    with pytest.raises(Refused, match="letters of at most 63") as caught:
        worlds.stage(world, backend).launch("m" * 50, FIRST)
    assert caught.value.code == "backend-unfit"


def test_a_knative_candidate_waits_until_the_champion_is_told_as_rolled_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then KServe ignores a percent: the candidate would have everything."""
    stage = worlds.stage(world, Backend.KNATIVE)
    stage.launch("m", FIRST)
    monkeypatch.setattr(Knative, "_rolled_out", lambda self, version: False)

    with pytest.raises(InfrastructureError, match="ignores percents") as caught:
        stage.launch("m", BETTER)
    assert caught.value.code == "rollout-stuck"
    assert stage.given("m") == {"a": 100}
