import math
import os
import sys
import threading
from collections.abc import Callable, Mapping
from typing import cast

import numpy as np
import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families

from components.deployment.roll_out import counters
from components.foundation.statistics.eprocess import Arm
from inference.server.telemetry.board import Board, Cells, State
from inference.server.telemetry.exposition import Page
from inference.server.telemetry.metrics import Metrics, Phase, Shed
from inference.server.telemetry.worker import Worker

OWN = 'model="delays",variant="a",version="7"'


@pytest.fixture
def board() -> Board:
    board = Board(workers=2)
    board.enter(0)
    return board


@pytest.fixture
def metrics(board: Board) -> Metrics:
    return Metrics(board, 0, "delays", "7", "a", (0.25, 0.5))


def page(metrics: Metrics, accept: str = "") -> str:
    return Page(metrics.board, metrics.model, metrics.variant).text(accept)[0].decode()


def lines(metrics: Metrics, name: str) -> Mapping[str, float]:
    """Return the series of a name as {labels: value}."""
    found = (line.partition("{") for line in page(metrics).splitlines() if "{" in line)
    rest = (after.rpartition("} ") for start, _, after in found if start == name)
    return {labels: float(value) for labels, _, value in rest}


def test_counts_answers_by_code_and_a_first_answer_is_a_rise(metrics: Metrics) -> None:
    assert lines(metrics, "inference_requests_total") == {f'code="200",{OWN}': 0}

    for code in (200, 200, 503, 100, 599):
        metrics.answered(code, seconds=0.002)

    assert lines(metrics, "inference_requests_total") == {
        f'code="100",{OWN}': 1,
        f'code="200",{OWN}': 2,
        f'code="503",{OWN}': 1,
        f'code="599",{OWN}': 1,
    }


@pytest.mark.parametrize("code", [0, 99, 600, -1])
def test_refuses_a_code_that_is_no_status(metrics: Metrics, code: int) -> None:
    before = metrics.board.totals()

    with pytest.raises(ValueError, match="no HTTP status"):
        metrics.answered(code, seconds=0.1)

    assert metrics.board.totals() == before


def test_a_time_that_is_a_bucket_s_edge_falls_in_it(metrics: Metrics) -> None:
    for seconds in (0.001, math.nextafter(0.001, 1), 99.0):
        metrics.answered(200, seconds=seconds)

    buckets = lines(metrics, "inference_request_seconds_bucket")
    assert buckets[f'le="0.0005",{OWN}'] == 0
    assert buckets[f'le="0.001",{OWN}'] == 1
    assert buckets[f'le="0.002",{OWN}'] == 2
    assert buckets[f'le="10.0",{OWN}'] == 2
    assert buckets[f'le="+Inf",{OWN}'] == 3
    assert lines(metrics, "inference_request_seconds_count") == {OWN: 3}
    assert lines(metrics, "inference_request_seconds_sum")[OWN] == pytest.approx(99.002)


def test_counts_each_thing_where_it_belongs(metrics: Metrics) -> None:
    metrics.phase(Phase.QUEUE, 0.25)
    metrics.batch(12, requests=3)
    metrics.batch(1, requests=1)
    metrics.shed(Shed.MEMORY)
    metrics.dropped(4)
    Worker(metrics.board, 0).unlogged(6)
    metrics.in_flight(1)
    metrics.in_flight(1)
    metrics.in_flight(-1)
    metrics.queued(9)

    sums = lines(metrics, "inference_phase_seconds_sum")
    assert {labels: value for labels, value in sums.items() if value} == {
        'model="delays",phase="queue",variant="a",version="7"': 0.25
    }
    assert lines(metrics, "inference_batch_rows_sum") == {OWN: 13}
    assert lines(metrics, "inference_batch_rows_bucket")[f'le="16.0",{OWN}'] == 2
    assert lines(metrics, "inference_batch_requests_sum") == {OWN: 4}
    shed = lines(metrics, "inference_shed_total")
    assert {labels: value for labels, value in shed.items() if value} == {
        'model="delays",reason="memory",variant="a",version="7"': 1
    }
    assert len(shed) == len(Shed)
    assert lines(metrics, "observations_dropped_total") == {OWN: 4}
    server = 'model="delays",variant="a"'
    assert lines(metrics, "access_log_dropped_total") == {server: 6}
    assert lines(metrics, "inference_in_flight") == {server: 1}
    assert lines(metrics, "inference_queue_requests") == {server: 9}


def test_says_how_many_workers_are_ready(board: Board, metrics: Metrics) -> None:
    board.put(1, State.READY)

    server = 'model="delays",variant="a"'
    assert lines(metrics, "inference_workers") == {server: 2}
    assert lines(metrics, "inference_workers_ready") == {server: 1}


def test_scores_are_counted_in_the_profile_s_bins(metrics: Metrics) -> None:
    metrics.scores(np.array([0.25, 0.3, 0.9, np.nan, np.inf], np.float32))

    assert lines(metrics, "inference_score_bucket") == {
        f'le="0.25",{OWN}': 1,
        f'le="0.5",{OWN}': 2,
        f'le="+Inf",{OWN}': 3,
    }
    assert lines(metrics, "inference_score_sum")[OWN] == pytest.approx(1.45)
    assert lines(metrics, "inference_score_missing_total") == {OWN: 2}


def test_without_a_profile_there_are_no_scores(board: Board) -> None:
    metrics = Metrics(board, 0, "delays", "7", "a")

    metrics.scores(np.array([0.3]))

    assert lines(metrics, "inference_score_bucket") == {}
    assert lines(metrics, "inference_score_missing_total") == {}


def test_workers_merge_and_either_can_be_asked(board: Board, metrics: Metrics) -> None:
    other = Metrics(board, 1, "delays", "7", "a", (0.25, 0.5))
    metrics.answered(200, seconds=0.1)
    other.answered(200, seconds=0.1)
    other.queued(2)

    for asked in (metrics, other):
        assert lines(asked, "inference_requests_total") == {f'code="200",{OWN}': 2}
        assert list(lines(asked, "inference_queue_requests").values()) == [2]


def test_versions_are_counted_apart_and_the_old_one_s_last_answers_are_its_own(
    metrics: Metrics,
) -> None:
    newer = Metrics(metrics.board, 0, "delays", "8", "a", (0.75,))
    newer.answered(200, seconds=0.1)
    newer.scores(np.array([0.7]))
    metrics.answered(500, seconds=0.1)

    assert lines(newer, "inference_requests_total") == {
        f'code="200",{OWN}': 0,
        f'code="500",{OWN}': 1,
        'code="200",model="delays",variant="a",version="8"': 1,
    }
    assert {k: v for k, v in lines(newer, "inference_score_bucket").items() if v} == {
        'le="0.75",model="delays",variant="a",version="8"': 1,
        'le="+Inf",model="delays",variant="a",version="8"': 1,
    }


def test_no_count_of_threads_is_lost(metrics: Metrics) -> None:
    rounds, threads = 1000, 4
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def work() -> None:
        for _ in range(rounds):
            metrics.phase(Phase.PREDICT, 0.5)
            metrics.batch(2, requests=1)
            metrics.dropped(1)
            metrics.scores(np.array([0.4]))

    try:
        running = [threading.Thread(target=work) for _ in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
    finally:
        sys.setswitchinterval(interval)

    total = rounds * threads
    predict = 'model="delays",phase="predict",variant="a",version="7"'
    assert lines(metrics, "inference_phase_seconds_count")[predict] == total
    assert lines(metrics, "inference_phase_seconds_sum")[predict] == total / 2
    assert lines(metrics, "inference_batch_rows_sum") == {OWN: 2 * total}
    assert lines(metrics, "observations_dropped_total") == {OWN: total}
    assert lines(metrics, "inference_score_count") == {OWN: total}


class Guarded:
    """Cells that may be written by who holds a lock only."""

    def __init__(self, cells: Cells, lock: threading.Lock) -> None:
        self._cells, self._lock = cells, lock

    def __getitem__(self, place: int) -> float:
        return self._cells[place]

    def __setitem__(self, place: int, value: float) -> None:
        assert self._lock.locked(), f"cell {place} is written by whoever likes to"
        self._cells[place] = value


# This interpreter happens not to change threads within an addition; another one may.
@pytest.mark.parametrize(
    "count",
    [
        lambda metrics: metrics.phase(Phase.PARSE, 0.5),
        lambda metrics: metrics.batch(2, requests=1),
        lambda metrics: metrics.dropped(1),
        lambda metrics: metrics.scores(np.array([0.4, np.nan])),
    ],
    ids=["phase", "batch", "dropped", "scores"],
)
def test_what_threads_count_is_counted_under_a_lock(
    metrics: Metrics, count: Callable[[Metrics], None]
) -> None:
    before = page(metrics)
    metrics._cells = cast(Cells, Guarded(metrics._cells, metrics._lock))

    count(metrics)

    assert page(metrics) != before


def test_a_rollout_reads_the_page_and_the_death_of_a_worker_makes_no_requests(
    board: Board, metrics: Metrics
) -> None:
    dying = Metrics(board, 1, "delays", "7", "a")
    dying.answered(200, seconds=0.1)
    before = counters.parse(page(metrics))

    dying.answered(500, seconds=0.1)
    board.vacate(1)
    board.enter(1)
    Metrics(board, 1, "delays", "7", "a").answered(200, seconds=0.1)

    gained = counters.gained(before, counters.parse(page(metrics)), version="7")
    assert gained == Arm(requests=2, errors=1)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", b"text/plain"),
        ("text/plain", b"text/plain"),
        ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5", b"application/openmetrics"),
    ],
)
def test_the_page_is_in_the_format_that_is_accepted(
    metrics: Metrics, accept: str, kind: bytes
) -> None:
    body, told = Page(metrics.board, "delays", "a").text(accept)

    assert told.startswith(kind)
    assert body.endswith(b"# EOF\n") == kind.startswith(b"application/")


@pytest.mark.parametrize("edges", [(0.25, 0.5), (-2.0, 0.0, 1e7)], ids=["shares", "minutes"])
def test_both_formats_are_what_their_parsers_take(board: Board, edges: tuple[float, ...]) -> None:
    metrics = Metrics(board, 0, 'de"lays\n', "7\\", "a", edges)
    metrics.answered(404, seconds=0.1)
    metrics.scores(np.array([-3.0, 0.3]))

    plain = list(text_string_to_metric_families(page(metrics)))
    open_page = page(metrics, "application/openmetrics-text")
    # The library is typed but for this function.
    strict = list(openmetrics_families(open_page))  # type: ignore[no-untyped-call]

    for families in (plain, strict):
        assert all(family.documentation.endswith(".") for family in families)
        labels = [s.labels for f in families for s in f.samples if s.name == "inference_in_flight"]
        assert labels == [{"model": 'de"lays\n', "variant": "a"}]
    assert {s.name for f in plain for s in f.samples} == {s.name for f in strict for s in f.samples}
    assert "_created" not in page(metrics)


def test_says_what_each_living_worker_uses(board: Board, metrics: Metrics) -> None:
    pid = os.fork()
    if pid == 0:
        board.enter(1)
        os._exit(0)
    os.waitpid(pid, 0)  # it is gone, and its row was not vacated yet

    resident = lines(metrics, "process_resident_memory_bytes")
    assert list(resident) == ['worker="0"']
    assert 10 << 20 < resident['worker="0"'] < 8 << 30
    assert lines(metrics, "process_cpu_seconds_total")['worker="0"'] > 0
    assert lines(metrics, "process_open_fds")['worker="0"'] == pytest.approx(
        len(os.listdir("/proc/self/fd")), abs=2
    )
