"""Rollouts of releases with a transformer, on a plane whose pods run stand-ins."""

import dataclasses

import pytest

from components.deployment import slots
from components.deployment.deploy.launch import Launch
from components.deployment.record import Record
from components.deployment.transformer import Transformer
from components.foundation.kubernetes import resources
from components.foundation.kubernetes.client import Cluster
from components.foundation.verdict import Decision
from inference.plane.launch import Plane
from tests.components.deployment.test_rollout import FIRST, how, launch, rollout, traffic, uri
from tests.inference.plane.kube import until

BEFORE = Transformer("registry/transformer@sha256:00", "a.b", "lateness", "s3://r#sha256:00")
HEALTHY, FAILS_BEFORE, FAILS_BEHIND = "dddddddddd00", "dddddddd4000", "dddddddddd40"


def transformed(model: str) -> Launch:
    return dataclasses.replace(how(model), transformer=BEFORE)


def routed(cluster: Cluster, model: str) -> set[str]:
    rules = cluster.get(resources.HTTP_ROUTE, model)["spec"]["rules"]
    return {b["name"] for b in rules[0]["backendRefs"] if b["weight"]}


@pytest.fixture
def model(cluster: Cluster, unique: str) -> str:
    """A model whose first release serves behind a transformer."""
    _, verdict = launch(cluster, uri(unique, FIRST), transformed(unique))
    assert verdict.passes, verdict
    return unique


def test_traffic_goes_to_the_transformer(cluster: Cluster, plane: Plane, model: str) -> None:
    with traffic(plane, model) as answers:
        until(lambda: answers)

    assert routed(cluster, model) == {f"{model}-a-transformer"}
    assert set(answers) == {(200, FIRST)}


@pytest.mark.parametrize(
    "version",
    [
        pytest.param(FAILS_BEFORE, id="in its transformer"),
        pytest.param(FAILS_BEHIND, id="in its server"),
    ],
)
def test_a_candidate_that_fails_anywhere_on_the_way_is_rolled_back(
    cluster: Cluster, plane: Plane, model: str, version: str
) -> None:
    assert launch(cluster, uri(model, version), transformed(model))[1].passes

    with traffic(plane, model):
        verdict = rollout(cluster, plane, model).run()

    assert verdict.decision is Decision.ROLL_BACK, verdict
    assert "errs more often" in verdict.reason
    assert routed(cluster, model) == {f"{model}-a-transformer"}


@pytest.mark.parametrize("before", [BEFORE, None], ids=["with", "without"])
def test_a_healthy_candidate_is_promoted_with_a_transformer_or_without(
    cluster: Cluster, plane: Plane, model: str, before: Transformer | None
) -> None:
    wanted = dataclasses.replace(how(model), transformer=before)
    launch(cluster, uri(model, HEALTHY), wanted)

    with traffic(plane, model) as answers:
        verdict = rollout(cluster, plane, model).run()

    assert verdict.decision is Decision.PROMOTE, verdict
    assert {status for status, _ in answers} == {200}
    assert slots.stopped(cluster, f"{model}-a")
    champion = Record.open(cluster, model).state.champion
    assert champion
    assert champion.transformer == before
