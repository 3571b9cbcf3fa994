"""What somebody changes while a rollout judges is noticed at the next look."""

from collections.abc import Callable
from typing import Any

import pytest

from components.deployment.traffic.interface import Backend
from components.foundation.errors import Refused
from components.foundation.kubernetes.client import Manifest
from components.foundation.kubernetes.resources import INFERENCE_SERVICE
from components.foundation.verdict import Decision
from inference.plane.objects import Key
from tests.cluster.claims import BETTER, FIRST
from tests.cluster.standin.offline import NAMESPACE, World
from tests.components.deployment import world as worlds

Edit = Callable[[Manifest], None]


def env(predictor: Manifest) -> None:
    predictor["model"]["env"] = [{"name": "THREADS", "value": "1"}]


def image(predictor: Manifest) -> None:
    predictor["model"]["image"] = "registry.falaj.example/falaj/other"


def replicas(predictor: Manifest) -> None:
    predictor["minReplicas"] = 7
    predictor["maxReplicas"] = 9


def arguments(predictor: Manifest) -> None:
    del predictor["model"]["args"]


def edited(world: World, backend: Backend, slot: str, edit: Edit) -> None:
    """Change a version's predictor as somebody with kubectl would."""
    name = f"m-{slot}" if backend is Backend.TWINS else "m"
    found = world.api.get(INFERENCE_SERVICE, name)
    canary = found["spec"].get("canary", [])
    ours = canary[0]["predictor"] if canary and slot == "b" else found["spec"]["predictor"]
    edit(ours)
    key = Key(INFERENCE_SERVICE, NAMESPACE, name)
    world.server.objects.replace(key, found, manager="kubectl-edit")


@pytest.mark.parametrize("edit", [env, image, replicas, arguments], ids=lambda one: one.__name__)
@pytest.mark.parametrize("backend", Backend)
def test_a_template_that_is_edited_is_rolled_back_with_what_was_changed(
    world: World, backend: Backend, edit: Edit
) -> None:
    stage = worlds.stage(world, backend)
    stage.launch("m", FIRST)
    stage.launch("m", BETTER)
    run = stage.rollout("m")
    run._begin()
    run._turn()
    edited(world, backend, "b", edit)

    verdict = run.run()

    assert verdict.decision is Decision.ROLL_BACK
    assert "was changed while it was judged" in verdict.reason
    assert "spec." in verdict.reason
    if edit in (env, image):
        assert "by kubectl-edit" in verdict.reason
    assert stage.given("m") == {"a": 100}
    world.turn()
    assert stage.stopped("m", "b")


def test_a_champion_that_is_edited_is_no_measure_any_more(world: World) -> None:
    stage = worlds.stage(world, Backend.TWINS)
    stage.launch("m", FIRST)
    stage.launch("m", BETTER)
    run = stage.rollout("m")
    run._begin()
    run._turn()
    edited(world, Backend.TWINS, "a", env)

    verdict = run.run()

    assert verdict.decision is Decision.ROLL_BACK
    assert "m-a: spec.predictor.model.env by kubectl-edit" in verdict.reason


def test_what_was_changed_before_is_part_of_what_is_judged(world: World) -> None:
    stage = worlds.stage(world, Backend.TWINS)
    stage.launch("m", FIRST)
    edited(world, Backend.TWINS, "a", env)
    stage.launch("m", BETTER)

    assert stage.rolled_out("m").decision is Decision.PROMOTE


@pytest.mark.parametrize("backend", Backend)
def test_the_same_release_with_other_settings_is_refused_half_way(
    world: World, backend: Backend
) -> None:
    stage = worlds.stage(world, backend)
    stage.launch("m", FIRST)
    stage.launch("m", BETTER)
    stage.rollout("m")._begin()

    with pytest.raises(Refused, match="with another capacity"):
        stage.launch("m", BETTER, replicas=2)
    told: Any = stage.launch("m", BETTER)
    assert "being rolled out already" in told[1].reason
