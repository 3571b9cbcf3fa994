"""The whole job, killed at random points, and started again until it ends.

`make test-faults KILLS=30` sets how many points. Three seeds kill the job up to month 7, from its
sources to its three candidates; a fourth goes on from a copy of month 7, and kills what month 8
adds: monitoring, the collection of what pods observed, and monitoring of that. Two seeds are
killed at a time, each in a process of its own. The table of points and outcomes is printed as
they come.
"""

import functools
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.faults import killing
from tests.faults.killing import Ended, Say, Undisturbed

if TYPE_CHECKING:
    from multiprocessing.queues import SimpleQueue

SEEDS, SEED_OF_MONTH_8 = (1, 2, 3), 4
KILLS = int(os.environ.get("KILLS", "30"))
SHARE = KILLS // 5  # of the fourth seed, whose part is short; the others have the rest
MONTHS, AT_ONCE = 7, 2
Work = Callable[[], Ended]
pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]


@dataclass(frozen=True)
class Lanes:
    """Jobs being killed, by seed, and what their processes have to say."""

    jobs: dict[int, "Future[Ended]"]
    rows: "SimpleQueue[str]"
    say: Say

    def ended(self, seed: int) -> Ended:
        """Wait for a seed's job; say meanwhile what comes of whichever seed."""
        while not self.jobs[seed].done():
            self._pass_on()
            time.sleep(0.2)
        self._pass_on()
        return self.jobs[seed].result()

    def _pass_on(self) -> None:
        while not self.rows.empty():
            self.say(self.rows.get())


@pytest.fixture(scope="module")
def say(request: pytest.FixtureRequest) -> Say:
    """Print a line although tests are not to be heard."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def write(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n{line}", end="", file=sys.stderr, flush=True)  # a worker has no other

    return write


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, say: Say) -> Undisturbed:
    found = killing.undisturbed(tmp_path_factory.mktemp("undisturbed") / "out", MONTHS)
    say(f"undisturbed: {found.steps} steps, {len(found.state.tables)} tables")
    say(f"{'seed':>4}  {'point':<12}  {'killed':<18} {'exit':>4}  {'then whole':<70}  outcome")
    return found


@pytest.fixture(scope="module")
def lanes(
    request: pytest.FixtureRequest,
    undisturbed: Undisturbed,
    tmp_path_factory: pytest.TempPathFactory,
    say: Say,
) -> Iterator[Lanes]:
    """Begin the jobs of the seeds that are asked for."""
    share = (KILLS - SHARE) // len(SEEDS)
    folders = {seed: tmp_path_factory.mktemp("killed") for seed in SEEDS}
    works: dict[int, Work] = {
        seed: functools.partial(killing.whole_job, seed, share, folder, undisturbed)
        for seed, folder in folders.items()
    }
    works[SEED_OF_MONTH_8] = functools.partial(
        killing.one_more_month, SEED_OF_MONTH_8, SHARE, undisturbed
    )
    spawn = multiprocessing.get_context("spawn")
    rows = spawn.SimpleQueue()
    with ProcessPoolExecutor(AT_ONCE, spawn, initializer=killing.tell, initargs=(rows,)) as pool:
        yield Lanes({seed: pool.submit(works[seed]) for seed in _asked(request)}, rows, say)
        pool.shutdown(cancel_futures=True)


def _asked(request: pytest.FixtureRequest) -> list[int]:
    """Return the seeds of the tests here that are to run: `-k "killed_anywhere_ends and 2"`."""
    tests = [item for item in request.session.items if item.path == request.path]
    return [
        int(str(item.callspec.params["seed"]))
        for item in tests
        if isinstance(item, pytest.Function)
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_job_killed_anywhere_ends_as_one_that_nobody_killed(seed: int, lanes: Lanes) -> None:
    ended = lanes.ended(seed)

    assert (ended.wrong, ended.differences) == ([], [])


@pytest.mark.parametrize("seed", [SEED_OF_MONTH_8])
def test_monitoring_killed_anywhere_counts_each_observation_once(seed: int, lanes: Lanes) -> None:
    ended = lanes.ended(seed)

    assert (ended.wrong, ended.differences) == ([], [])
    assert [uri for uri in ended.state.tables if "/live/" in uri]
