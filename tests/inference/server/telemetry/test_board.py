import functools
import os
import signal
import threading
import time
from collections.abc import Callable

import pytest

from components.foundation.errors import UserError
from inference.server.telemetry import layout
from inference.server.telemetry.board import IN_FLIGHT, QUEUED, UNLOGGED, Board, State
from inference.server.telemetry.versions import SLOTS

CELL = layout.CODES


def forked(work: Callable[[], object]) -> int:
    """Do some work in another process, whatever becomes of it."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return pid


def finished(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def counts(board: Board) -> dict[str, float]:
    return {total.version: total.cells[CELL] for total in board.totals()}


def test_adds_up_what_processes_count() -> None:
    board = Board(workers=3)

    def work(worker: int) -> None:
        board.enter(worker)
        cells = board.open(worker, "7").cells
        for _ in range(1000 * (worker + 1)):
            cells[CELL] += 1

    assert [finished(p) for p in [forked(functools.partial(work, n)) for n in range(3)]] == [
        0,
        0,
        0,
    ]
    assert counts(board) == {"7": 6000}


def test_a_worker_that_replaces_a_killed_one_counts_on_and_no_count_goes_back() -> None:
    board = Board(workers=2)
    board.open(0, "7").cells[CELL] = 10
    seen = [10.0]

    def work() -> None:
        board.enter(1)
        cells = board.open(1, "7").cells
        while True:
            cells[CELL] += 1

    for _ in range(5):
        pid, before = forked(work), seen[-1]
        until = time.monotonic() + 10
        while seen[-1] < before + 1000 and time.monotonic() < until:
            seen.append(counts(board)["7"])
        os.kill(pid, signal.SIGKILL)
        assert finished(pid) == -signal.SIGKILL
        board.vacate(1)
        seen.append(counts(board)["7"])

    assert seen == sorted(seen)
    assert seen[-1] > 5000


def test_a_death_ends_what_is_under_way_and_nothing_else() -> None:
    board = Board(workers=2)
    board.enter(1)
    board.put(1, State.READY)
    head = board.head(1)
    head[IN_FLIGHT], head[QUEUED], head[UNLOGGED] = 3, 2, 5
    board.open(1, "7").cells[CELL] = 9

    board.vacate(1)

    assert (board.sum(IN_FLIGHT), board.sum(QUEUED), board.sum(UNLOGGED)) == (0, 0, 5)
    assert (board.state(1), board.pids()) == (State.STARTING, [])
    assert counts(board) == {"7": 9}


def test_all_are_ready_when_each_is() -> None:
    board = Board(workers=2)
    board.put(0, State.READY)
    assert not board.all_ready()

    finished(forked(lambda: board.put(1, State.READY)))
    assert board.all_ready()
    assert board.ready == 2

    board.put(0, State.DRAINING)
    assert not board.all_ready()


def test_processes_that_open_versions_at_once_get_a_slot_each() -> None:
    board = Board(workers=SLOTS)

    def work(worker: int) -> None:
        board.open(worker, f"v{worker}").cells[CELL] = worker + 1
        board.open(worker, "shared").cells[CELL] = 1

    for pid in [forked(functools.partial(work, n)) for n in range(SLOTS - 1)]:
        finished(pid)

    assert counts(board) == {**{f"v{n}": n + 1 for n in range(SLOTS - 1)}, "shared": SLOTS - 1}


def test_one_version_too_many_takes_the_oldest_slot_in_all_workers_at_once() -> None:
    board = Board(workers=2)
    behind = board.open(1, "v0").cells
    behind[CELL] = 100
    for number in range(SLOTS):
        board.open(0, f"v{number}").cells[CELL] = 1

    board.open(0, "new").cells[CELL] = 1
    behind[CELL] += 1  # not yet reloaded, it writes where "new" is now
    assert counts(board) == {**{f"v{n}": 1 for n in range(1, SLOTS)}, "new": 1}

    board.open(1, "new")
    assert counts(board)["new"] == 1


def test_a_version_that_is_opened_again_is_not_the_oldest() -> None:
    board = Board(workers=1)
    for number in range(SLOTS):
        board.open(0, f"v{number}")
    board.open(0, "v0")

    board.open(0, "new")

    assert set(counts(board)) == {*(f"v{n}" for n in range(SLOTS)), "new"} - {"v1"}


def test_only_one_process_at_a_time_gives_slots_away() -> None:
    board = Board(workers=1)
    (told, tell), (go_on, let) = os.pipe(), os.pipe()

    def work() -> None:
        with board._versions._locked():
            os.write(tell, b"held")
            os.read(go_on, 1)

    pid = forked(work)
    os.read(told, 4)
    opening = threading.Thread(target=board.open, args=(0, "7"))
    opening.start()
    opening.join(0.1)
    waited = opening.is_alive()
    os.write(let, b"!")
    opening.join(10)

    assert waited
    assert finished(pid) == 0
    assert counts(board) == {"7": 0}
    for end in (told, tell, go_on, let):
        os.close(end)


def test_who_dies_with_the_lock_in_hand_holds_nobody_up() -> None:
    board = Board(workers=1)

    def work() -> None:
        with board._versions._locked():
            os.kill(os.getpid(), signal.SIGKILL)

    assert finished(forked(work)) == -signal.SIGKILL
    board.open(0, "7")
    assert counts(board) == {"7": 0}


def test_the_first_who_opens_a_version_says_its_edges() -> None:
    board = Board(workers=2)

    assert board.open(0, "7", edges=(0.25, 0.5)).edges == (0.25, 0.5)
    assert board.open(1, "7", edges=(0.1,)).edges == (0.25, 0.5)
    assert [total.edges for total in board.totals()] == [(0.25, 0.5)]


@pytest.mark.parametrize(
    ("version", "edges", "code"),
    [
        ("é" * 129, 0, "version-too-long"),
        ("7", layout.MAX_EDGES + 1, "profile-malformed"),
    ],
    ids=["long name", "many edges"],
)
def test_refuses_what_no_slot_can_hold(version: str, edges: int, code: str) -> None:
    board = Board(workers=1)

    with pytest.raises(UserError) as refused:
        board.open(0, version, edges=[float(n) for n in range(edges)])

    assert refused.value.code == code
    assert board.totals() == []


def test_the_longest_name_and_the_most_edges_come_back_whole() -> None:
    board = Board(workers=1)
    name, edges = "é" * 128, tuple(n / 7 for n in range(layout.MAX_EDGES))

    board.open(0, name, edges=edges)

    assert [(t.version, t.edges) for t in board.totals()] == [(name, edges)]
