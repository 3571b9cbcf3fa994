"""The thread that turns predictions into lines on the shelf.

It shares Python's lock with the server. So it works in slices of about a millisecond, and
rests after each for several times as long as it took: under any load the server keeps most of
every core, and what this thread does not get to is dropped and counted.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence

from inference.observer.encoding import Rows, joined, lines
from inference.observer.limits import Limits
from inference.observer.observation import Prediction, Source
from inference.observer.recent import Recent
from inference.observer.shelf import Shelf
from inference.observer.uploader import Trouble, Uploader
from inference.observer.waiting import Waiting

_TURN_SECONDS = 0.1  # between two looks for predictions
_SLICE_ROWS, _SLICE_VALUES = 256, 4096
_APPEND_BYTES = 256 << 10
_REST = 4.0  # times what the work before it took


class Writer:
    """Empties `waiting` onto the shelf; seals parts by size and by age."""

    def __init__(
        self,
        source: Source,
        waiting: Waiting,
        shelf: Shelf,
        *,
        uploader: Uploader,
        dropped: Callable[[int], None],
        limits: Limits,
    ) -> None:
        self._source, self._waiting, self._shelf = source, waiting, shelf
        self._uploader, self._dropped, self._limits = uploader, dropped, limits
        self.in_hand = 0  # rows that have left `waiting` and are on no shelf yet
        self._recent = Recent(limits.recent_ids)
        self._texts: list[bytes] = []  # not yet on the shelf, and the ids of their rows
        self._ids: list[str] = []
        self._full = Trouble("observations are dropped")
        self._odd = Trouble("a prediction cannot be observed")
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="observer-write", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def finish(self, until: float) -> bool:
        """Write what waits until a monotonic time; say whether the thread has ended."""
        self._ending.set()
        self._thread.join(max(0.0, until - time.monotonic()))
        return not self._thread.is_alive()

    def _work(self) -> None:
        while not self._ending.wait(_TURN_SECONDS):
            self._turn()
        self._turn()
        self._seal()

    def _turn(self) -> None:
        """Write all that waits, then seal the open part if it is time."""
        while taken := self._waiting.take(_SLICE_ROWS):
            self.in_hand += sum(prediction.rows for prediction in taken)
            for rows in self._slices(taken):
                self._rested(rows)
        self._append()
        self.in_hand = 0
        opened = self._shelf.opened()
        # While parts wait anyway, the open one grows: an outage leaves few large parts.
        old = opened.age > self._limits.part_seconds and self._uploader.idle
        if opened.rows and (old or opened.size >= self._limits.part_bytes):
            self._seal()

    def _slices(self, taken: Sequence[Prediction]) -> Iterator[Rows]:
        """Put small predictions together and cut large ones."""
        for rows in self._together(taken):
            count = max(1, min(_SLICE_ROWS, _SLICE_VALUES // max(1, rows.width())))
            for first in range(0, len(rows.ids), count):
                yield rows.part(first, first + count)

    def _together(self, taken: Sequence[Prediction]) -> Sequence[Rows]:
        apart = [rows for rows in map(self._rows, taken) if rows is not None]
        try:
            return [joined(apart)] if apart else []
        except ValueError:  # they do not fit together
            return apart

    def _rows(self, prediction: Prediction) -> Rows | None:
        """Return the rows of a prediction that have not been seen before."""
        try:
            ids = prediction.names()
            rows = Rows.of(prediction, ids)
            fresh = self._recent.fresh(ids)
            if len(fresh) == len(ids):
                return rows
            return rows.only(fresh) if fresh else None
        # Whatever is wrong with one prediction, the others are to be kept.
        except Exception as error:
            self._lost(prediction.rows, error)
            return None

    def _rested(self, rows: Rows) -> None:
        """Encode a slice and rest, unless this is the end."""
        began = time.thread_time()
        self._encode(rows)
        if sum(map(len, self._texts)) >= _APPEND_BYTES:
            self._append()
        self._ending.wait((time.thread_time() - began) * _REST)

    def _encode(self, rows: Rows) -> None:
        """Encode rows; where that fails, all of them but the one that it fails for."""
        try:
            self._texts.append(lines(self._source, rows))
            self._ids += rows.ids
        # As above.
        except Exception as error:
            half = len(rows.ids) // 2
            if not half:
                self._lost(len(rows.ids), error)
                return
            self._encode(rows.part(0, half))
            self._encode(rows.part(half, len(rows.ids)))

    def _append(self) -> None:
        """Put what is encoded on the shelf, or count it as dropped."""
        texts, ids = self._texts, self._ids
        self._texts, self._ids = [], []
        self.in_hand -= len(ids)
        if not ids:
            return
        try:
            kept, why = self._shelf.append(b"".join(texts), rows=len(ids)), "the spool is full"
        except OSError as error:
            kept, why = False, str(error)
        if kept:
            self._full.over()
            return
        self._full.met(why)
        self._recent.forget(ids)
        self._dropped(len(ids))

    def _seal(self) -> None:
        rows = self._shelf.opened().rows
        try:
            self._shelf.seal()
        except OSError as error:
            self._full.met(error)
            self._dropped(rows)
        self._uploader.notify()

    def _lost(self, rows: int, error: Exception) -> None:
        self._odd.met(type(error).__name__)  # its text may hold values
        self._dropped(rows)
