"""A bounded queue before a model: batches that adapt, deadlines that are kept or refused.

While a batch is being predicted, what arrives waits; when a thread is free, it takes what
fits together. So a lone request never waits for company, and a busy server makes few, large
batches: as large as is worth it, and no larger than the deadlines in it allow. A request that
could not be answered in time is refused when it arrives.
"""

import asyncio
import collections
import itertools
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from components.foundation.signature import Array
from inference.server.pace import Pace
from inference.server.telemetry.metrics import Metrics, Phase, Shed
from inference.transport.messages import Rejected

Tensors = Mapping[str, Array]
Predict = Callable[[Tensors], dict[str, Array]]

_LOG = logging.getLogger("server")
_SHARE = 0.4  # of the time that a request allows is one batch's at most: it may wait for another
_PART = 0.5  # of a batch that is of use is still worth one
_SURE = 0.9  # of the time that is left is planned with; guesses are no promises
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

    __slots__ = ("allowed", "deadline", "done", "form", "inputs", "rows", "since")

    def __init__(
        self,
        inputs: Tensors,
        *,
        rows: int,
        deadline: float,
        allowed: float,
        done: "asyncio.Future[Tensors]",
    ) -> None:
        self.inputs, self.rows, self.deadline, self.done = inputs, rows, deadline, done
        self.since, self.allowed = time.perf_counter(), allowed
        self.form = tuple(values.shape[1:] for values in inputs.values())


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Requests at work together since a loop time, for as many seconds as was guessed."""

    works: Sequence[Work]
    rows: int
    since: float
    seconds: float


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
        self._waiting_rows = 0
        self._running: set[Batch] = set()
        self._due = False  # a dispatch is scheduled
        self._ticking = False
        self._pace = Pace()

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
        allowed = deadline - self._loop.time()
        self.admit(rows, allowed=allowed)
        work = Work(
            inputs,
            rows=rows,
            deadline=deadline,
            allowed=allowed,
            done=self._loop.create_future(),
        )
        self._waiting.append(work)
        self._waiting_rows += rows
        self._metrics.queued(len(self._waiting))
        self._schedule()
        return await work.done

    def admit(self, rows: int, *, allowed: float) -> None:
        """Refuse what could not be answered within so many seconds, or has no room to wait.

        Raises:
            Rejected: 429 with Retry-After.
        """
        if len(self._waiting) >= self._limits.requests:
            raise self._refusal(Shed.QUEUE_FULL, "too many requests wait")
        busy = self._running or self._waiting
        # An idle model is always tried: else one slow batch could close the door for ever.
        if busy and self._expected_seconds(rows, allowed) > _SURE * allowed:
            raise self._refusal(Shed.DEADLINE, "the deadline cannot be met")

    def _expected_seconds(self, rows: int, allowed: float) -> float:
        """Guess how long a request that arrives now would take."""
        most = self._most_rows(allowed)
        before, beside = divmod(self._waiting_rows, most)
        ahead = before * self._pace.seconds(most) / self._limits.concurrency
        return self._free_in() + ahead + self._pace.seconds(beside + rows)

    def _free_in(self) -> float:
        """Guess when a batch can begin."""
        if len(self._running) < self._limits.concurrency:
            return 0.0
        now = self._loop.time()
        return max(0.0, min(batch.since + batch.seconds for batch in self._running) - now)

    def _most_rows(self, allowed: float) -> float:
        """Say how large a batch is of use to who allows so many seconds in all."""
        worth = min(self._pace.worth(), self._pace.rows(_SHARE * allowed))
        return max(1.0, min(worth, self._limits.rows))

    async def idle(self) -> None:
        """Wait until nobody waits for this model any more."""
        while self._running or self._waiting:
            await asyncio.sleep(_TICK_SECONDS)

    def _refusal(self, reason: Shed, message: str) -> Rejected:
        self._metrics.shed(reason)
        seconds = str(max(1, math.ceil(self._expected_seconds(1, math.inf)))).encode()
        return Rejected(429, f"{message}; try again", headers=((b"retry-after", seconds),))

    def _schedule(self) -> None:
        """Dispatch at the end of this turn of the loop, so that what came together goes so."""
        if not self._due and len(self._running) < self._limits.concurrency:
            self._due = True
            self._loop.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._due = False
        while len(self._running) < self._limits.concurrency and (works := self._take()):
            rows = sum(work.rows for work in works)
            batch = Batch(works, rows, self._loop.time(), self._pace.seconds(rows))
            self._running.add(batch)
            now = time.perf_counter()
            for work in works:
                self._metrics.phase(Phase.QUEUE, now - work.since)
            self._pool.submit(self._run, batch)
        self._metrics.queued(len(self._waiting))
        if self._running and not self._ticking:
            self._tick()

    def _take(self) -> list[Work]:
        """Take the oldest request and, in order, those that fit to it."""
        works: list[Work] = []
        kept: list[Work] = []
        room = math.inf
        while self._waiting and room > 0:
            work = self._waiting.popleft()
            if work.done.done() or self._expired(work):
                self._waiting_rows -= work.rows
            elif works and (not self._together or work.form != works[0].form):
                kept.append(work)
            elif works and work.rows > room:
                kept.append(work)
                break
            else:
                works.append(work)
                self._waiting_rows -= work.rows
                room = min(room, self._room(work)) - work.rows
        self._waiting.extendleft(reversed(kept))
        return works

    def _room(self, work: Work) -> float:
        """Say how many rows a batch with this request may have."""
        return min(self._most_rows(work.allowed), self._pace.rows(_SURE * self._left(work)))

    def _left(self, work: Work) -> float:
        return work.deadline - self._loop.time()

    def _expired(self, work: Work) -> bool:
        """Answer for a request that would be late, or make a batch too small for all behind it."""
        together = min(self._most_rows(work.allowed), self._waiting_rows)
        takes = self._pace.seconds(max(work.rows, _PART * together)) if self._waiting else 0.0
        if takes < self._left(work):
            return False
        self._metrics.shed(Shed.DEADLINE)
        work.done.set_exception(Rejected(504, "the deadline passed before the model was free"))
        return True

    def _tick(self) -> None:
        """Answer for what a model at work will answer too late."""
        now = self._loop.time()
        for work in itertools.chain.from_iterable(batch.works for batch in self._running):
            if work.deadline <= now and not work.done.done():
                work.done.set_exception(Rejected(504, "the model did not answer by the deadline"))
        self._ticking = bool(self._running)
        if self._ticking:
            self._loop.call_later(_TICK_SECONDS, self._tick)

    def _run(self, batch: Batch) -> None:
        """Predict, in a thread of the pool."""
        started = time.perf_counter()
        results = list(_results(self._predict, batch.works))
        seconds = time.perf_counter() - started
        self._loop.call_soon_threadsafe(self._finish, batch, results, seconds)

    def _finish(self, batch: Batch, results: Sequence[Tensors | Exception], seconds: float) -> None:
        self._running.discard(batch)
        self._pace.learn(batch.rows, self._loop.time() - batch.since)
        self._metrics.phase(Phase.PREDICT, seconds)
        self._metrics.batch(batch.rows, requests=len(batch.works))
        for work, result in zip(batch.works, results, strict=True):
            if work.done.done():
                continue
            if isinstance(result, Exception):
                work.done.set_exception(result)
            else:
                work.done.set_result(result)
        if self._waiting:
            self._dispatch()


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
