"""Predictions between the answer and the writer: bounded in bytes, and put down in no time."""

import collections
import threading
from collections.abc import Callable

from inference.observer.observation import Prediction


class Waiting:
    """Takes from any thread, never waits for anyone but its own short lock."""

    def __init__(self, *, most: int, dropped: Callable[[int], None]) -> None:
        self._most, self._dropped = most, dropped
        self._queue: collections.deque[tuple[Prediction, int]] = collections.deque()
        self._bytes = 0
        self._closed = False
        self._lock = threading.Lock()

    def put(self, prediction: Prediction) -> None:
        """Take a prediction; where there is no room or it is too late, count its rows."""
        size = prediction.held_bytes()
        with self._lock:
            taken = not self._closed and self._bytes + size <= self._most
            if taken:
                self._queue.append((prediction, size))
                self._bytes += size
        if not taken:
            self._dropped(prediction.rows)

    def take(self, rows: int) -> list[Prediction]:
        """Give the oldest: at least one if there is any, about as many rows as asked for."""
        taken: list[Prediction] = []
        with self._lock:
            while self._queue and rows > 0:
                prediction, size = self._queue.popleft()
                self._bytes -= size
                rows -= prediction.rows
                taken.append(prediction)
        return taken

    def close(self) -> None:
        """Take nothing more."""
        with self._lock:
            self._closed = True

    def clear(self) -> int:
        """Forget all that waits; return how many rows those were."""
        with self._lock:
            rows = sum(prediction.rows for prediction, _ in self._queue)
            self._queue.clear()
            self._bytes = 0
        return rows
