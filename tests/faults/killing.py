"""One job killed again and again, in a process of its own, for `test_kills`.

A seed's job alone leaves a third of two cores idle, so two seeds are killed at a time. Whoever
kills looks into the object store as a session does, and that listens to signals: hence a process
a lane, not a thread.
"""

import pathlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.laptop import processes, session
from pipelines.records import INTERRUPTED
from tests.end_to_end.runs import holders
from tests.faults import killed_state, kills
from tests.faults.killed_state import State
from tests.faults.kills import Hit, Job, Point

if TYPE_CHECKING:
    from multiprocessing.queues import SimpleQueue

MONITORED = ("Monitor month 8", "Collect live observations", "Monitor the endpoint")
Say = Callable[[str], None]
_told: "list[SimpleQueue[str]]" = []


@dataclass(frozen=True)
class Undisturbed:
    """A run that nobody killed: how many steps it took, and what it left.

    Attributes:
        out: its folder.
        before: of the steps, those that come before the ones to kill.
    """

    out: pathlib.Path
    months: int
    steps: int
    state: State
    before: int = 0


@dataclass(frozen=True)
class Ended:
    """What a job that was killed came to: what was wrong, what it left, and left otherwise."""

    wrong: list[str]
    differences: list[str]
    state: State


def tell(rows: "SimpleQueue[str]") -> None:
    """Let what this process says go into a queue."""
    _told[:] = [rows]


def undisturbed(out: pathlib.Path, months: int) -> Undisturbed:
    """Run the job, and let nobody kill it."""
    job = _whole(Job(out, months, set()))
    return Undisturbed(out, months, len(job.done), killed_state.look(out))


def whole_job(seed: int, count: int, out: pathlib.Path, wanted: Undisturbed) -> Ended:
    """Kill a job at points all over it, from an empty folder on."""
    points = kills.points(seed, count=count, steps=wanted.steps)
    try:
        return _compared(seed, points, out, wanted, live=False)
    finally:
        processes.end(out / "laptop")


def one_more_month(seed: int, count: int, ended: Undisturbed) -> Ended:
    """Go on by a month undisturbed, then again from where that began, and kill what it adds."""
    try:
        wanted = _gone_on(ended)
        points = kills.points(seed, count=count, steps=wanted.steps, first=wanted.before)
        return _compared(seed, points, wanted.out, wanted, live=True)
    finally:
        processes.end(ended.out / "laptop")


def _gone_on(ended: Undisturbed) -> Undisturbed:
    """Run one more month in a folder, and put the folder back to where it had ended."""
    out, kept, months = ended.out, ended.out.with_name("kept"), ended.months + 1
    shutil.copytree(out, kept, symlinks=True)
    job = _whole(Job(out, months, set()))
    state, watched = killed_state.look(out, live=True), job.steps_of(*MONITORED)
    shutil.rmtree(out)
    kept.rename(out)
    _say(f"undisturbed month 8: {len(job.done)} steps, {watched} of them monitor or collect")
    return Undisturbed(out, months, len(job.done), state, len(job.done) - watched)


def _whole(job: Job) -> Job:
    """Let a job run to its end, which has to be a good one."""
    code, held = job.ends(), holders(job.out)
    if code or held:
        raise AssertionError(f"{code} {held} {job.lines[-5:]}")
    return job


def _compared(
    seed: int, points: list[Point], out: pathlib.Path, wanted: Undisturbed, *, live: bool
) -> Ended:
    wrong = list(_killed(points, out, wanted.months, say=lambda row: _say(f"{seed:>4}  {row}")))
    state = killed_state.look(out, live=live)
    differences = wanted.state.differences(state)
    _say(f"{seed:>4}  to the end   {len(differences)} differences")
    return Ended(wrong, differences, state)


def _killed(points: list[Point], out: pathlib.Path, months: int, *, say: Say) -> Iterator[str]:
    """Kill a job at each point, start it again, and let it end; tell what was wrong."""
    done: set[kills.Progress] = set()
    for point in points:
        yield from _killed_at(point, Job(out, months, done), say=say)
    _whole(Job(out, months, done))


def _killed_at(point: Point, job: Job, *, say: Say) -> list[str]:
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


def _say(line: str) -> None:
    for rows in _told:
        rows.put(line)
