"""What the server counts, under the names that rollouts are judged by."""

import threading
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from components.foundation.signature import Array
from inference.server.telemetry import board as b
from inference.server.telemetry import layout, scores
from inference.server.telemetry.layout import Histogram, Phase, Shed

__all__ = ["Metrics", "Phase", "Shed"]


@dataclass(slots=True)
class Metrics:
    """Counters of one model, version and variant in one worker.

    `answered`, `shed`, `in_flight` and `queued` are for the thread of the event loop alone;
    everything else may be called from any thread.

    Attributes:
        board: where the workers' numbers meet.
        worker: the row of this process, which has entered it.
        score_edges: bins of the scores, as `scores.read_edges` finds them; none: no scores.
    """

    board: b.Board
    worker: int
    model: str
    version: str
    variant: str
    score_edges: Sequence[float] = ()
    _cells: b.Cells = field(init=False, repr=False)
    _head: b.Cells = field(init=False, repr=False)
    _scores: Histogram = field(init=False, repr=False)
    _lock: threading.Lock = field(init=False, repr=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        opened = self.board.open(self.worker, self.version, edges=self.score_edges)
        self._cells, self._scores = opened.cells, layout.score_histogram(opened.edges)
        self._head = self.board.head(self.worker)

    def answered(self, code: int, *, seconds: float) -> None:
        """Count an answer by its HTTP status (gRPC: the status it stands for)."""
        if not layout.FIRST_CODE <= code <= layout.LAST_CODE:
            raise ValueError(f"{code} is no HTTP status")
        cells = self._cells
        cells[layout.CODES - layout.FIRST_CODE + code] += 1.0
        cells[_SECONDS + bisect_left(_REQUEST_EDGES, seconds)] += 1.0
        cells[_SECONDS_SUM] += seconds

    def shed(self, reason: Shed) -> None:
        """Count a request that was refused for lack of room or time."""
        self._cells[layout.SHED + reason] += 1.0

    def in_flight(self, change: int) -> None:
        """Count requests that have come (+1) and are answered (-1)."""
        self._head[b.IN_FLIGHT] += change

    def queued(self, requests: int) -> None:
        """Say how many requests wait for a prediction now."""
        self._head[b.QUEUED] = requests

    def phase(self, phase: Phase, seconds: float) -> None:
        """Count the time of one part of a request."""
        histogram, cells = _PHASES[phase], self._cells
        place = histogram.at + bisect_left(histogram.edges, seconds)
        with self._lock:
            cells[place] += 1.0
            cells[histogram.sum] += seconds

    def batch(self, rows: int, *, requests: int) -> None:
        """Count a prediction by its rows, and by the requests they came in."""
        cells = self._cells
        of_rows = _ROWS.at + bisect_left(_ROWS.edges, rows)
        of_requests = _REQUESTS.at + bisect_left(_REQUESTS.edges, requests)
        with self._lock:
            cells[of_rows] += 1.0
            cells[_ROWS.sum] += rows
            cells[of_requests] += 1.0
            cells[_REQUESTS.sum] += requests

    def scores(self, values: Array) -> None:
        """Count a batch's scores in the profile's bins, where there is a profile."""
        if not self._scores.edges:
            return
        bins, missing, total = scores.count(values, self._scores.edges)
        cells, first = self._cells, self._scores.at
        with self._lock:
            for place, number in bins.items():
                cells[first + place] += number
            cells[self._scores.sum] += total
            cells[layout.MISSING] += missing

    def dropped(self, rows: int) -> None:
        """Count observations that could not be kept."""
        with self._lock:
            self._cells[layout.DROPPED] += rows


_SECONDS, _SECONDS_SUM = layout.SECONDS.at, layout.SECONDS.sum
_REQUEST_EDGES, _PHASES = layout.REQUEST_EDGES, layout.PHASES
_ROWS, _REQUESTS = layout.BATCH_ROWS, layout.BATCH_REQUESTS
