import threading
from typing import cast

from prometheus_client.parser import text_string_to_metric_families

from inference.server.security.tokens import Reason
from inference.server.telemetry.board import Board, Cells
from inference.server.telemetry.exposition import Page
from inference.server.telemetry.worker import Worker
from tests.inference.server.telemetry.test_metrics import Guarded


def counts(board: Board, name: str) -> list[tuple[str, float]]:
    """Return the series of a family that are not zero, by their reason."""
    text = Page(board, "delays", "a").text()[0].decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    samples = families[name].samples
    return [(s.labels.get("reason", ""), s.value) for s in samples if s.value]


def test_what_workers_count_is_added_up_and_survives_their_death() -> None:
    board = Board(workers=2)
    for worker in (0, 1):
        own = Worker(board, worker)
        own.unlogged(2)
        own.refused(Reason.SCOPE)
    Worker(board, 0).refused(Reason.MISSING)

    board.enter(1)
    Worker(board, 1).refused(Reason.SCOPE)

    assert counts(board, "access_log_dropped") == [("", 4)]
    assert counts(board, "callers_refused") == [("missing", 1), ("scope", 3)]


def test_every_reason_has_a_count_of_its_own() -> None:
    board = Board(workers=1)
    worker = Worker(board, 0)

    for times, reason in enumerate(Reason, 1):
        for _ in range(times):
            worker.refused(reason)

    expected = [(reason.value, times) for times, reason in enumerate(Reason, 1)]
    assert counts(board, "callers_refused") == expected
    assert counts(board, "access_log_dropped") == []


def test_threads_count_under_a_lock() -> None:
    board = Board(workers=1)
    worker, lock = Worker(board, 0), threading.Lock()
    worker._lock = lock
    worker._cells = cast(Cells, Guarded(worker._cells, lock))

    worker.unlogged(1)
    worker.refused(Reason.SCOPE)

    assert counts(board, "access_log_dropped") == [("", 1)]
