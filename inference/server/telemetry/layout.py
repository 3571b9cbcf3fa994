"""Where each number of one version lies among its cells."""

import enum
from dataclasses import dataclass

MAX_EDGES = 64  # of a score's bins; a profile makes at most some forty


class Phase(enum.IntEnum):
    """What a request's time goes into."""

    PARSE = 0
    QUEUE = 1
    PREDICT = 2
    ENCODE = 3


class Shed(enum.IntEnum):
    """Why a request was refused although nothing was wrong with it."""

    QUEUE_FULL = 0
    DEADLINE = 1
    MEMORY = 2


@dataclass(frozen=True, slots=True)
class Histogram:
    """Bins from cell `at` on: bin i holds edges[i-1] < value <= edges[i]; then the sum."""

    at: int
    edges: tuple[float, ...]
    sum: int
    end: int

    @classmethod
    def at_cell(cls, at: int, edges: tuple[float, ...]) -> "Histogram":
        last = at + len(edges) + 1
        return cls(at, edges, last, last + 1)


REQUEST_EDGES = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
PHASE_EDGES = (0.00005, 0.0001, 0.0002, *REQUEST_EDGES)
ROW_EDGES = tuple(float(1 << power) for power in range(0, 15, 2))
REQUESTS_EDGES = tuple(float(1 << power) for power in range(8))

GENERATION = 0  # which life of its slot the cells belong to
FIRST_CODE, LAST_CODE = 100, 599
CODES = 1
SECONDS = Histogram.at_cell(CODES + LAST_CODE - FIRST_CODE + 1, REQUEST_EDGES)
PARSE = Histogram.at_cell(SECONDS.end, PHASE_EDGES)
QUEUE = Histogram.at_cell(PARSE.end, PHASE_EDGES)
PREDICT = Histogram.at_cell(QUEUE.end, PHASE_EDGES)
ENCODE = Histogram.at_cell(PREDICT.end, PHASE_EDGES)
PHASES = (PARSE, QUEUE, PREDICT, ENCODE)
BATCH_ROWS = Histogram.at_cell(ENCODE.end, ROW_EDGES)
BATCH_REQUESTS = Histogram.at_cell(BATCH_ROWS.end, REQUESTS_EDGES)
SHED = BATCH_REQUESTS.end
DROPPED = SHED + len(Shed)
MISSING = DROPPED + 1
SCORES = MISSING + 1  # bins between as many edges as the version has, then the sum
SIZE = SCORES + MAX_EDGES + 2


def score_histogram(edges: tuple[float, ...]) -> Histogram:
    """Return where the scores of a version with these edges are counted."""
    return Histogram.at_cell(SCORES, edges)
