"""Deployments and rollouts on a plane whose pods run stand-ins."""

import contextlib
import dataclasses
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from components.deployment import readiness, slots
from components.deployment.deploy.launch import Launch
from components.deployment.deploy.launch import launch as launch_telling
from components.deployment.record import Phase, Record, State
from components.deployment.roll_out import report
from components.deployment.roll_out.counters import Metrics
from components.deployment.roll_out.rollout import Rollout
from components.deployment.roll_out.trial import Rules
from components.deployment.route import Route
from components.deployment.slots import Capacity, Runtime, Version
from components.deployment.traffic import choosing
from components.deployment.traffic.twins import Twins
from components.foundation.errors import InfrastructureError, Refused
from components.foundation.kubernetes import resources
from components.foundation.kubernetes.client import Cluster
from components.foundation.sealing.uri import ReleaseUri
from components.foundation.verdict import Decision, Verdict
from inference.plane.launch import Plane

RULES = Rules(
    steps=(20, 50), min_requests=60, interval_s=0.2, max_seconds=40, bake_s=0.5, margin=0.15
)
FIRST, BETTER, BAD, TAMPERED = "aaaaaaaaaa00", "bbbbbbbbbb00", "cccccccccc40", "ffffffffffff"
UNREACHED = "eeeeeeeeeeee"


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the code may catch it."""


def uri(model: str, version: str) -> ReleaseUri:
    return ReleaseUri("falaj-models", model, version)


def how(model: str, *, timeout_s: float = 10) -> Launch:
    return Launch(Route(model, f"{model}.localhost", "falaj"), Capacity(), timeout_s=timeout_s)


def launch(
    cluster: Cluster, release: ReleaseUri, how: Launch, told: list[Verdict] | None = None
) -> tuple[Version, Verdict]:
    return launch_telling(
        cluster, release, how, tell=(told if told is not None else list[Verdict]()).append
    )


def weights(cluster: Cluster, model: str) -> dict[str, int]:
    rules = cluster.get(resources.HTTP_ROUTE, model)["spec"]["rules"]
    return {b["name"].removesuffix("-predictor"): b["weight"] for b in rules[0]["backendRefs"]}


def rollout(
    cluster: Cluster,
    plane: Plane,
    model: str,
    told: list[Verdict] | None = None,
    **changes: Any,
) -> Rollout:
    return Rollout(
        Record.open(cluster, model),
        choosing.taken(Record.open(cluster, model)),
        Metrics(plane.api),
        dataclasses.replace(RULES, **changes),
        tell=(told if told is not None else list[Verdict]()).append,
    )


@contextlib.contextmanager
def traffic(plane: Plane, model: str) -> Iterator[list[tuple[int, str]]]:
    """Send requests, the first before the block begins; collect statuses and versions."""
    begun, done, answers = threading.Event(), threading.Event(), []

    def send() -> None:
        with httpx.Client(base_url=plane.gateway, headers={"host": f"{model}.localhost"}) as client:
            while not done.is_set():
                reply = client.post("/v2/models/m/infer", json={})
                answers.append((reply.status_code, reply.json()["model_version"]))
                begun.set()

    thread = threading.Thread(target=send)
    thread.start()
    try:
        assert begun.wait(30), "no answer in 30 s"
        yield answers
    finally:
        done.set()
        thread.join()


@pytest.fixture
def model(cluster: Cluster, unique: str) -> str:
    """A model whose first release serves."""
    version, verdict = launch(cluster, uri(unique, FIRST), how(unique))
    assert (version.slot, verdict.decision) == ("a", Decision.ACCEPT)
    return unique


def test_the_first_release_gets_all_traffic(cluster: Cluster, plane: Plane, model: str) -> None:
    assert weights(cluster, model) == {f"{model}-a": 100}
    with traffic(plane, model) as answers:
        pass
    assert set(answers) <= {(200, FIRST)}


def test_deploying_the_champion_again_changes_nothing(cluster: Cluster, model: str) -> None:
    before = cluster.get(resources.INFERENCE_SERVICE, f"{model}-a")["metadata"]["generation"]

    version, verdict = launch(cluster, uri(model, FIRST), how(model))

    after = cluster.get(resources.INFERENCE_SERVICE, f"{model}-a")["metadata"]["generation"]
    assert (version.slot, verdict.decision, after) == ("a", Decision.ACCEPT, before)
    assert "already" in verdict.reason


def test_a_release_keeps_its_runtime_until_it_is_stopped(cluster: Cluster, model: str) -> None:
    torch = dataclasses.replace(how(model), runtime=Runtime.TORCH)

    def served() -> tuple[str, str]:
        spec = cluster.get(resources.INFERENCE_SERVICE, f"{model}-b")["spec"]["predictor"]["model"]
        return spec["runtime"], spec["modelFormat"]["name"]

    launch(cluster, uri(model, BETTER), torch)
    assert served() == ("falaj-torch", "pytorch")

    candidate = Record.open(cluster, model).state.candidate
    assert candidate is not None
    assert candidate.runtime is Runtime.TORCH

    slots.stop(cluster, candidate)
    assert served() == ("falaj-torch", "pytorch")


def test_a_later_release_runs_dark_beside_the_champion(cluster: Cluster, model: str) -> None:
    version, verdict = launch(cluster, uri(model, BETTER), how(model))

    assert (version.slot, verdict.decision) == ("b", Decision.ACCEPT)
    assert weights(cluster, model) == {f"{model}-a": 100, f"{model}-b": 0}
    assert Record.open(cluster, model).state.phase is Phase.DARK


def test_a_tampered_release_is_refused_with_the_reason_and_the_champion_serves_on(
    cluster: Cluster, plane: Plane, model: str
) -> None:
    with traffic(plane, model) as answers:
        _, verdict = launch(cluster, uri(model, TAMPERED), how(model))

    assert verdict.decision is Decision.REFUSE
    assert "does not match its statement" in verdict.reason
    assert set(answers) == {(200, FIRST)}
    assert weights(cluster, model) == {f"{model}-a": 100}
    assert slots.stopped(cluster, f"{model}-b")


def test_a_good_release_can_follow_a_refused_one(cluster: Cluster, model: str) -> None:
    launch(cluster, uri(model, TAMPERED), how(model))

    version, verdict = launch(cluster, uri(model, BETTER), how(model))

    assert (version.slot, verdict.decision) == ("b", Decision.ACCEPT)


def test_a_failure_that_a_slot_still_shows_is_told_from_a_new_one(
    cluster: Cluster, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch(cluster, uri(model, TAMPERED), how(model))
    old = {"message": "of the release before"}
    seen: list[Any] = []
    monkeypatch.setattr(readiness, "last_failure", lambda service: old)

    def wait(*arguments: Any, stale: Any, **options: Any) -> readiness.Look:
        seen.append(stale)
        return readiness.Look()

    monkeypatch.setattr(Twins, "wait", wait)
    launch(cluster, uri(model, BETTER), how(model))
    launch(cluster, uri(model, BETTER), how(model))

    assert seen == [old, None]


def test_a_release_that_cannot_be_fetched_is_no_verdict_and_gets_no_traffic(
    cluster: Cluster, plane: Plane, model: str
) -> None:
    for _ in range(2):  # the second waits for a failure of its own
        began = time.monotonic()
        with pytest.raises(InfrastructureError, match=r"store did not answer; run again") as caught:
            launch(cluster, uri(model, UNREACHED), how(model, timeout_s=60))
        assert time.monotonic() - began < 30
        assert caught.value.code == "release-not-fetched"

    state = Record.open(cluster, model).state
    assert (state.phase, state.champion) == (Phase.STARTING, Version("a", uri(model, FIRST)))
    assert weights(cluster, model) == {f"{model}-a": 100}
    assert launch(cluster, uri(model, FIRST), how(model))[1].passes
    assert launch(cluster, uri(model, BETTER), how(model))[1].passes


def test_what_was_promoted_before_is_not_told_of_a_candidate_that_never_started(
    cluster: Cluster, plane: Plane, model: str
) -> None:
    launch(cluster, uri(model, BETTER), how(model))
    with traffic(plane, model):
        assert rollout(cluster, plane, model, min_requests=20, margin=0.5).run().passes
    with pytest.raises(InfrastructureError):
        launch(cluster, uri(model, UNREACHED), how(model))

    assert rollout(cluster, plane, model).run().decision is Decision.REFUSE
    assert weights(cluster, model) == {f"{model}-b": 100}


def test_another_candidate_takes_the_place_of_one_that_waits(cluster: Cluster, model: str) -> None:
    launch(cluster, uri(model, BAD), how(model))

    version, verdict = launch(cluster, uri(model, BETTER), how(model))

    assert (version.slot, verdict.decision) == ("b", Decision.ACCEPT)
    assert Record.open(cluster, model).state.candidate == version


def test_a_model_whose_first_release_is_refused_has_no_champion(
    cluster: Cluster, unique: str
) -> None:
    _, verdict = launch(cluster, uri(unique, TAMPERED), how(unique))

    assert verdict.decision is Decision.REFUSE
    assert Record.open(cluster, unique).state.champion is None
    assert weights(cluster, unique) == {}
    assert launch(cluster, uri(unique, FIRST), how(unique))[1].passes


def test_a_healthy_candidate_is_promoted_and_the_old_slot_stopped(
    cluster: Cluster, plane: Plane, model: str
) -> None:
    launch(cluster, uri(model, BETTER), how(model))

    with traffic(plane, model) as answers:
        run = rollout(cluster, plane, model)
        verdict = run.run()

    assert verdict.decision is Decision.PROMOTE, verdict.reason
    assert weights(cluster, model) == {f"{model}-b": 100}
    assert slots.stopped(cluster, f"{model}-a")
    assert {status for status, _ in answers} == {200}
    assert answers[-1] == (200, BETTER)
    state = Record.open(cluster, model).state
    assert (state.phase, state.candidate) == (Phase.STABLE, None)
    assert [one.release.version for one in state.good] == [BETTER, FIRST]
    assert all(one.capacity for one in state.good)
    assert run.history[0]["weight"] == 20
    assert "promote" in report.render(verdict, run.history)


def test_a_candidate_that_errs_is_rolled_back_and_nobody_sees_errors_after(
    cluster: Cluster, plane: Plane, model: str
) -> None:
    launch(cluster, uri(model, BAD), how(model))

    with traffic(plane, model) as answers:
        verdict = rollout(cluster, plane, model).run()
        decided = len(answers)

    assert verdict.decision is Decision.ROLL_BACK, verdict.reason
    assert verdict.evidence["e_value"] >= 1 / RULES.alpha
    assert {version for _, version in answers[decided + 1 :]} <= {FIRST}
    assert weights(cluster, model) == {f"{model}-a": 100}
    assert slots.stopped(cluster, f"{model}-b")
    json.dumps(verdict.to_dict(), allow_nan=False)


def test_without_metrics_it_holds_and_ends_inconclusive(
    cluster: Cluster, plane: Plane, model: str
) -> None:
    launch(cluster, uri(model, BETTER), how(model))
    run = rollout(cluster, plane, model, max_seconds=1)
    run.metrics = Metrics("http://127.0.0.1:9")

    with traffic(plane, model):
        verdict = run.run()

    assert verdict.decision is Decision.INCONCLUSIVE
    assert weights(cluster, model) == {f"{model}-a": 100}


def test_without_traffic_it_ends_inconclusive(cluster: Cluster, plane: Plane, model: str) -> None:
    launch(cluster, uri(model, BETTER), how(model))

    verdict = rollout(cluster, plane, model, max_seconds=1).run()

    assert verdict.decision is Decision.INCONCLUSIVE


@pytest.mark.parametrize("writes", [0, 1, 2, 3, 6, 10])
def test_a_rollout_killed_at_any_write_goes_on_to_the_same_end(
    cluster: Cluster, plane: Plane, model: str, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    launch(cluster, uri(model, BETTER), how(model))
    told: list[Verdict] = []
    with traffic(plane, model):
        with monkeypatch.context() as patched:
            patched.setattr(Cluster, "_call", _dying(Cluster._call, after=writes))
            with pytest.raises(Killed):
                rollout(cluster, plane, model, told, min_requests=20, margin=0.5).run()

        run = rollout(cluster, plane, model, told, min_requests=20, margin=0.5)
        verdict = run.run()

    assert verdict.decision is Decision.PROMOTE, verdict.reason
    assert weights(cluster, model) == {f"{model}-b": 100}
    assert slots.stopped(cluster, f"{model}-a")
    assert told[-1] == verdict
    assert list(dict.fromkeys(point["weight"] for point in run.history)) == [20, 50, 100]


@pytest.mark.parametrize("writes", [0, 1, 2])
def test_a_decision_whose_run_was_killed_is_told_by_the_deployment_that_comes_after(
    cluster: Cluster, plane: Plane, model: str, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    launch(cluster, uri(model, BETTER), how(model))
    told: list[Verdict] = []
    with traffic(plane, model), monkeypatch.context() as patched:
        patched.setattr(Record, "move", _then_dying(Record.move, patched, writes))
        with pytest.raises(Killed):
            rollout(cluster, plane, model, told, min_requests=20, margin=0.5).run()
    told.clear()

    launch(cluster, uri(model, BETTER), how(model), told)
    run = rollout(cluster, plane, model, told)
    verdict = run.run()

    assert verdict.decision is Decision.PROMOTE
    assert told == [verdict]
    assert list(dict.fromkeys(point["weight"] for point in run.history)) == [20, 50, 100]


def _then_dying(
    move: Callable[..., None], patched: pytest.MonkeyPatch, writes: int
) -> Callable[..., None]:
    """Make a record whose owner dies so many writes after it has written its decision."""

    def wrapped(self: Record, state: State) -> None:
        move(self, state)
        if state.phase is Phase.CLEARING:
            patched.setattr(Cluster, "_call", _dying(Cluster._call, after=writes))

    return wrapped


def _dying(call: Callable[..., Any], *, after: int) -> Callable[..., Any]:
    """Make an API whose caller dies after so many writes, before the next."""
    writes = iter(range(after))

    def wrapped(self: Cluster, verb: str, *arguments: Any, **options: Any) -> Any:
        if verb != "GET" and next(writes, None) is None:
            raise Killed
        return call(self, verb, *arguments, **options)

    return wrapped


def unheard(nth: int) -> Callable[[Verdict], None]:
    """Tell verdicts into a store that is away from the nth on."""
    heard = iter(range(nth))

    def tell(verdict: Verdict) -> None:
        if next(heard, None) is None:
            raise InfrastructureError("s3://a/b: the object store did not answer", code="x")

    return tell


@pytest.mark.parametrize(
    ("told", "phase"), [(0, Phase.CANARY), (1, Phase.CANARY), (2, Phase.BAKING)]
)
def test_what_cannot_be_told_is_not_done_and_the_champion_has_all_traffic_meanwhile(
    cluster: Cluster, plane: Plane, model: str, told: int, phase: Phase
) -> None:
    launch(cluster, uri(model, BETTER), how(model))
    run = rollout(cluster, plane, model, min_requests=20, margin=0.5)
    run.tell = unheard(told)

    with traffic(plane, model):
        with pytest.raises(InfrastructureError):
            run.run()
        state = Record.open(cluster, model).state
        assert (state.phase, state.champion) == (phase, Version("a", uri(model, FIRST)))
        assert weights(cluster, model) == {f"{model}-a": 100, f"{model}-b": 0}

        verdict = rollout(cluster, plane, model, min_requests=20, margin=0.5).run()

    assert verdict.decision is Decision.PROMOTE
    assert weights(cluster, model) == {f"{model}-b": 100}


def test_a_candidate_that_errs_loses_its_traffic_though_nobody_can_be_told(
    cluster: Cluster, plane: Plane, model: str
) -> None:
    launch(cluster, uri(model, BAD), how(model))
    run = rollout(cluster, plane, model)
    run.tell = unheard(0)

    with traffic(plane, model), pytest.raises(InfrastructureError):
        run.run()

    assert weights(cluster, model) == {f"{model}-a": 100}
    told: list[Verdict] = []
    assert rollout(cluster, plane, model, told).run().decision is Decision.ROLL_BACK
    assert [verdict.decision for verdict in told] == [Decision.ROLL_BACK]


def test_two_rollouts_of_one_model_do_not_go_on_together(
    cluster: Cluster, plane: Plane, model: str
) -> None:
    launch(cluster, uri(model, BETTER), how(model))
    first, second = rollout(cluster, plane, model), rollout(cluster, plane, model)
    first._begin()

    with pytest.raises(Refused, match="another run has moved it"):
        second.run()


def test_a_release_is_not_deployed_into_a_rollout_of_another(
    cluster: Cluster, plane: Plane, model: str
) -> None:
    launch(cluster, uri(model, BETTER), how(model))
    rollout(cluster, plane, model)._begin()

    with pytest.raises(Refused, match="in progress"):
        launch(cluster, uri(model, BAD), how(model))
    assert launch(cluster, uri(model, BETTER), how(model))[1].passes


def test_without_a_candidate_nothing_changes(cluster: Cluster, plane: Plane, model: str) -> None:
    verdict = rollout(cluster, plane, model).run()

    assert verdict.decision is Decision.STABLE
    assert isinstance(verdict, Verdict)
