"""A pytest plugin: files of tests two at a time, and some tests alone.

`pytest -n 2 --dist loadfile` hands each worker one file after the other. Files that may take long
come first; files with tests that measure time or load come last. These are marked `alone`:
nothing of another worker runs beside them, and the process group that BESIDE names stands still
meanwhile. Without workers nothing here does anything.
"""

import contextlib
import fcntl
import os
import pathlib
import signal
from collections.abc import Generator, Iterator, Sequence
from typing import IO

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Take part in a worker; the folder of all workers is the room that they share."""
    if hasattr(config, "workerinput"):
        room = pathlib.Path(config.getoption("basetemp")).parent
        config.pluginmanager.register(Together(room, beside=int(os.environ.get("BESIDE", "0"))))


class Together:
    """What a worker does for the others' sake."""

    def __init__(self, room: pathlib.Path, *, beside: int) -> None:
        self.room, self.beside = room, beside

    @pytest.hookimpl(wrapper=True)
    def pytest_collection_modifyitems(
        self, items: list[pytest.Item]
    ) -> Generator[None, object, object]:
        result = yield
        items[:] = ordered(items)
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Wait for the others outside of a test's own time limit."""
        alone = runs_alone(item)
        with within(self.room, alone=alone), standing_still(self.beside if alone else 0):
            return (yield)


@contextlib.contextmanager
def standing_still(group: int) -> Iterator[None]:
    """Stop a process group for a while, if there is one; 0 is none."""
    _signal(group, signal.SIGSTOP)
    try:
        yield
    finally:
        _signal(group, signal.SIGCONT)


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        if group:
            os.killpg(group, number)


@contextlib.contextmanager
def within(room: pathlib.Path, *, alone: bool) -> Iterator[None]:
    """Be in a room with others or alone; who waits for it to empty lets nobody else in."""
    with (room / "door").open("w") as door, (room / "floor").open("w") as floor:
        with _held(door, fcntl.LOCK_EX):
            fcntl.flock(floor, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        with _let_go(floor):
            yield


@contextlib.contextmanager
def _held(file: IO[str], how: int) -> Iterator[None]:
    fcntl.flock(file, how)
    with _let_go(file):
        yield


@contextlib.contextmanager
def _let_go(file: IO[str]) -> Iterator[None]:
    """Unlock in the end: closing does not while a process that a test forked has it open."""
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def ordered(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Put files that may take long first, those with tests that run alone last."""
    alone: dict[pathlib.Path, bool] = {}
    limit: dict[pathlib.Path, float] = {}
    for item in items:
        alone[item.path] = alone.get(item.path, False) or runs_alone(item)
        limit[item.path] = max(limit.get(item.path, 0), _limit(item))
    return sorted(items, key=lambda item: (alone[item.path], -limit[item.path]))


def runs_alone(item: pytest.Item) -> bool:
    return item.get_closest_marker("alone") is not None


def _limit(item: pytest.Item) -> float:
    """Return the seconds that a test claims for itself; 0 if it claims none."""
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0]) if marker else 0.0
