"""A rollout that is killed at any of its writes, and taken up again, ends in the same place.

For each backend, in memory: every write of a whole rollout is once the last one, cut off before
it is made. Meanwhile no version gets traffic that has fewer pods than it should.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from components.deployment.record import Phase, Record
from components.deployment.traffic import choosing
from components.deployment.traffic.interface import Backend
from components.foundation.verdict import Decision
from tests.cluster.claims import BAD, BETTER, FIRST, Stage
from tests.cluster.standin.offline import World
from tests.components.deployment import world as worlds

pytestmark = pytest.mark.slow
REPLICAS = 3
Story = Callable[[Stage], None]


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the code may catch it."""


@dataclass
class Killer:
    """Ends a run before its next write, once so many were made."""

    left: int | None = None
    writes: int = 0

    def __call__(self, verb: str, path: str) -> None:
        self.writes += 1
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.left = None
                raise Killed


def promoted(stage: Stage) -> None:
    """Deploy a better release and roll it out; whoever does that again goes on with it."""
    stage.launch("m", BETTER, replicas=REPLICAS)
    assert stage.rolled_out("m").decision is Decision.PROMOTE


def rolled_back(stage: Stage) -> None:
    if Record.open(stage.somebody, "m").state.verdict.get("decision") != Decision.ROLL_BACK:
        stage.launch("m", BAD, replicas=REPLICAS)
    assert stage.rolled_out("m", min_requests=400).decision is Decision.ROLL_BACK


STORIES = {"promoted": (promoted, BETTER, "b"), "rolled back": (rolled_back, FIRST, "a")}


def watch(world: World, stage: Stage) -> None:
    """Hold at every turn that who gets traffic has its pods."""

    def looked() -> None:
        with contextlib.suppress(Killed):
            for slot, share in stage.given("m").items():
                there = sum(
                    one.get("status", {}).get("availableReplicas", 0)
                    for one in stage.deployments("m", slot)
                )
                assert there >= REPLICAS, f"{share} % on {there} pods in slot {slot}"

    world.looked = looked


def champion(patch: pytest.MonkeyPatch, killer: Killer, backend: Backend) -> Stage:
    world = worlds.made(patch, written=killer)
    stage = worlds.stage(world, backend)
    stage.launch("m", FIRST, replicas=REPLICAS)
    watch(world, stage)
    return stage


@pytest.mark.parametrize("name", STORIES)
@pytest.mark.parametrize("backend", Backend)
def test_killed_before_any_write_it_ends_in_the_same_place(backend: Backend, name: str) -> None:
    story, serves, slot = STORIES[name]
    for writes in range(60):
        with pytest.MonkeyPatch.context() as patch:
            killer = Killer()
            stage = champion(patch, killer, backend)
            killer.left = writes
            survived = _survived(story, stage)
            if not survived:
                story(stage)

            state = Record.open(stage.somebody, "m").state
            assert state.phase is Phase.STABLE, writes
            assert stage.state("m") == (Phase.STABLE, serves, ""), writes
            assert stage.given("m") == {slot: 100}, writes
        if survived:
            assert writes > 8
            return
    pytest.fail("a rollout has no end")


def _survived(story: Story, stage: Stage) -> bool:
    try:
        story(stage)
    except Killed:
        return False
    return True


@pytest.mark.parametrize("backend", Backend)
def test_a_first_release_killed_before_any_write_serves_in_the_end(backend: Backend) -> None:
    for writes in range(20):
        with pytest.MonkeyPatch.context() as patch:
            killer = Killer(left=writes)
            stage = worlds.stage(worlds.made(patch, written=killer), backend)
            survived = _survived(lambda stage: _first(stage), stage)
            if not survived:
                _first(stage)
            assert stage.given("m") == {"a": 100}, writes
        if survived:
            return
    pytest.fail("a deployment has no end")


def _first(stage: Stage) -> None:
    assert stage.launch("m", FIRST)[1].passes
    assert choosing.taken(Record.open(stage.somebody, "m")).backend == stage.backend
