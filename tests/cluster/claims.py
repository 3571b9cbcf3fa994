"""What deploy and roll_out claim, on whatever speaks the Kubernetes API.

Each claim is given a stage and the name of a model that no other has. `tests/cluster` plays them
on a real API server, `tests/inference/plane` on the plane.
"""

import dataclasses
import functools
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import pytest

from components.deployment import slots
from components.deployment.deploy.launch import Launch
from components.deployment.deploy.launch import launch as launch_telling
from components.deployment.record import Phase, Record
from components.deployment.roll_back.back import Back, roll_back
from components.deployment.roll_out.counters import Metrics
from components.deployment.roll_out.rollout import Rollout
from components.deployment.roll_out.trial import Rules
from components.deployment.route import Route
from components.deployment.slots import Capacity, Version
from components.deployment.traffic import choosing
from components.deployment.traffic.interface import Backend, Shares
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
        backend: what splits the traffic.
    """

    cluster: Cluster
    somebody: Cluster
    metrics: str
    traffic: Callable[[str], AbstractContextManager[object]]
    backend: str = "auto"

    def launch(
        self, model: str, version: str, *, replicas: int = 1, timeout_s: float = 60
    ) -> tuple[Version, Verdict]:
        capacity = Capacity(replicas, max(2, replicas))
        way = Route(model, f"{model}.localhost", "falaj")
        how = Launch(way, capacity, timeout_s=timeout_s, backend=self.backend)
        return launch_telling(self.cluster, uri(model, version), how, tell=list[Verdict]().append)

    def rollout(self, model: str, **changes: Any) -> Rollout:
        record, rules = Record.open(self.cluster, model), dataclasses.replace(RULES, **changes)
        traffic, metrics = choosing.taken(record), Metrics(self.metrics)
        tell = list[Verdict]().append
        return Rollout(record, traffic, metrics, rules, tell, lambda seconds: time.sleep(seconds))

    def rolled_out(self, model: str, **changes: Any) -> Verdict:
        with self.traffic(model):
            return self.rollout(model, **changes).run()

    def shares(self, model: str) -> Shares:
        """Return the percent of each slot that is in the split, as it is really routed."""
        return choosing.taken(Record.open(self.somebody, model)).in_force()

    def given(self, model: str) -> Shares:
        """Return the percent of each slot that gets any."""
        return {slot: share for slot, share in self.shares(model).items() if share}

    def routes(self, model: str) -> set[str]:
        """Return every route of a model, whoever made it."""
        names = (one["metadata"]["name"] for one in self.somebody.list(resources.HTTP_ROUTE))
        return {name for name in names if name.startswith(model)}

    def state(self, model: str) -> tuple[Phase, str, str]:
        """Return the phase, and which releases are champion and candidate."""
        state = Record.open(self.somebody, model).state
        return state.phase, _version(state.champion), _version(state.candidate)

    def deployments(self, model: str, slot: str = "") -> list[Manifest]:
        """Return a model's Deployments, or those of one slot: its server is told which it is."""
        found = self.somebody.list(resources.DEPLOYMENT)
        ours = [one for one in found if one["metadata"]["name"].startswith(f"{model}-")]
        return [one for one in ours if not slot or f"--variant={slot}" in str(one["spec"])]

    def templates(self, model: str) -> dict[str, Manifest]:
        """Return what the pods of each Deployment are: a change restarts them."""
        found = self.deployments(model)
        return {one["metadata"]["name"]: one["spec"]["template"] for one in found}

    def stopped(self, model: str, slot: str) -> bool:
        if Record.open(self.somebody, model).state.backend == Backend.TWINS:
            return slots.stopped(self.somebody, f"{model}-{slot}")
        return not self.deployments(model, slot)


def _version(version: Version | None) -> str:
    return version.release.version if version else ""


def uri(model: str, version: str) -> ReleaseUri:
    return ReleaseUri("falaj-models", model, version)


def a_first_release_gets_all_traffic(stage: Stage, model: str) -> None:
    version, verdict = stage.launch(model, FIRST)

    assert (version.slot, verdict.decision) == ("a", Decision.ACCEPT), verdict.reason
    assert stage.given(model) == {"a": 100}
    assert stage.state(model) == (Phase.STABLE, FIRST, "")
    assert "already" in stage.launch(model, FIRST)[1].reason


def a_slot_is_ready_when_all_of_its_replicas_are(stage: Stage, model: str) -> None:
    _, verdict = stage.launch(model, FIRST, replicas=3)

    [found] = stage.deployments(model)
    assert verdict.passes, verdict.reason
    assert found["status"]["availableReplicas"] == 3


def a_healthy_candidate_is_dark_then_promoted_and_the_next_takes_the_free_slot(
    stage: Stage, model: str
) -> None:
    stage.launch(model, FIRST)
    version, verdict = stage.launch(model, BETTER)
    assert (version.slot, verdict.decision) == ("b", Decision.ACCEPT), verdict.reason
    assert stage.given(model) == {"a": 100}
    assert stage.state(model) == (Phase.DARK, FIRST, BETTER)

    verdict = stage.rolled_out(model)
    assert verdict.decision is Decision.PROMOTE, verdict.reason
    assert stage.given(model) == {"b": 100}
    assert stage.state(model) == (Phase.STABLE, BETTER, "")
    until(lambda: stage.stopped(model, "a"))

    version, verdict = stage.launch(model, THIRD)
    assert (version.slot, verdict.decision) == ("a", Decision.ACCEPT), verdict.reason


def a_candidate_that_errs_is_rolled_back(stage: Stage, model: str) -> None:
    stage.launch(model, FIRST)
    stage.launch(model, BAD)

    verdict = stage.rolled_out(model, min_requests=400)

    assert verdict.decision is Decision.ROLL_BACK, verdict.reason
    assert stage.given(model) == {"a": 100}
    assert stage.state(model) == (Phase.STABLE, FIRST, "")
    until(lambda: stage.stopped(model, "b"))


def weights_move_without_a_change_to_any_pod(stage: Stage, model: str) -> None:
    stage.launch(model, FIRST)
    stage.launch(model, BETTER)
    before = stage.templates(model)
    run = stage.rollout(model)

    run._begin()
    run._turn()

    assert stage.given(model) == {"a": 80, "b": 20}
    assert stage.templates(model) == before


def a_tampered_release_is_refused_with_what_its_pod_says(stage: Stage, model: str) -> None:
    stage.launch(model, FIRST)

    _, verdict = stage.launch(model, TAMPERED)

    assert verdict.decision is Decision.REFUSE
    assert "does not match its statement" in verdict.reason
    assert stage.given(model) == {"a": 100}
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


def no_slot_has_a_route_of_its_own(stage: Stage, model: str) -> None:
    stage.launch(model, FIRST)

    assert stage.routes(model) == {model}  # nobody reaches a slot past it


def a_champion_of_before_comes_back_by_hand(stage: Stage, model: str) -> None:
    stage.launch(model, FIRST)
    stage.launch(model, BETTER)
    assert stage.rolled_out(model).decision is Decision.PROMOTE
    until(lambda: stage.stopped(model, "a"))

    how = Back(list[Verdict]().append, whole=lambda version: version, timeout_s=60)
    verdict = roll_back(Record.open(stage.cluster, model), how)

    assert verdict.decision is Decision.ROLL_BACK, verdict.reason
    assert stage.shares(model) == {"a": 100}
    assert stage.state(model) == (Phase.STABLE, FIRST, "")


EVERYWHERE = [
    a_first_release_gets_all_traffic,
    a_slot_is_ready_when_all_of_its_replicas_are,
    a_healthy_candidate_is_dark_then_promoted_and_the_next_takes_the_free_slot,
    a_candidate_that_errs_is_rolled_back,
    weights_move_without_a_change_to_any_pod,
    a_tampered_release_is_refused_with_what_its_pod_says,
    a_release_that_cannot_be_fetched_is_no_verdict,
    of_two_rollouts_the_second_is_refused,
    of_two_deployments_that_read_one_state_the_second_is_refused,
]
BRIEFLY = [
    a_healthy_candidate_is_dark_then_promoted_and_the_next_takes_the_free_slot,
    a_tampered_release_is_refused_with_what_its_pod_says,
]
OF_TWINS = [
    a_champion_of_before_comes_back_by_hand,
    no_slot_has_a_route_of_its_own,
    a_weight_that_somebody_changed_is_a_conflict_that_names_them,
]
ALL = [*EVERYWHERE, *OF_TWINS]
NAMES = [claim.__name__ for claim in ALL]
