"""The queue before a model: what goes together, what is refused, whose error it is."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from inference.server.batching import Batcher, Limits, Tensors
from inference.server.telemetry.board import Board
from inference.server.telemetry.metrics import Metrics
from inference.transport.messages import Rejected


class Doubling:
    """A model that notes what it was given, and waits until it is let."""

    def __init__(self, *, open: bool = True) -> None:
        self.batches: list[list[float]] = []
        self.gate = threading.Event()
        if open:
            self.gate.set()

    def __call__(self, inputs: Tensors) -> dict[str, Any]:
        values = inputs["x"]
        self.batches.append(values.reshape(len(values), -1)[:, 0].tolist())
        assert self.gate.wait(5)
        if (values < 0).any():
            raise ValueError("negative")
        return {"y": values * 2}


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as threads:
        yield threads


Make = Callable[..., Batcher]


@pytest.fixture
def make(pool: ThreadPoolExecutor) -> Make:
    board = Board(workers=1)
    board.enter(0)
    metrics = Metrics(board, 0, "m", "1", "a")

    def batcher(model: Any, *, together: bool = True, **limits: Any) -> Batcher:
        return Batcher(
            model, pool=pool, limits=Limits(**limits), metrics=metrics, together=together
        )

    return batcher


def rows(*values: float, width: int = 1) -> dict[str, Any]:
    return {"x": np.repeat(np.array(values, np.float32)[:, None], width, axis=1)}


async def asked(batcher: Batcher, *inputs: dict[str, Any]) -> list[Any]:
    return await asyncio.gather(
        *(batcher.predict(x, rows=len(x["x"])) for x in inputs), return_exceptions=True
    )


def firsts(outputs: list[Any]) -> list[Any]:
    return [out if isinstance(out, Exception) else out["y"][:, 0].tolist() for out in outputs]


def test_what_waits_together_is_predicted_together(make: Make) -> None:
    model = Doubling()

    async def scenario() -> list[Any]:
        return await asked(make(model), rows(1), rows(2, 3), rows(4))

    assert firsts(asyncio.run(scenario())) == [[2], [4, 6], [8]]
    assert model.batches == [[1, 2, 3, 4]]


def test_a_batch_grows_while_the_one_before_it_is_predicted(make: Make) -> None:
    model = Doubling(open=False)

    async def scenario() -> list[Any]:
        batcher = make(model)
        first = asyncio.ensure_future(asked(batcher, rows(1)))
        await asyncio.sleep(0.05)
        others = asyncio.ensure_future(asked(batcher, *(rows(n) for n in (2, 3, 4))))
        await asyncio.sleep(0.05)
        model.gate.set()
        return [*await first, *await others]

    assert firsts(asyncio.run(scenario())) == [[2], [4], [6], [8]]
    assert model.batches == [[1], [2, 3, 4]]


def test_shapes_are_never_mixed_and_keep_their_order(make: Make) -> None:
    model = Doubling()

    async def scenario() -> list[Any]:
        return await asked(make(model), rows(1), rows(2, width=3), rows(3), rows(4, width=3))

    outputs = asyncio.run(scenario())
    assert [out["y"].shape for out in outputs] == [(1, 1), (1, 3), (1, 1), (1, 3)]
    assert model.batches == [[1, 3], [2, 4]]


def test_a_model_of_fixed_batch_gets_one_request_at_a_time(make: Make) -> None:
    model = Doubling()

    async def scenario() -> list[Any]:
        return await asked(make(model, together=False), rows(1), rows(2))

    assert firsts(asyncio.run(scenario())) == [[2], [4]]
    assert model.batches == [[1], [2]]


def test_a_batch_holds_no_more_rows_than_allowed(make: Make) -> None:
    model = Doubling()

    async def scenario() -> list[Any]:
        return await asked(make(model, rows=3), rows(1, 2), rows(3, 4), rows(5), rows(*range(9)))

    asyncio.run(scenario())
    assert model.batches == [[1, 2], [3, 4, 5], [0, 1, 2, 3, 4, 5, 6, 7, 8]]


def test_an_error_stays_with_the_request_that_caused_it(make: Make) -> None:
    model = Doubling()

    async def scenario() -> list[Any]:
        return await asked(make(model), rows(1), rows(-1), rows(3))

    first, second, third = firsts(asyncio.run(scenario()))
    assert (first, third) == ([2], [6])
    assert isinstance(second, ValueError)


def test_a_model_that_loses_rows_is_asked_one_by_one(make: Make) -> None:
    def first_row(inputs: Tensors) -> dict[str, Any]:
        return {"y": inputs["x"][:1]}

    async def scenario() -> list[Any]:
        return await asked(make(first_row), rows(1), rows(2))

    assert firsts(asyncio.run(scenario())) == [[1], [2]]


def test_concurrency_is_bounded(make: Make) -> None:
    at_once, most, lock = 0, 0, threading.Lock()

    def model(inputs: Tensors) -> dict[str, Any]:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.01)
        with lock:
            at_once -= 1
        return {"y": inputs["x"]}

    async def scenario() -> list[Any]:
        return await asked(make(model, together=False, concurrency=2), *[rows(n) for n in range(9)])

    asyncio.run(scenario())
    assert most == 2


def refused(scenario: Callable[[], Awaitable[Any]]) -> Rejected:
    with pytest.raises(Rejected) as told:
        asyncio.run(scenario())  # type: ignore[arg-type] # a coroutine
    return told.value


def test_a_full_queue_refuses_at_once(make: Make) -> None:
    model = Doubling(open=False)

    async def scenario() -> None:
        batcher = make(model, requests=1)
        waiting = []
        for n in range(2):
            waiting.append(asyncio.ensure_future(asked(batcher, rows(n))))
            await asyncio.sleep(0.02)
        try:
            await batcher.predict(rows(9), rows=1)
        finally:
            model.gate.set()
            await asyncio.gather(*waiting)

    why = refused(scenario)
    assert (why.status, dict(why.headers)) == (429, {b"retry-after": b"1"})


def slow(inputs: Tensors) -> dict[str, Any]:
    time.sleep(0.1)
    return {"y": inputs["x"]}


@pytest.mark.alone
def test_what_cannot_meet_its_deadline_is_refused_when_it_comes(make: Make) -> None:
    async def scenario() -> None:
        batcher = make(slow, together=False)
        await batcher.predict(rows(0), rows=1)  # from now on it is known how long one takes
        waiting = [asyncio.ensure_future(asked(batcher, rows(n))) for n in range(5)]
        await asyncio.sleep(0.02)
        asked_at = asyncio.get_running_loop().time()
        try:
            await batcher.predict(rows(9), rows=1, deadline=asked_at + 0.3)
        finally:
            assert asyncio.get_running_loop().time() - asked_at < 0.05
            await asyncio.gather(*waiting)

    assert refused(scenario).status == 429


def test_an_idle_model_is_tried_whatever_it_took_before(make: Make) -> None:
    async def scenario() -> Any:
        batcher = make(slow)
        await batcher.predict(rows(0), rows=1)
        batcher._pace.learn(1, 60.0)
        now = asyncio.get_running_loop().time()
        return await batcher.predict(rows(1), rows=1, deadline=now + 1)

    assert asyncio.run(scenario())["y"].tolist() == [[1]]


def test_a_deadline_that_passes_while_the_model_works_is_told_then(make: Make) -> None:
    model = Doubling(open=False)

    async def scenario() -> None:
        now = asyncio.get_running_loop().time()
        try:
            await make(model).predict(rows(1), rows=1, deadline=now + 0.05)
        finally:
            assert asyncio.get_running_loop().time() - now < 1
            model.gate.set()

    assert refused(scenario).status == 504


def test_what_nobody_waits_for_any_more_is_not_predicted(make: Make) -> None:
    model = Doubling(open=False)

    async def scenario() -> None:
        batcher = make(model)
        first = asyncio.ensure_future(asked(batcher, rows(1)))
        await asyncio.sleep(0.02)
        gone = asyncio.ensure_future(batcher.predict(rows(2), rows=1))
        await asyncio.sleep(0.02)
        gone.cancel()
        model.gate.set()
        await first
        await batcher.idle()

    asyncio.run(scenario())
    assert model.batches == [[1]]


@pytest.mark.alone
@pytest.mark.parametrize(
    ("fixed", "each", "allowed"),
    [(0.0, 4e-3, 2.0), (2e-2, 2e-3, 0.4)],
    ids=["cost by the row", "cost by the batch"],
)
def test_batches_stay_within_the_deadlines_under_three_times_the_load(
    make: Make, fixed: float, each: float, allowed: float
) -> None:
    """A batch of all that wait would be late as a whole; batches of one would waste the model."""
    rate = 0.85 / (fixed / 40 + each)  # in batches of 40, with what a sleep takes more

    def model(inputs: Tensors) -> dict[str, Any]:
        time.sleep(fixed + each * len(inputs["x"]))
        return {"y": inputs["x"]}

    async def one(batcher: Batcher) -> int:
        deadline = asyncio.get_running_loop().time() + allowed
        try:
            await batcher.predict(rows(1), rows=1, deadline=deadline)
        except Rejected as rejected:
            return rejected.status
        return 200

    async def scenario() -> tuple[list[int], float]:
        batcher, started = make(model), time.monotonic()
        tasks: list[asyncio.Future[int]] = []
        while (lasted := time.monotonic() - started) < 3:
            due = int(3 * rate * lasted) - len(tasks)
            tasks += [asyncio.ensure_future(one(batcher)) for _ in range(due)]
            await asyncio.sleep(1e-3)
        return await asyncio.gather(*tasks), lasted

    statuses, lasted = asyncio.run(scenario())
    assert statuses.count(200) > 0.9 * rate * lasted
    assert statuses.count(429) > statuses.count(504)


@pytest.mark.alone
def test_goodput_stays_near_capacity_at_three_times_the_load(make: Make) -> None:
    """Capacity is 100 a second; 300 a second come, each with 100 ms; counted, not timed."""
    done = refusals = 0

    def model(inputs: Tensors) -> dict[str, Any]:
        time.sleep(0.01)
        return {"y": inputs["x"]}

    async def one(batcher: Batcher) -> None:
        nonlocal done, refusals
        try:
            deadline = asyncio.get_running_loop().time() + 0.1
            await batcher.predict(rows(1), rows=1, deadline=deadline)
            done += 1
        except Rejected:
            refusals += 1

    async def scenario() -> float:
        batcher, tasks = make(model, together=False), []
        started = time.monotonic()
        for _ in range(300):
            tasks.append(asyncio.ensure_future(one(batcher)))
            await asyncio.sleep(1 / 300)
        lasted = time.monotonic() - started
        await asyncio.gather(*tasks)
        return lasted

    lasted = asyncio.run(scenario())
    assert done + refusals == 300
    assert refusals > 100
    assert done > 0.8 * lasted * 90
