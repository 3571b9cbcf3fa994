"""What one worker counts that belongs to no version of the model."""

import threading
from typing import Final

from inference.server.security.tokens import Reason
from inference.server.telemetry import board as b

_CELLS: Final = {reason: b.REFUSED + place for place, reason in enumerate(Reason)}


class Worker:
    """A row's own counters; from any thread."""

    def __init__(self, board: b.Board, worker: int) -> None:
        self._cells, self._lock = board.head(worker), threading.Lock()

    def unlogged(self, lines: int) -> None:
        """Count lines that the access log could not keep."""
        self._add(b.UNLOGGED, lines)

    def refused(self, reason: Reason) -> None:
        """Count a caller that was not let in."""
        self._add(_CELLS[reason], 1)

    def _add(self, cell: int, more: int) -> None:
        with self._lock:
            self._cells[cell] += more
