"""What is measured: every scenario returns results, servers taking turns round by round."""

import asyncio
import contextlib
import dataclasses
import pathlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.serving import arrivals
from tests.benchmarks.serving.load import Generator
from tests.benchmarks.serving.models import COSTLY, DENSE, ECHO, TINY, WIDE_IN, Model
from tests.benchmarks.serving.payloads import Form, payload
from tests.benchmarks.serving.report import Goal, Result, Turns
from tests.benchmarks.serving.servers import (
    BARE,
    KSERVE,
    KSERVE_QUIET,
    LOOP,
    MLSERVER,
    OURS,
    SINK,
    Kind,
    Server,
    running,
)
from tests.benchmarks.serving.statistics import Sample

_DEADLINE = 0.5
_TIMES = (0.5, 1, 2, 3)  # capacity
_FIGURES: tuple[tuple[str, str, Callable[[arrivals.Arrivals], float]], ...] = (
    ("not answered well in time", "% of what came", lambda one: 100 * one.lost(_DEADLINE)),
    ("99 % of good answers within", "ms", lambda one: one.millis(0.99, status=200)),
)
_SLOW_ROWS, _SLOW_CALLS = 100, 6
_ROWS = (1, 100, 10_000)
_CALLS = (1, 8, 32, 64)

Measure = Callable[[Server], float]


@dataclass(frozen=True)
class Bench:
    """Where and how long to measure.

    Attributes:
        scratch: models, bodies and logs.
        rounds: how often each server has its turn.
        seconds: how long a turn is.
        server_cores: what one server may have; the scenario of growth takes more.
        load_cores: what the generators have.
    """

    scratch: pathlib.Path
    rounds: int
    seconds: float
    server_cores: Sequence[int]
    load_cores: Sequence[int]

    @property
    def generator(self) -> Generator:
        return Generator(self.scratch, self.load_cores)

    @contextlib.contextmanager
    def servers(self, kinds: Iterable[Kind], model: Model) -> Iterator[list[Server]]:
        """Run servers of one model, all on the same core; each was seen to answer right."""
        model.write(self.scratch / model.name)
        with contextlib.ExitStack() as stack:
            cores = self.server_cores
            yield [
                stack.enter_context(running(kind, model, self.scratch, cores=cores))
                for kind in kinds
            ]

    def turns(self, servers: Sequence[Server], measure: Measure) -> Turns:
        """Measure every server in every round, after one turn each that does not count."""
        taken: dict[str, list[float]] = {server.name: [] for server in servers}
        busy: dict[str, list[float]] = {server.name: [] for server in servers}
        for number in range(self.rounds + 1):
            for server in servers:
                began, used = time.perf_counter(), server.busy()
                value = measure(server)
                share = (server.busy() - used) / (time.perf_counter() - began)
                if number:
                    taken[server.name].append(value)
                    busy[server.name].append(share)
            print(".", end="", file=sys.stderr, flush=True)
        return Turns(_samples(taken), _samples(busy))

    def rate(self, model: Model, form: Form, *, rows: int = 1, connections: int = 8) -> Measure:
        """Return what measures good answers a second of a closed load."""
        sent = payload(model, form, rows=rows)

        def measure(server: Server) -> float:
            if form is Form.GRPC:
                load = self.generator.grpc(server, sent, calls=connections, seconds=self.seconds)
            else:
                load = self.generator.http(
                    server, sent, connections=connections, seconds=self.seconds
                )
            return load.rate

        return measure


def small_json(bench: Bench) -> list[Result]:
    """Take 16 floats in JSON: what every request costs."""
    kinds = (OURS, KSERVE, KSERVE_QUIET, MLSERVER, BARE)
    goals = (Goal("kserve", 5), Goal("kserve, log off", 3))
    with bench.servers(kinds, TINY) as servers:
        rates = bench.turns(servers, bench.rate(TINY, Form.JSON))
        weights = Turns({server.name: Sample((server.resident(),)) for server in servers})
    return [
        _work("small v2 JSON, 16 floats", "requests/s", rates, goals=goals),
        Result(
            "memory after it, same model", "MiB", weights, less_is_better=True,
            goals=(Goal("kserve", 2),),
        ),
    ]  # fmt: skip


def large_json(bench: Bench) -> list[Result]:
    """Take 150,000 floats in JSON, and give one or as many back."""
    kinds = (OURS, KSERVE, KSERVE_QUIET, MLSERVER, BARE)
    results = []
    for model, title in ((WIDE_IN, "150k floats in"), (ECHO, "150k floats in and out")):
        goals = (Goal("kserve", 8),) if model is WIDE_IN else ()
        longer = dataclasses.replace(bench, seconds=2 * bench.seconds)
        with longer.servers(kinds, model) as servers:
            rates = longer.turns(servers, longer.rate(model, Form.JSON, connections=4))
        results.append(_work(f"{title}, v2 JSON", "requests/s", rates, goals=goals))
    return results


def binary(bench: Bench) -> list[Result]:
    """Take tensors as they lie in memory: how near to what a socket can bring."""
    results = []
    with bench.servers((OURS, KSERVE_QUIET), TINY) as servers:
        rates = bench.turns(servers, bench.rate(TINY, Form.BINARY))
        results.append(_work("small v2 binary, 16 floats", "requests/s", rates))
    for kinds, rows, title in (
        ((OURS, KSERVE_QUIET, LOOP, SINK), 1, "150k"),
        ((OURS, LOOP, SINK), 10, "1.5m"),  # of which others answer none within a turn
    ):
        size = len(payload(WIDE_IN, Form.BINARY, rows=rows).body) / 1e6
        with bench.servers(kinds, WIDE_IN) as servers:
            requests = bench.rate(WIDE_IN, Form.BINARY, rows=rows, connections=4)
            rates = bench.turns(servers, _scaled(requests, size))
        results.append(_work(f"{title} floats in, v2 binary", "MB/s", rates))
    return results


def grpc(bench: Bench) -> list[Result]:
    """Take the same over gRPC, contents raw."""
    kinds = (OURS, KSERVE_QUIET, MLSERVER)
    results = []
    for model, title in ((TINY, "16 floats"), (WIDE_IN, "150k floats in")):
        with bench.servers(kinds, model) as servers:
            rates = bench.turns(servers, bench.rate(model, Form.GRPC))
        results.append(_work(f"gRPC, {title}", "requests/s", rates))
    return results


def liveness(bench: Bench) -> list[Result]:
    """Ask whether a server lives while slow predictions keep it busy."""
    with bench.servers((OURS, KSERVE, MLSERVER), COSTLY) as servers:
        times = bench.turns(servers, lambda server: asyncio.run(_liveness(bench, server)))
    title = f"liveness p99 while {_SLOW_CALLS} slow predictions run"
    limit = Goal("", 50, absolute=True)
    return [Result(title, "ms", times, less_is_better=True, goals=(limit,))]


async def _liveness(bench: Bench, server: Server) -> float:
    done = False
    slow = arrivals.written(payload(COSTLY, Form.JSON, rows=_SLOW_ROWS))
    busy, asking = arrivals.Client(server.port), arrivals.Client(server.port, keep=False)
    callers = [
        asyncio.create_task(arrivals.keep_busy(busy, slow, lambda: done))
        for _ in range(_SLOW_CALLS)
    ]
    await asyncio.sleep(0.3)
    live = arrivals.got("/v2/health/live")
    asked = await arrivals.probe(asking, live, every=0.02, seconds=bench.seconds)
    done = True
    statuses = [status for statuses in await asyncio.gather(*callers) for status in statuses]
    busy.close()
    if 200 not in statuses or asked.statuses().keys() - {200, 0}:
        raise RuntimeError(f"{server.name}: slow {statuses}, live {asked.statuses()}")
    return asked.millis(0.99)


def overload(bench: Bench) -> list[Result]:
    """Send less and more than a server can do: how much does good, how long good answers take."""
    results = []
    with bench.servers((OURS, KSERVE), COSTLY) as servers:
        for times in _TIMES:
            came: dict[str, list[arrivals.Arrivals]] = {server.name: [] for server in servers}
            shares = bench.turns(servers, _offered(bench, times, came))
            goals = (Goal("", 90, absolute=True),) if times == max(_TIMES) else ()
            title = f"goodput within {_DEADLINE:g} s at {times:g}x capacity, a model of some 5 ms"
            results.append(Result(title, "% of capacity", shares, goals=goals))
            for title, unit, figure in _FIGURES:
                taken = {name: [figure(one) for one in kept[1:]] for name, kept in came.items()}
                turns = Turns(_samples(taken))
                results.append(Result(f"  {title} at {times:g}x", unit, turns, less_is_better=True))
    return results


def _offered(bench: Bench, times: float, came: Mapping[str, list[arrivals.Arrivals]]) -> Measure:
    """Return what measures the share of its capacity that a server does in time, and keeps all."""
    # The client says a little less than it waits, for what lies between it and the server.
    sent = payload(COSTLY, Form.JSON, timeout=0.9 * _DEADLINE)
    closed = bench.rate(COSTLY, Form.JSON)

    def share(server: Server) -> float:
        # What it can do is measured anew each turn: a machine is not the same all the time.
        able = closed(server)
        arrived = asyncio.run(_arrive(bench, server, sent, able * times))
        came[server.name].append(arrived)
        return 100 * arrived.goodput(deadline=_DEADLINE) / able

    return share


async def _arrive(bench: Bench, server: Server, sent: Any, rate: float) -> arrivals.Arrivals:
    client = arrivals.Client(server.port)
    message = arrivals.written(sent)
    arrived = await arrivals.arrive(client, message, rate=rate, seconds=2 * bench.seconds)
    client.close()
    return arrived


def cores(bench: Bench) -> list[Result]:
    """Give a second worker a core; where there are two, the load takes its share of both."""
    results = []
    every = [*bench.server_cores, *bench.load_cores]
    for model, title in ((TINY, "small v2 JSON"), (COSTLY, "a model of some 5 ms")):
        for workers in (1, 2):
            options = ("--workers", str(workers), "--concurrency", "1")
            more = dataclasses.replace(bench, server_cores=every[:workers], load_cores=every)
            with more.servers((OURS.with_options(*options),), model) as servers:
                rates = more.turns(servers, more.rate(model, Form.JSON, connections=32))
            results.append(_work(f"{title}, {workers} worker(s) and core(s)", "requests/s", rates))
    return results


def payloads(bench: Bench) -> list[Result]:
    """Send more rows a request."""
    results = []
    with bench.servers((OURS, KSERVE_QUIET), TINY) as servers:
        for form in (Form.JSON, Form.BINARY):
            for rows in _ROWS:
                rates = bench.turns(servers, _scaled(bench.rate(TINY, form, rows=rows), rows))
                results.append(_work(f"{rows} rows a request, {form.value}", "rows/s", rates))
    return results


def batches(bench: Bench) -> list[Result]:
    """Send more requests at once to a model that is cheaper by the batch."""
    results = []
    with bench.servers((OURS, KSERVE_QUIET), DENSE) as servers:
        for calls in _CALLS:
            rates = bench.turns(servers, bench.rate(DENSE, Form.JSON, connections=calls))
            results.append(_work(f"{calls} at once, dense model", "requests/s", rates))
    return results


def _work(title: str, unit: str, turns: Turns, goals: Sequence[Goal] = ()) -> Result:
    return Result(title, unit, turns, by_work=True, goals=goals)


def _samples(values: Mapping[str, Sequence[float]]) -> dict[str, Sample]:
    return {name: Sample(tuple(taken)) for name, taken in values.items()}


def _scaled(measure: Measure, factor: float) -> Measure:
    return lambda server: measure(server) * factor


SCENARIOS: Mapping[str, Callable[[Bench], list[Result]]] = {
    "small": small_json,
    "large": large_json,
    "binary": binary,
    "grpc": grpc,
    "liveness": liveness,
    "overload": overload,
    "cores": cores,
    "payloads": payloads,
    "batches": batches,
}
