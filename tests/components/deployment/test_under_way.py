"""What happens beside a rollout: candidates that went to sleep, deployments, rollbacks by hand."""

import contextlib
import dataclasses
import os
import signal
import types

import pytest

from components.deployment import slots
from components.deployment.readiness import Look
from components.deployment.record import Phase, Record
from components.deployment.roll_back.back import Back, roll_back
from components.deployment.roll_out.component import roll_out
from components.deployment.roll_out.rollout import Rollout
from components.deployment.slots import Version
from components.deployment.status.standing import standing
from components.deployment.traffic.interface import Backend
from components.deployment.traffic.probing import SETTINGS
from components.foundation.errors import InfrastructureError, Refused
from components.foundation.kubernetes.client import Cluster, Manifest
from components.foundation.verdict import Decision, Verdict
from tests.cluster.claims import BETTER, FIRST, THIRD, Stage
from tests.cluster.standin.offline import World
from tests.components.deployment import world as worlds

BACKENDS = pytest.mark.parametrize("backend", Backend)
TWINS = pytest.mark.parametrize("backend", [Backend.TWINS])


@pytest.fixture
def stage(world: World, backend: Backend) -> Stage:
    """A champion, and a candidate that waits without traffic."""
    found = worlds.stage(world, backend)
    found.launch("m", FIRST)
    found.launch("m", BETTER)
    return found


def unready(patch: pytest.MonkeyPatch, stage: Stage, looks: int) -> None:
    """Let a candidate be not ready for so many looks."""
    kind = type(stage.rollout("m").traffic)
    look, left = kind.look, iter(range(looks))

    def seen(self: object, version: Version, **how: object) -> Look:
        if version.release.version == BETTER and next(left, None) is not None:
            return Look(waiting="no Deployment yet")
        return look(self, version, **how)  # type: ignore[arg-type]

    patch.setattr(kind, "look", seen)


def given(world: World, stage: Stage) -> set[str]:
    """Note from now on who gets traffic, at every turn."""
    slots_seen: set[str] = set()
    world.looked = lambda: slots_seen.update(stage.given("m"))
    return slots_seen


@BACKENDS
def test_a_candidate_that_lost_its_pods_while_it_waited_gets_no_request(
    stage: Stage, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    unready(monkeypatch, stage, 100)
    seen = given(world, stage)

    verdict = stage.rolled_out("m")

    assert verdict.decision is Decision.ROLL_BACK
    assert "ready" in verdict.reason
    assert seen == {"a"}


@BACKENDS
def test_a_candidate_that_is_ready_again_goes_on(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    unready(monkeypatch, stage, 2)
    run = stage.rollout("m")

    verdict = run.run()

    assert verdict.decision is Decision.PROMOTE, verdict.reason
    assert [point["weight"] for point in run.history][:3] == [0, 0, 20]


@TWINS
def test_time_without_traffic_is_no_baking(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    run = stage.rollout("m", bake_s=60)
    while run.record.state.phase is not Phase.BAKING:
        run._begin() if run.record.state.phase is Phase.DARK else run._turn()
    unready(monkeypatch, stage, 1)
    run._turn()
    before = run._trial.baked_s

    run._turn()

    assert run.history[-1]["weight"] == 0
    assert run._trial.baked_s == before


@BACKENDS
def test_the_champion_deployed_again_does_not_disturb_a_rollout(stage: Stage) -> None:
    run = stage.rollout("m")
    run._begin()
    run._turn()

    version, verdict = stage.launch("m", FIRST)
    run._turn()

    assert (version.slot, verdict.decision) == ("a", Decision.ACCEPT)
    assert len(run.history) == 2


@BACKENDS
def test_a_champion_keeps_its_replicas_and_that_is_said(stage: Stage, world: World) -> None:
    before = world.clock

    _, verdict = stage.launch("m", FIRST, replicas=2)

    assert verdict.decision is Decision.ACCEPT
    assert "keeps its capacity" in verdict.reason
    assert verdict.evidence["replicas"] == 1
    assert world.clock - before < 1


@BACKENDS
def test_a_deployment_does_not_undo_a_rollback_that_came_meanwhile(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = type(stage.rollout("m").traffic)
    wait = kind.wait

    def waited(self: object, version: Version, **how: object) -> Look:
        seen = wait(self, version, **how)  # type: ignore[arg-type]
        roll_back(Record.open(stage.cluster, "m"), Back(list[Verdict]().append, lambda one: one))
        return seen

    monkeypatch.setattr(kind, "wait", waited)
    with pytest.raises(Refused, match="another run has moved it"):
        stage.launch("m", BETTER)

    assert stage.state("m") == (Phase.STABLE, FIRST, "")
    assert stage.shares("m") == {"a": 100}


@BACKENDS
def test_a_rollout_that_may_no_longer_write_its_record_leaves_the_champion_everything(
    stage: Stage, world: World
) -> None:
    run = stage.rollout("m")
    run._begin()
    run._turn()
    world.server.forbidden.add("/api/v1/namespaces/default/configmaps/m-rollout")

    with pytest.raises(Refused, match="Role with update on configmaps"):
        run.run()

    world.server.forbidden.clear()
    assert stage.given("m") == {"a": 100}


@TWINS
def test_by_hand_a_right_that_lacks_is_not_told_as_another_run(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = Record.open(stage.cluster, "m")

    def replace(self: Cluster, manifest: Manifest) -> Manifest:
        raise Refused("PUT ConfigMap: no right", code="kubernetes-forbidden")

    monkeypatch.setattr(Cluster, "replace", replace)

    with pytest.raises(Refused) as caught:
        roll_back(record, Back(list[Verdict]().append, lambda version: version))

    assert caught.value.code == "kubernetes-forbidden"


@TWINS
def test_a_slot_that_does_not_stop_is_told_and_no_other_release_comes_into_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "stopped", lambda cluster, service: False)

    with pytest.raises(InfrastructureError, match="still has a Deployment after 30 s") as caught:
        stage.launch("m", THIRD)

    assert caught.value.code == "rollout-stuck"
    assert stage.given("m") == {"a": 100}


@BACKENDS
def test_verdicts_and_status_say_what_splits_the_traffic_and_why(
    world: World, backend: Backend
) -> None:
    hidden = SETTINGS[0]
    world.server.forbidden.add(hidden)
    stage = worlds.stage(world, backend)
    stage.launch("m", FIRST)
    _, deployed = dataclasses.replace(stage, backend="auto").launch("m", BETTER)
    rolled = stage.rolled_out("m")

    for verdict in (deployed, rolled):
        because = verdict.evidence["backend_because"]
        assert verdict.evidence["backend"] == stage.backend
        assert because["asked"] == stage.backend
        assert because["found"]["routes"] is True
        assert because["found"]["unseen"] == [hidden]
    told = standing(Record.open(stage.cluster, "m"))
    assert told.because == f"asked for {stage.backend}: {because['reason']}; not seen: {hidden}"
    assert told.to_dict()["backend_because"] == because


@TWINS
def test_a_step_that_is_told_to_end_leaves_the_champion_all_traffic(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollout = stage.rollout("m")
    shares = []

    def ended(_: float) -> None:
        shares.append(stage.given("m"))
        os.kill(os.getpid(), signal.SIGTERM)

    rollout.sleep = ended
    monkeypatch.setattr(Rollout, "connect", lambda *_, **__: rollout)
    here = types.SimpleNamespace(environment={}, record=None)
    monkeypatch.setattr("components.step.step", lambda _: contextlib.nullcontext(here))

    with pytest.raises(SystemExit) as left:
        roll_out.python_func(model_name="m", report=None, history=None)

    assert left.value.code == 143
    assert shares == [{"a": 80, "b": 20}]
    assert stage.given("m") == {"a": 100}
    assert stage.state("m") == (Phase.CANARY, FIRST, BETTER)
