"""The whole job, killed at random points, and started again until it ends.

`make test-faults KILLS=30` sets how many points. Three seeds kill the job up to month 7, from its
sources to its three candidates; a fourth goes on from a copy of month 7, and kills what month 8
adds: monitoring, the collection of what pods observed, and monitoring of that. The table of
points and outcomes is printed as they come.
"""

import os
import pathlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from pipelines.laptop import processes, session
from pipelines.records import INTERRUPTED
from tests.end_to_end.runs import holders
from tests.faults import killed_state, kills
from tests.faults.killed_state import State
from tests.faults.kills import Hit, Job, Point

SEEDS, SEED_OF_MONTH_8 = (1, 2, 3), 4
KILLS = int(os.environ.get("KILLS", "30"))
SHARE = KILLS // 5  # of the fourth seed, whose part is short; the others have the rest
MONTHS = 7
MONITORED = ("Monitor month 8", "Collect live observations", "Monitor the endpoint")
pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Undisturbed:
    """A run that nobody killed: how many steps it took, and what it left.

    Attributes:
        out: its folder.
        before: of the steps, those that come before the ones to kill.
    """

    out: pathlib.Path
    steps: int
    state: State
    before: int = 0


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
    return Undisturbed(out, len(job.done), state)


@pytest.fixture(scope="module")
def month_8(undisturbed: Undisturbed, say: Say) -> Iterator[Undisturbed]:
    """Go on to month 8 undisturbed, then put the folder back to where month 7 had ended."""
    out, kept = undisturbed.out, undisturbed.out.with_name("month-7")
    shutil.copytree(out, kept, symlinks=True)
    job = Job(out, MONTHS + 1, set())
    assert job.ends() == 0, job.lines
    state, watched = killed_state.look(out, live=True), job.steps_of(*MONITORED)
    shutil.rmtree(out)
    kept.rename(out)
    say(f"undisturbed month 8: {len(job.done)} steps, {watched} of them monitor or collect")
    yield Undisturbed(out, len(job.done), state, len(job.done) - watched)
    processes.end(out / "laptop")


@pytest.fixture
def out(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    yield tmp_path
    processes.end(tmp_path / "laptop")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_job_killed_anywhere_ends_as_one_that_nobody_killed(
    seed: int, out: pathlib.Path, undisturbed: Undisturbed, say: Say
) -> None:
    share = (KILLS - SHARE) // len(SEEDS)
    points = kills.points(seed, count=share, steps=undisturbed.steps)

    wrong = killed(points, out, MONTHS, say=lambda row: say(f"{seed:>4}  {row}"))

    differences = undisturbed.state.differences(killed_state.look(out))
    say(f"{seed:>4}  to the end   {len(differences)} differences")
    assert (wrong, differences) == ([], [])


def test_monitoring_killed_anywhere_counts_each_observation_once(
    month_8: Undisturbed, say: Say
) -> None:
    seed, out = SEED_OF_MONTH_8, month_8.out
    points = kills.points(seed, count=SHARE, steps=month_8.steps, first=month_8.before)

    wrong = killed(points, out, MONTHS + 1, say=lambda row: say(f"{seed:>4}  {row}"))

    differences = month_8.state.differences(killed_state.look(out, live=True))
    say(f"{seed:>4}  to the end   {len(differences)} differences")
    assert (wrong, differences) == ([], [])
    assert [uri for uri in month_8.state.tables if "/live/" in uri]


def killed(points: list[Point], out: pathlib.Path, months: int, *, say: Say) -> list[str]:
    """Kill a job at each point, start it again, and let it end; return what was wrong."""
    done: set[kills.Progress] = set()
    wrong = []
    for point in points:
        wrong += killed_at(point, Job(out, months, done), say=say)

    last = Job(out, months, done)
    code = last.ends()
    assert code == 0, last.lines[-5:]
    assert holders(out) == []
    return wrong


def killed_at(point: Point, job: Job, *, say: Say) -> list[str]:
    """Let a job run up to a point, kill there, look at once; return what is wrong."""
    hit = kills.strike(job, point) if job.reaches(point) else None
    if hit is None:
        job.ends()
        say(f"{point!s:<12}  {'nothing':<18} {job.process.returncode:>4}  had ended: {job.last}")
        return [] if job.process.returncode == 0 else [f"ended by itself: {job.last}"]
    code = job.ends()
    wrong = _badly_ended(job, hit)
    with session.storing(job.out / "laptop") as laptop:
        wrong += kills.left(hit)
        looked, torn = killed_state.broken(laptop)
        wrong += torn + _unrecorded(laptop, hit)
    outcome = "holds" if not wrong else f"WRONG: {'; '.join(wrong)}"
    say(f"{point!s:<12}  {hit.killed:<18} {code:>4}  {looked:<70}  {outcome}  [{hit.running}]")
    return [f"at {point}, {hit.killed} killed: {line}" for line in wrong]


def _unrecorded(laptop: session.Session, hit: Hit) -> list[str]:
    """A run whose steps were seen when all were killed is recorded as interrupted."""
    records = session.records(laptop.folder)
    wrong = [f"run {id} has no end" for id in records.begun.ids()]
    if hit.killed in kills.KINDS and not hit.running.endswith(": no step"):
        newest = records.runs.latest()
        wrong += [] if newest.state == INTERRUPTED else [f"{newest.id} has {newest.state}"]
    return wrong


def _badly_ended(job: Job, hit: Hit) -> list[str]:
    """A killed job says nothing more; one whose step was killed says so, and leaves nothing."""
    if hit.killed in kills.KINDS:
        return [] if job.process.returncode == -9 else [f"ended with {job.process.returncode}"]
    wrong = [f"still there: {line}" for line in holders(job.out)]
    if job.process.returncode != kills.INFRASTRUCTURE:
        wrong.append(f"ended with {job.process.returncode}")
    if not (job.last.startswith("stopped: ") and "killed" in job.last):
        wrong.append(f"said {job.last!r}")
    return wrong
