"""The whole job, killed at random points, and started again until it ends.

`make test-faults KILLS=30` sets how many points; each of the three seeds has its share of them.
The table of points and outcomes is printed as they come.
"""

import os
import pathlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from pipelines.laptop import processes, session
from tests.end_to_end.runs import holders
from tests.faults import killed_state, kills
from tests.faults.killed_state import State
from tests.faults.kills import Hit, Job, Point

SEEDS = (1, 2, 3)
KILLS = int(os.environ.get("KILLS", "30"))
MONTHS = int(os.environ.get("MONTHS", "7"))
pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Undisturbed:
    """A run that nobody killed: how many steps it took, and what it left."""

    steps: int
    state: State


@pytest.fixture(scope="module")
def say(request: pytest.FixtureRequest) -> Say:
    """Print a line although tests are not to be heard."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def write(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n{line}", end="", flush=True)

    return write


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, say: Say) -> Undisturbed:
    out = tmp_path_factory.mktemp("undisturbed")
    job = Job(out, MONTHS, set())
    assert job.ends() == 0, job.lines
    assert holders(out) == []
    state = killed_state.look(out)
    say(f"undisturbed: {len(job.done)} steps, {len(state.tables)} tables")
    say(f"{'seed':>4}  {'point':<12}  {'killed':<18} {'exit':>4}  {'then whole':<70}  outcome")
    return Undisturbed(len(job.done), state)


@pytest.fixture
def out(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    yield tmp_path
    processes.end(tmp_path / "laptop")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_job_killed_anywhere_ends_as_one_that_nobody_killed(
    seed: int, out: pathlib.Path, undisturbed: Undisturbed, say: Say
) -> None:
    done: set[kills.Progress] = set()
    wrong = []
    share = KILLS // len(SEEDS)
    for point in kills.points(seed, count=share, steps=undisturbed.steps):
        wrong += killed_at(point, out, done, say=lambda row: say(f"{seed:>4}  {row}"))

    last = Job(out, MONTHS, done)
    code = last.ends()

    assert code == 0, last.lines[-5:]
    assert holders(out) == []
    differences = undisturbed.state.differences(killed_state.look(out))
    say(f"{seed:>4}  to the end   exit {code}, {len(differences)} differences")
    assert (wrong, differences) == ([], [])


def killed_at(point: Point, out: pathlib.Path, done: set[kills.Progress], *, say: Say) -> list[str]:
    """Run the job up to a point, kill there, look at once; return what is wrong."""
    job = Job(out, MONTHS, done)
    if not job.reaches(point):
        job.ends()
        say(f"{point!s:<12}  {'nothing':<18} {job.process.returncode:>4}  had ended: {job.last}")
        return [] if job.process.returncode == 0 else [f"ended by itself: {job.last}"]
    hit = kills.strike(job, point)
    code = job.ends()
    wrong = _badly_ended(job, point, hit, out)
    with session.storing(out / "laptop") as laptop:
        wrong += kills.left(hit)
        looked, torn = killed_state.broken(laptop)
    wrong += torn
    outcome = "holds" if not wrong else f"WRONG: {'; '.join(wrong)}"
    say(f"{point!s:<12}  {hit.killed:<18} {code:>4}  {looked:<70}  {outcome}  [{hit.running}]")
    return [f"at {point}, {hit.killed} killed: {line}" for line in wrong]


def _badly_ended(job: Job, point: Point, hit: Hit, out: pathlib.Path) -> list[str]:
    """A killed job says nothing more; one whose step was killed says so, and leaves nothing."""
    if hit.killed in kills.KINDS:
        return [] if job.process.returncode == -9 else [f"ended with {job.process.returncode}"]
    wrong = [f"still there: {line}" for line in holders(out)]
    if job.process.returncode != kills.INFRASTRUCTURE:
        wrong.append(f"ended with {job.process.returncode}")
    if not (job.last.startswith("stopped: ") and "killed" in job.last):
        wrong.append(f"said {job.last!r}")
    return wrong
