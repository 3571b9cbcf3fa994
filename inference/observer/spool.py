"""A bounded buffer between predictions and a sink.

A prediction is put down without waiting; a thread of its own writes parts. What finds the
buffer full, or is left when the server has to end, is counted as dropped.
"""

import collections
import logging
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from components.foundation.errors import FalajError
from inference.observer.observation import Prediction, Source
from inference.observer.sinks import Sink

_LOG = logging.getLogger("observer")


@dataclass(frozen=True, slots=True)
class Limits:
    """Rows a part, rows in memory, and seconds between parts, between tries, for the end."""

    part_rows: int = 1000
    held_rows: int = 50_000
    part_seconds: float = 2.0
    retry_seconds: float = 1.0
    close_seconds: float = 5.0


class Spool:
    """Takes predictions from any thread; one thread of ours writes them."""

    def __init__(
        self, source: Source, sink: Sink, *, dropped: Callable[[int], None], limits: Limits
    ) -> None:
        self._source, self._sink = source, sink
        self._dropped, self._limits = dropped, limits
        self._waiting: collections.deque[Prediction] = collections.deque()
        self._held = 0  # rows waiting or being written
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="observer", daemon=True)
        self._thread.start()

    def add(self, prediction: Prediction) -> None:
        """Take a prediction, or count its rows as dropped; never wait, never raise."""
        rows = len(prediction.ids)
        with self._changed:
            if self._closing or self._held + rows > self._limits.held_rows:
                self._dropped(rows)
                return
            self._waiting.append(prediction)
            self._held += rows
            if self._held >= self._limits.part_rows:
                self._changed.notify()

    def close(self) -> None:
        """Write what is left, for as long as the limits allow; count the rest as dropped."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(self._limits.close_seconds)
        with self._changed:
            if self._held:
                _LOG.error("%d observations were not written in time", self._held)
                self._dropped(self._held)

    def _work(self) -> None:
        while batch := self._next_batch():
            self._write(batch)
            with self._changed:
                self._held -= sum(len(prediction.ids) for prediction in batch)

    def _next_batch(self) -> list[Prediction]:
        """Wait for a part's worth of rows, or its time; nothing means that we are closing."""
        with self._changed:
            while True:
                self._changed.wait_for(self._due, self._limits.part_seconds)
                if self._waiting or self._closing:
                    return self._take_part()

    def _due(self) -> bool:
        return self._closing or self._held >= self._limits.part_rows

    def _take_part(self) -> list[Prediction]:
        batch: list[Prediction] = []
        rows = 0
        while self._waiting and rows < self._limits.part_rows:
            batch.append(self._waiting.popleft())
            rows += len(batch[-1].ids)
        return batch

    def _write(self, batch: list[Prediction]) -> None:
        """Write a part; try again until it is written, while the buffer takes what comes."""
        name = f"part-{time.time_ns()}-{uuid.uuid4().hex[:12]}.jsonl"
        data = b"".join(line for prediction in batch for line in self._source.lines(prediction))
        while True:
            try:
                self._sink.write(name, data)
                return
            except FalajError as error:
                _LOG.warning("observations wait: %s", error)
                time.sleep(self._limits.retry_seconds)
