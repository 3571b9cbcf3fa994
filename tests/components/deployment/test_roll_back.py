"""Rolling back by hand, with each backend, on a stand-in in memory."""

from collections.abc import Callable

import pytest

from components.deployment import slots
from components.deployment.record import Phase, Record
from components.deployment.roll_back.back import Back, roll_back
from components.deployment.slots import Capacity, Runtime, Version
from components.deployment.traffic import choosing
from components.deployment.traffic.interface import Backend
from components.foundation.errors import InfrastructureError, Refused, UserError
from components.foundation.kubernetes.client import Cluster, Manifest
from components.foundation.verdict import Decision, Verdict
from tests.cluster.claims import BETTER, FIRST, TAMPERED, THIRD, Stage, uri
from tests.cluster.standin.offline import World
from tests.components.deployment import world as worlds

BACKENDS = pytest.mark.parametrize("backend", Backend)


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the code may catch it."""


@pytest.fixture
def stage(world: World, backend: Backend) -> Stage:
    found = worlds.stage(world, backend)
    found.launch("m", FIRST, replicas=3)
    return found


def unknown(version: Version) -> Version:
    raise AssertionError(f"{version} was not kept whole")


def back(stage: Stage, told: list[Verdict] | None = None, to: str = "") -> Verdict:
    tell = (told if told is not None else list[Verdict]()).append
    release = uri("m", to) if to else None
    return roll_back(Record.open(stage.cluster, "m"), Back(tell, unknown, release, timeout_s=60))


def shares(stage: Stage) -> dict[str, int]:
    found = choosing.taken(Record.open(stage.cluster, "m")).in_force()
    return {slot: share for slot, share in found.items() if share}


def promoted(stage: Stage, *versions: str) -> None:
    for version in versions:
        stage.launch("m", version)
        assert stage.rolled_out("m").decision is Decision.PROMOTE


@BACKENDS
@pytest.mark.parametrize("turns", [0, 1], ids=["dark", "canary"])
def test_in_a_rollout_the_champion_has_all_traffic_again(stage: Stage, turns: int) -> None:
    stage.launch("m", BETTER)
    run, told = stage.rollout("m"), list[Verdict]()
    for _ in range(turns):
        run._begin()
        run._turn()

    verdict = back(stage, told)

    assert (verdict.decision, told) == (Decision.ROLL_BACK, [verdict])
    assert shares(stage) == {"a": 100}
    assert stage.state("m") == (Phase.STABLE, FIRST, "")
    assert Record.open(stage.cluster, "m").state.verdict == verdict.to_dict()


@BACKENDS
def test_a_roll_out_that_still_runs_does_not_go_on(stage: Stage) -> None:
    stage.launch("m", BETTER)
    run = stage.rollout("m")
    run._begin()
    run._turn()

    back(stage)

    with pytest.raises(Refused, match="another run has moved it"):
        run._turn()


@BACKENDS
def test_a_roll_out_that_moves_the_record_meanwhile_does_not_keep_it(stage: Stage) -> None:
    stage.launch("m", BETTER)
    run = stage.rollout("m")
    run._begin()
    seen_before = Record.open(stage.cluster, "m")
    run._turn()

    roll_back(seen_before, Back(list[Verdict]().append, unknown))

    assert shares(stage) == {"a": 100}
    assert stage.state("m") == (Phase.STABLE, FIRST, "")


@pytest.mark.parametrize("backend", [Backend.TWINS])
def test_a_split_that_such_a_roll_out_had_begun_is_taken_back(stage: Stage) -> None:
    stage.launch("m", BETTER)
    run = stage.rollout("m")
    run._begin()
    traffic, champion, candidate = run.traffic, *run._versions

    def late(verdict: Verdict) -> None:
        traffic.split(champion, candidate, 20)

    roll_back(Record.open(stage.cluster, "m"), Back(late, unknown))

    assert shares(stage) == {"a": 100}


@BACKENDS
def test_after_a_promotion_the_champion_before_comes_back_as_it_was(stage: Stage) -> None:
    promoted(stage, BETTER)
    told: list[Verdict] = []

    verdict = back(stage, told)

    state = Record.open(stage.cluster, "m").state
    assert verdict.decision is Decision.ROLL_BACK, verdict.reason
    assert told[-1] == verdict
    assert stage.state("m") == (Phase.STABLE, FIRST, "")
    assert state.champion is not None
    assert shares(stage) == {state.champion.slot: 100}
    assert state.champion.capacity == Capacity(3, 3)
    assert [one.release.version for one in state.good] == [FIRST, BETTER]


@BACKENDS
def test_a_second_run_is_not_a_second_rollback(stage: Stage) -> None:
    promoted(stage, BETTER, THIRD)
    first = back(stage)

    assert back(stage) == first
    assert stage.state("m") == (Phase.STABLE, BETTER, "")


@BACKENDS
def test_a_release_that_was_champion_comes_back_by_name(stage: Stage) -> None:
    promoted(stage, BETTER, THIRD)

    assert back(stage, to=FIRST).decision is Decision.ROLL_BACK

    assert stage.state("m") == (Phase.STABLE, FIRST, "")


@pytest.mark.parametrize("backend", [Backend.TWINS])
def test_only_releases_that_were_champions_come_back(stage: Stage) -> None:
    with pytest.raises(UserError, match=r"kept: .*aaaaaaaaaa00"):
        back(stage)
    with pytest.raises(UserError, match=TAMPERED):
        back(stage, to=TAMPERED)


@pytest.mark.parametrize("backend", [Backend.TWINS])
def test_in_a_rollout_no_third_release_comes_back(stage: Stage) -> None:
    promoted(stage, BETTER)
    stage.launch("m", THIRD)

    with pytest.raises(Refused, match="roll that back first"):
        back(stage, to=FIRST)

    assert stage.state("m") == (Phase.DARK, BETTER, THIRD)


@pytest.mark.parametrize("backend", [Backend.TWINS])
def test_runtime_comes_back_too(stage: Stage, world: World) -> None:
    record = Record.open(stage.cluster, "m")
    torch = Version("a", uri("m", THIRD), Runtime.TORCH, None, Capacity(2, 4))
    record.change(good=(*record.state.good, torch))

    back(stage, to=THIRD)

    champion = Record.open(stage.cluster, "m").state.champion
    assert champion is not None
    assert (champion.runtime, champion.capacity) == (Runtime.TORCH, Capacity(2, 4))
    assert shares(stage) == {"b": 100}
    world.turn()
    assert slots.stopped(stage.somebody, "m-a")


@pytest.mark.parametrize("backend", [Backend.TWINS])
def test_a_good_release_that_does_not_serve_any_more_is_refused(stage: Stage) -> None:
    record = Record.open(stage.cluster, "m")
    broken = Version("a", uri("m", TAMPERED), capacity=Capacity())
    record.change(good=(*record.state.good, broken))

    verdict = back(stage, to=TAMPERED)

    state = Record.open(stage.cluster, "m").state
    assert verdict.decision is Decision.REFUSE
    assert (state.phase, state.candidate, state.returning) == (Phase.STABLE, None, "")
    assert shares(stage) == {"a": 100}


@BACKENDS
def test_traffic_moves_even_when_nothing_can_be_told(stage: Stage) -> None:
    stage.launch("m", BETTER)
    run = stage.rollout("m")
    run._begin()
    run._turn()

    def down(verdict: Verdict) -> None:
        raise InfrastructureError("the store did not answer", code="x")

    with pytest.raises(InfrastructureError):
        roll_back(Record.open(stage.cluster, "m"), Back(down, unknown))

    assert shares(stage) == {"a": 100}
    assert back(stage).decision is Decision.ROLL_BACK
    assert stage.state("m") == (Phase.STABLE, FIRST, "")


def cut(patch: pytest.MonkeyPatch, after: int) -> None:
    """Kill who rolls back once it has written to the cluster so often."""
    written = 0

    def counting(write: Callable[..., Manifest]) -> Callable[..., Manifest]:
        def counted(self: Cluster, *arguments: object, **more: object) -> Manifest:
            nonlocal written
            ours = type(self) is Cluster  # and not those who stand in for KServe
            if ours and written >= after:
                raise Killed
            written += ours
            return write(self, *arguments, **more)

        return counted

    for name in ("apply", "replace", "create", "delete"):
        patch.setattr(Cluster, name, counting(getattr(Cluster, name)))


def killed(stage: Stage, after: int, to: str) -> bool:
    """Roll back, killed after so many writes; say whether it came to that."""
    with pytest.MonkeyPatch.context() as patch:
        cut(patch, after)
        try:
            back(stage, to=to)
        except Killed:
            return True
    return False


@BACKENDS
def test_killed_after_any_write_it_goes_on_and_the_good_version_is_back(stage: Stage) -> None:
    promoted(stage, BETTER)
    wanted, other = FIRST, BETTER
    kills = 0
    while killed(stage, kills, wanted):
        assert sum(shares(stage).values()) == 100, kills
        back(stage, to=wanted)
        assert stage.state("m") == (Phase.STABLE, wanted, ""), kills
        kills, wanted, other = kills + 1, other, wanted

    assert kills > 3
    assert stage.state("m") == (Phase.STABLE, wanted, "")


@BACKENDS
def test_killed_after_any_write_in_a_rollout_it_goes_on_and_the_champion_stays(
    stage: Stage,
) -> None:
    stage.launch("m", BETTER)
    kills = 0
    while killed(stage, kills, ""):
        assert sum(shares(stage).values()) == 100, kills
        back(stage)
        assert stage.state("m") == (Phase.STABLE, FIRST, ""), kills
        stage.launch("m", BETTER)
        kills += 1

    assert kills > 2
    assert stage.state("m") == (Phase.STABLE, FIRST, "")
