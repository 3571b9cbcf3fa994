"""A bounded queue before a model: batches that adapt, deadlines that are kept or refused.

While a batch is being predicted, what arrives waits; when a thread is free, it takes all that
fits together. So a lone request never waits for company, and a busy server makes few, large
batches. A request that could not be answered in time is refused when it arrives.
"""

import asyncio
import collections
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from components.foundation.signature import Array
from inference.server.telemetry.metrics import Metrics, Phase, Shed
from inference.transport.messages import Rejected

Tensors = Mapping[str, Array]
Predict = Callable[[Tensors], dict[str, Array]]

_LOG = logging.getLogger("server")
_WEIGHT = 0.1  # of the newest batch in the averages that deadlines are judged by
_TICK_SECONDS = 0.05  # how exactly a deadline is kept while a model is at work


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one model's queue.

    Attributes:
        requests: that may wait; 429 beyond.
        rows: in one batch; a larger request goes alone.
        concurrency: batches predicted at once.
    """

    requests: int = 1024
    rows: int = 256
    concurrency: int = 1


class Work:
    """One request in the queue; `done` is what its answer is waited for by."""

    __slots__ = ("deadline", "done", "form", "inputs", "rows", "since")

    def __init__(
        self, inputs: Tensors, *, rows: int, deadline: float, done: "asyncio.Future[Tensors]"
    ) -> None:
        self.inputs, self.rows, self.deadline, self.done = inputs, rows, deadline, done
        self.since = time.perf_counter()
        self.form = tuple(values.shape[1:] for values in inputs.values())


class Batcher:
    """The queue of one model; used on one event loop, predicting in a pool of threads."""

    def __init__(
        self,
        predict: Predict,
        *,
        pool: ThreadPoolExecutor,
        limits: Limits,
        metrics: Metrics,
        together: bool,
    ) -> None:
        self._predict, self._pool, self._limits, self._metrics = predict, pool, limits, metrics
        self._together = together  # the model takes any number of rows
        self._loop = asyncio.get_running_loop()
        self._waiting: collections.deque[Work] = collections.deque()
        self._running: set[Work] = set()
        self._batches = 0  # under way
        self._due = False  # a dispatch is scheduled
        self._ticking = False
        self._batch_seconds = self._request_seconds = 0.0  # averages

    async def predict(self, inputs: Tensors, *, rows: int, deadline: float = math.inf) -> Tensors:
        """Predict, maybe together with others.

        Args:
            inputs: an array an input, all with the same rows.
            rows: how many those are.
            deadline: loop time by which the answer is of use.

        Raises:
            Rejected: 429 with Retry-After where the queue is full or the deadline cannot be
                met, 504 where it was not met.
        """
        self._admit(deadline)
        work = Work(inputs, rows=rows, deadline=deadline, done=self._loop.create_future())
        self._waiting.append(work)
        self._metrics.queued(len(self._waiting))
        self._schedule()
        return await work.done

    def _admit(self, deadline: float) -> None:
        if len(self._waiting) >= self._limits.requests:
            raise self._refusal(Shed.QUEUE_FULL, "too many requests wait")
        busy = self._batches or self._waiting
        # An idle model is always tried: else one slow batch could close the door for ever.
        if busy and self._loop.time() + self.expected_seconds() > deadline:
            raise self._refusal(Shed.DEADLINE, "the deadline cannot be met")

    def expected_seconds(self) -> float:
        """Guess how long a request that arrives now would take."""
        ahead = len(self._waiting) * self._request_seconds / self._limits.concurrency
        under_way = 0.5 * self._batch_seconds if self._batches >= self._limits.concurrency else 0.0
        return ahead + under_way + self._batch_seconds

    async def idle(self) -> None:
        """Wait until nobody waits for this model any more."""
        while self._batches or self._waiting:
            await asyncio.sleep(_TICK_SECONDS)

    def _refusal(self, reason: Shed, message: str) -> Rejected:
        self._metrics.shed(reason)
        seconds = str(max(1, math.ceil(self.expected_seconds()))).encode()
        return Rejected(429, f"{message}; try again", headers=((b"retry-after", seconds),))

    def _schedule(self) -> None:
        """Dispatch at the end of this turn of the loop, so that what came together goes so."""
        if not self._due and self._batches < self._limits.concurrency:
            self._due = True
            self._loop.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._due = False
        while self._batches < self._limits.concurrency and (batch := self._take()):
            self._batches += 1
            self._running.update(batch)
            now = time.perf_counter()
            for work in batch:
                self._metrics.phase(Phase.QUEUE, now - work.since)
            self._pool.submit(self._run, batch)
        self._metrics.queued(len(self._waiting))
        if self._running and not self._ticking:
            self._tick()

    def _take(self) -> list[Work]:
        """Take the oldest request and, in order, those that fit to it."""
        batch: list[Work] = []
        kept: list[Work] = []
        rows = 0
        while self._waiting and rows < self._limits.rows:
            work = self._waiting.popleft()
            if work.done.done() or self._expired(work):
                continue
            if not batch or self._fits(work, batch[0], rows):
                batch.append(work)
                rows += work.rows
                if not self._together:
                    break
            else:
                kept.append(work)
        self._waiting.extendleft(reversed(kept))
        return batch

    def _fits(self, work: Work, first: Work, rows: int) -> bool:
        return work.form == first.form and rows + work.rows <= self._limits.rows

    def _expired(self, work: Work) -> bool:
        if self._loop.time() < work.deadline:
            return False
        self._metrics.shed(Shed.DEADLINE)
        work.done.set_exception(Rejected(504, "the deadline passed before the model was free"))
        return True

    def _tick(self) -> None:
        """Answer for what a model at work will answer too late."""
        now = self._loop.time()
        for work in self._running:
            if work.deadline <= now and not work.done.done():
                work.done.set_exception(Rejected(504, "the model did not answer by the deadline"))
        self._ticking = bool(self._running)
        if self._ticking:
            self._loop.call_later(_TICK_SECONDS, self._tick)

    def _run(self, batch: Sequence[Work]) -> None:
        """Predict, in a thread of the pool."""
        started = time.perf_counter()
        results = list(_results(self._predict, batch))
        seconds = time.perf_counter() - started
        self._loop.call_soon_threadsafe(self._finish, batch, results, seconds)

    def _finish(
        self, batch: Sequence[Work], results: Sequence[Tensors | Exception], seconds: float
    ) -> None:
        self._batches -= 1
        self._running.difference_update(batch)
        self._learn(seconds, len(batch))
        rows = sum(work.rows for work in batch)
        self._metrics.phase(Phase.PREDICT, seconds)
        self._metrics.batch(rows, requests=len(batch))
        for work, result in zip(batch, results, strict=True):
            if work.done.done():
                continue
            if isinstance(result, Exception):
                work.done.set_exception(result)
            else:
                work.done.set_result(result)
        if self._waiting:
            self._dispatch()

    def _learn(self, seconds: float, requests: int) -> None:
        weight = _WEIGHT if self._batch_seconds else 1.0
        self._batch_seconds += weight * (seconds - self._batch_seconds)
        self._request_seconds += weight * (seconds / requests - self._request_seconds)


def _results(predict: Predict, batch: Sequence[Work]) -> Iterator[Tensors | Exception]:
    """Predict a batch; where it fails, each request on its own, so that errors stay its own."""
    if len(batch) > 1:
        try:
            yield from _apart(predict(_joined(batch)), batch)
        # Whatever the model raises over the whole, each request is tried alone.
        except Exception:
            _LOG.debug("a batch of %d failed; each request is tried alone", len(batch))
        else:
            return
    for work in batch:
        try:
            yield predict(work.inputs)
        # A model raises what it likes; who waits is told, and counts it.
        except Exception as error:
            yield error


def _joined(batch: Sequence[Work]) -> Tensors:
    return {name: np.concatenate([work.inputs[name] for work in batch]) for name in batch[0].inputs}


def _apart(outputs: Tensors, batch: Sequence[Work]) -> list[Tensors]:
    """Give each request its rows; raises ValueError where the model lost or made some."""
    ends = np.cumsum([work.rows for work in batch])
    for name, values in outputs.items():
        if not values.ndim or len(values) != ends[-1]:
            raise ValueError(f"output {name}: {values.shape[:1]} rows, expected {ends[-1]}")
    starts = [0, *ends[:-1]]
    return [
        {name: values[start:end] for name, values in outputs.items()}
        for start, end in zip(starts, ends, strict=True)
    ]
