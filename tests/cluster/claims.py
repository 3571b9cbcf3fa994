"""What deploy and roll_out claim, on whatever speaks the Kubernetes API.

Each claim is given a stage and the name of a model that no other has. `tests/cluster` plays them
on a real API server, `tests/inference/plane` on the plane.
"""

import dataclasses
import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import pytest

from components.deployment import slots
from components.deployment.deploy.launch import Launch
from components.deployment.deploy.launch import launch as launch_telling
from components.deployment.record import Phase, Record
from components.deployment.roll_out.counters import Metrics
from components.deployment.roll_out.rollout import Rollout
from components.deployment.roll_out.trial import Rules
from components.deployment.route import Route
from components.deployment.slots import Capacity, Version
from components.deployment.traffic import choosing
from components.foundation.errors import InfrastructureError, Refused
from components.foundation.kubernetes import resources
from components.foundation.kubernetes.client import Cluster, Manifest
from components.foundation.sealing.uri import ReleaseUri
from components.foundation.storage import Conflict
from components.foundation.verdict import Decision, Verdict
from tests.inference.plane import kube

# A version's last two digits are how often its server fails, in percent.
FIRST, BETTER, BAD, THIRD = "aaaaaaaaaa00", "bbbbbbbbbb00", "cccccccccc40", "dddddddddd00"
TAMPERED, UNREACHED = "f" * 12, "e" * 12
RULES = Rules((20, 50), min_requests=20, interval_s=0.2, max_seconds=60, bake_s=0.4, margin=0.5)
until = functools.partial(kube.until, seconds=45)


@dataclass(frozen=True)
class Stage:
    """Where claims are played.

    Attributes:
        cluster: the API as our steps have it.
        somebody: the API as somebody who may change everything.
        metrics: where counters are read.
        traffic: sends requests to a model until its block ends.
    """

    cluster: Cluster
    somebody: Cluster
    metrics: str
    traffic: Callable[[str], AbstractContextManager[object]]

    def launch(
        self, model: str, version: str, *, replicas: int = 1, timeout_s: float = 60
    ) -> tuple[Version, Verdict]:
        capacity = Capacity(replicas, max(2, replicas))
        way = Route(model, f"{model}.localhost", "falaj")
        how = Launch(way, capacity, timeout_s=timeout_s)
        return launch_telling(self.cluster, uri(model, version), how, tell=list[Verdict]().append)

    def rollout(self, model: str, **changes: Any) -> Rollout:
        record, rules = Record.open(self.cluster, model), dataclasses.replace(RULES, **changes)
        return Rollout(
            record,
            choosing.taken(record),
            Metrics(self.metrics),
            rules,
            tell=list[Verdict]().append,
        )

    def rolled_out(self, model: str, **changes: Any) -> Verdict:
        with self.traffic(model):
            return self.rollout(model, **changes).run()

    def weights(self, model: str) -> dict[str, int]:
        rules = self.somebody.get(resources.HTTP_ROUTE, model)["spec"]["rules"]
        return {one["name"]: one["weight"] for one in rules[0]["backendRefs"]}

    def routes(self, model: str) -> set[str]:
        """Return every route of a model, whoever made it."""
        names = (one["metadata"]["name"] for one in self.somebody.list(resources.HTTP_ROUTE))
        return {name for name in names if name.startswith(model)}

    def state(self, model: str) -> tuple[Phase, str, str]:
        """Return the phase, and which releases are champion and candidate."""
        state = Record.open(self.somebody, model).state
        return state.phase, _version(state.champion), _version(state.candidate)

    def generations(self, model: str) -> list[int]:
        """Return how often each slot's Deployment was changed."""
        names = [f"{model}-{slot}-predictor" for slot in slots.SLOTS]
        found = [self.somebody.get(resources.DEPLOYMENT, name) for name in names]
        return [one["metadata"]["generation"] for one in found]


def _version(version: Version | None) -> str:
    return version.release.version if version else ""


def uri(model: str, version: str) -> ReleaseUri:
    return ReleaseUri("falaj-models", model, version)


def a_first_release_gets_all_traffic(stage: Stage, model: str) -> None:
    version, verdict = stage.launch(model, FIRST)

    assert (version.slot, verdict.decision) == ("a", Decision.ACCEPT), verdict.reason
    assert stage.weights(model) == {f"{model}-a-predictor": 100}
    assert stage.routes(model) == {model}  # nobody reaches a slot past it
    assert stage.state(model) == (Phase.STABLE, FIRST, "")
    assert "already" in stage.launch(model, FIRST)[1].reason


def a_slot_is_ready_when_all_of_its_replicas_are(stage: Stage, model: str) -> None:
    _, verdict = stage.launch(model, FIRST, replicas=3)

    found = stage.somebody.get(resources.DEPLOYMENT, f"{model}-a-predictor")
    assert verdict.passes, verdict.reason
    assert found["status"]["availableReplicas"] == 3


def a_healthy_candidate_is_dark_then_promoted_and_the_next_takes_the_free_slot(
    stage: Stage, model: str
) -> None:
    stage.launch(model, FIRST)
    version, verdict = stage.launch(model, BETTER)
    assert (version.slot, verdict.decision) == ("b", Decision.ACCEPT), verdict.reason
    assert stage.weights(model) == {f"{model}-a-predictor": 100, f"{model}-b-predictor": 0}
    assert stage.state(model) == (Phase.DARK, FIRST, BETTER)

    verdict = stage.rolled_out(model)
    assert verdict.decision is Decision.PROMOTE, verdict.reason
    assert stage.weights(model) == {f"{model}-b-predictor": 100}
    assert stage.state(model) == (Phase.STABLE, BETTER, "")
    until(lambda: slots.stopped(stage.somebody, f"{model}-a"))

    version, verdict = stage.launch(model, THIRD)
    assert (version.slot, verdict.decision) == ("a", Decision.ACCEPT), verdict.reason


def a_candidate_that_errs_is_rolled_back(stage: Stage, model: str) -> None:
    stage.launch(model, FIRST)
    stage.launch(model, BAD)

    verdict = stage.rolled_out(model, min_requests=400)

    assert verdict.decision is Decision.ROLL_BACK, verdict.reason
    assert stage.weights(model) == {f"{model}-a-predictor": 100}
    assert stage.state(model) == (Phase.STABLE, FIRST, "")
    until(lambda: slots.stopped(stage.somebody, f"{model}-b"))


def weights_move_without_a_change_to_any_pod(stage: Stage, model: str) -> None:
    stage.launch(model, FIRST)
    stage.launch(model, BETTER)
    before = stage.generations(model)
    run = stage.rollout(model)

    run._begin()
    run._turn()

    assert stage.weights(model) == {f"{model}-a-predictor": 80, f"{model}-b-predictor": 20}
    assert stage.generations(model) == before


def a_tampered_release_is_refused_with_what_its_pod_says(stage: Stage, model: str) -> None:
    stage.launch(model, FIRST)

    _, verdict = stage.launch(model, TAMPERED)

    assert verdict.decision is Decision.REFUSE
    assert "does not match its statement" in verdict.reason
    assert stage.weights(model) == {f"{model}-a-predictor": 100}
    assert stage.state(model) == (Phase.STABLE, FIRST, "")


def a_release_that_cannot_be_fetched_is_no_verdict(stage: Stage, model: str) -> None:
    stage.launch(model, FIRST)

    with pytest.raises(InfrastructureError, match="store did not answer; run again") as caught:
        stage.launch(model, UNREACHED)

    assert caught.value.code == "release-not-fetched"
    assert stage.state(model) == (Phase.STARTING, FIRST, UNREACHED)


def of_two_rollouts_the_second_is_refused(stage: Stage, model: str) -> None:
    stage.launch(model, FIRST)
    stage.launch(model, BETTER)
    first, second = stage.rollout(model), stage.rollout(model)
    first._begin()

    with pytest.raises(Refused, match="another run has moved it") as caught:
        second.run()
    assert caught.value.code == "rollout-moved"
    with pytest.raises(Refused, match="in progress"):
        stage.launch(model, BAD)


def of_two_deployments_that_read_one_state_the_second_is_refused(stage: Stage, model: str) -> None:
    stage.launch(model, FIRST)
    first, second = (Record.open(stage.cluster, model) for _ in range(2))

    first.change(phase=Phase.STARTING, candidate=Version("b", uri(model, BETTER)))

    with pytest.raises(Refused, match="another run has moved it"):
        second.change(phase=Phase.STARTING, candidate=Version("b", uri(model, BAD)))
    assert stage.state(model) == (Phase.STARTING, FIRST, BETTER)


def a_weight_that_somebody_changed_is_a_conflict_that_names_them(stage: Stage, model: str) -> None:
    stage.launch(model, FIRST)
    found = stage.somebody.get(resources.HTTP_ROUTE, model)
    found["spec"]["rules"][0]["backendRefs"][0]["weight"] = 7
    _put(stage.somebody, found, manager="kubectl-edit")

    with pytest.raises(Conflict, match=r"kubectl-edit.*\.spec\.rules") as caught:
        stage.launch(model, BETTER)
    assert caught.value.code == "kubernetes-conflict"


def _put(cluster: Cluster, manifest: Manifest, *, manager: str) -> None:
    """Replace an object under another manager's name."""
    metadata = manifest["metadata"]
    path = resources.of(manifest).path(metadata["namespace"], metadata["name"])
    url = f"{cluster.api.configuration.host}{path}"
    headers = {**cluster.api.default_headers, "Content-Type": "application/json"}
    query = [("fieldManager", manager)]
    cluster.api.request("PUT", url, query_params=query, headers=headers, body=manifest)


ALL = [
    a_first_release_gets_all_traffic,
    a_slot_is_ready_when_all_of_its_replicas_are,
    a_healthy_candidate_is_dark_then_promoted_and_the_next_takes_the_free_slot,
    a_candidate_that_errs_is_rolled_back,
    weights_move_without_a_change_to_any_pod,
    a_tampered_release_is_refused_with_what_its_pod_says,
    a_release_that_cannot_be_fetched_is_no_verdict,
    of_two_rollouts_the_second_is_refused,
    of_two_deployments_that_read_one_state_the_second_is_refused,
    a_weight_that_somebody_changed_is_a_conflict_that_names_them,
]
NAMES = [claim.__name__ for claim in ALL]
