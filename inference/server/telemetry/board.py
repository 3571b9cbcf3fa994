"""What all workers count, in memory that they share.

A supervisor makes the board before it forks; each worker then writes its own row and no other,
so counting needs no lock between processes. Whoever is asked for metrics adds the rows up. A
worker that replaces a dead one takes its row and goes on counting, so no counter goes back.
"""

import enum
import mmap
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from inference.server.security.tokens import Reason
from inference.server.telemetry import layout, versions

Cells: TypeAlias = "memoryview[float]"

PID, STATE, IN_FLIGHT, QUEUED, UNLOGGED, REFUSED = range(6)  # REFUSED is the first of its cells
_HEAD = REFUSED + len(Reason)  # cells of a row before its slots
_ROW = _HEAD + versions.SLOTS * layout.SIZE
_CELL = 8
_DIRECTORY = -(-versions.SIZE // mmap.PAGESIZE) * mmap.PAGESIZE


class State(enum.IntEnum):
    """How far a worker is."""

    STARTING = 0
    READY = 1
    DRAINING = 2


@dataclass(frozen=True, slots=True)
class Opened:
    """A worker's cells of a version, and the edges that its scores have on this board."""

    cells: Cells
    edges: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Total:
    """A version's cells, added up over the workers."""

    version: str
    edges: tuple[float, ...]
    cells: Sequence[float]


class Board:
    """Rows of numbers, one a worker; `Board(workers=1)` serves a single process alike."""

    def __init__(self, *, workers: int) -> None:
        self.workers = workers
        # A file without a name and not a plain mapping: only a file can be locked.
        file = os.memfd_create("metrics")
        size = _DIRECTORY + workers * _ROW * _CELL
        os.ftruncate(file, size)
        memory = memoryview(mmap.mmap(file, size))
        self._versions = versions.Versions(file, memory[: versions.SIZE])
        self._cells: Cells = memory[_DIRECTORY:].cast("d")

    def enter(self, worker: int) -> None:
        """Take a row as the process that calls; what another left unfinished in it is gone."""
        self.vacate(worker)
        self.head(worker)[PID] = float(os.getpid())

    def vacate(self, worker: int) -> None:
        """Say that a worker has died; its counters stay."""
        head = self.head(worker)
        head[PID] = head[STATE] = head[IN_FLIGHT] = head[QUEUED] = 0.0

    def put(self, worker: int, state: State) -> None:
        """Say how far a worker is."""
        self.head(worker)[STATE] = float(state)

    def state(self, worker: int) -> State:
        return State(int(self.head(worker)[STATE]))

    @property
    def ready(self) -> int:
        """How many workers are ready."""
        return self._column(STATE).count(float(State.READY))

    def all_ready(self) -> bool:
        return self.ready == self.workers

    def sum(self, cell: int) -> float:
        """Add up a cell of the heads over all workers."""
        return sum(self._column(cell))

    def pids(self) -> list[tuple[int, int]]:
        """Return (worker, process) of those that live."""
        return [(worker, int(pid)) for worker, pid in enumerate(self._column(PID)) if pid]

    def head(self, worker: int) -> Cells:
        """Return what a row holds beside its versions: PID, STATE, IN_FLIGHT, ..."""
        start = worker * _ROW
        return self._cells[start : start + _HEAD]

    def open(self, worker: int, version: str, *, edges: Sequence[float] = ()) -> Opened:
        """Return a worker's cells of a version, as they were left if it has some.

        Edges count for the first who opens a version; the others are told which there are.

        Raises:
            UserError: a version's name is too long, or there are too many edges.
        """
        found = self._versions.open(version, edges=edges)
        cells = self._slot(worker, found.slot)
        if cells[layout.GENERATION] != found.generation:
            cells[layout.GENERATION] = 0.0  # nobody reads while an older life is wiped away
            cells[1:] = memoryview(bytes(cells.nbytes - _CELL)).cast("d")
            cells[layout.GENERATION] = found.generation
        return Opened(cells, found.edges)

    def totals(self) -> list[Total]:
        """Return every version's numbers over all workers, the first opened first."""
        return [self._total(version) for version in self._versions.all()]

    def _total(self, version: versions.Version) -> Total:
        rows = (self._slot(worker, version.slot) for worker in range(self.workers))
        living = [r.tolist() for r in rows if r[layout.GENERATION] == version.generation]
        cells = [sum(column) for column in zip(*living, strict=True)] or [0.0] * layout.SIZE
        return Total(version.name, version.edges, cells)

    def _column(self, cell: int) -> list[float]:
        return list(self._cells[cell::_ROW])

    def _slot(self, worker: int, slot: int) -> Cells:
        start = worker * _ROW + _HEAD + slot * layout.SIZE
        return self._cells[start : start + layout.SIZE]
