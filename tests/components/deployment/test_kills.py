"""A rollout that is cut off at any of its writes, and taken up again, ends in the same place.

For each backend, in memory: every write of a whole rollout is once the last one, cut off before
it is made or before it is answered. Meanwhile no version gets traffic that has fewer pods than it
should.
"""

import dataclasses

import pytest

from components.deployment.record import Phase, Record
from components.deployment.traffic import choosing
from components.deployment.traffic.interface import Backend
from tests.cluster.claims import BAD, BETTER, FIRST, Stage
from tests.cluster.standin import kills
from tests.cluster.standin.kills import REPLICAS, Cut, Cutting
from tests.cluster.standin.offline import World
from tests.components.deployment import world as worlds

pytestmark = pytest.mark.slow

STORIES = {
    "promoted": (kills.promoted, BETTER, BETTER, "b"),
    "rolled back": (kills.rolled_back, BAD, FIRST, "a"),
}


def watch(world: World, stage: Stage) -> None:
    """Hold at every turn that who gets traffic has its pods."""

    def looked() -> None:
        for slot, share in stage.given("m").items():
            there = sum(
                one.get("status", {}).get("availableReplicas", 0)
                for one in stage.deployments("m", slot)
            )
            assert there >= REPLICAS, f"{share} % on {there} pods in slot {slot}"

    world.looked = looked


def set_up(
    patch: pytest.MonkeyPatch, backend: Backend, cut: Cut = Cut.KILLED
) -> tuple[World, Stage, Cutting]:
    """Make a world, and a stage in it whose writes can be cut off."""
    world = worlds.made(patch)
    stage = worlds.stage(world, backend)
    cutting = Cutting(stage.cluster.api, cut)
    cluster = dataclasses.replace(stage.cluster, api=cutting)
    return world, dataclasses.replace(stage, cluster=cluster), cutting


@pytest.mark.parametrize("cut", Cut)
@pytest.mark.parametrize("name", STORIES)
@pytest.mark.parametrize("backend", Backend)
def test_cut_off_at_any_write_it_ends_in_the_same_place(
    backend: Backend, name: str, cut: Cut
) -> None:
    story, candidate, serves, slot = STORIES[name]
    for writes in range(60):
        with pytest.MonkeyPatch.context() as patch:
            world, stage, cutting = set_up(patch, backend, cut)
            stage.launch("m", FIRST, replicas=REPLICAS)
            watch(world, stage)
            cutting.writes.clear()
            cutting.at = kills.at(writes)
            if not kills.survived(story, stage, "m", candidate):
                story(stage, "m", candidate)

            assert stage.state("m") == (Phase.STABLE, serves, ""), writes
            assert stage.given("m") == {slot: 100}, writes
        if cutting.at is not None:
            assert writes > 8
            return
    pytest.fail("a rollout has no end")


@pytest.mark.parametrize("cut", Cut)
@pytest.mark.parametrize("backend", Backend)
def test_a_first_release_cut_off_at_any_write_serves_in_the_end(backend: Backend, cut: Cut) -> None:
    for writes in range(20):
        with pytest.MonkeyPatch.context() as patch:
            _, stage, cutting = set_up(patch, backend, cut)
            cutting.at = kills.at(writes)
            if not kills.survived(first, stage, "m", FIRST):
                first(stage, "m", FIRST)
            assert stage.given("m") == {"a": 100}, writes
        if cutting.at is not None:
            return
    pytest.fail("a deployment has no end")


def first(stage: Stage, model: str, release: str) -> None:
    assert stage.launch(model, release)[1].passes
    assert choosing.taken(Record.open(stage.somebody, model)).backend == stage.backend
