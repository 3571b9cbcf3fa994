"""One process of the server, from its listening socket to its drained end."""

import asyncio
import contextlib
import logging
import math
import os
import signal
import socket
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass

import uvloop

from components.foundation.errors import FalajError
from inference.observer.limits import Limits as SpoolLimits
from inference.observer.observation import Source
from inference.observer.sinks import sink
from inference.observer.spool import Spool
from inference.server.app import App
from inference.server.batching import Batcher
from inference.server.options import Options
from inference.server.runtimes import Model, load
from inference.server.security.tokens import Gate
from inference.server.service import Served, Service
from inference.server.telemetry import scores
from inference.server.telemetry.access_log import AccessLog
from inference.server.telemetry.board import Board, State
from inference.server.telemetry.exposition import Page
from inference.server.telemetry.following import Follower
from inference.server.telemetry.metrics import Metrics
from inference.server.telemetry.worker import Worker
from inference.transport.limits import Budget
from inference.transport.server import DRAIN_SECONDS, Server
from inference.transport.tls import Certificates

_LOG = logging.getLogger("server")


@dataclass(frozen=True, slots=True)
class Shared:
    """What all workers are given, made before the first of them."""

    options: Options
    listener: socket.socket
    board: Board
    gate: Gate
    certificates: Certificates | None
    environment: Mapping[str, str]  # the AWS_* names, for observations


def run(shared: Shared, worker: int) -> int:
    """Serve until a signal says to end; return the exit code."""
    shared.board.enter(worker)
    try:
        uvloop.run(Process(shared, worker).serve())
    except FalajError as error:
        _LOG.error("%s", error.shown)
        return error.exit_code
    return 0


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What was read from the folder."""

    model: Model
    metrics: Metrics
    spool: Spool | None

    def close(self) -> None:
        """Let go of what nobody was ever served with; blocks."""
        if self.spool is not None:
            self.spool.close()


class Process:
    """A worker: its service, its threads, and the signals that it heeds."""

    def __init__(self, shared: Shared, worker: int) -> None:
        self._shared, self._options, self._worker = shared, shared.options, worker
        self._ending = asyncio.Event()
        self._until = math.inf  # loop time by which all is to have ended
        self._reloading: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        """Listen, load, serve, drain; raises FalajError where the model cannot be served."""
        options, shared = self._options, self._shared
        self._heed_signals()
        counts = Worker(shared.board, self._worker)
        with (
            contextlib.closing(AccessLog(options.access_log, dropped=counts.unlogged)) as log,
            ThreadPoolExecutor(1, "aside") as aside,
            self._pool() as pool,
        ):
            service = Service(
                options.model_name, timeout=options.timeout, all_ready=shared.board.all_ready
            )
            follower = Follower(log, variant=options.variant)
            server = Server(self._app(service, aside, follower), options.limits)
            listening = server.protected(shared.listener, shared.certificates)
            async with shared.gate.running(counts.refused), listening:
                await self._load(service, pool)
                async with self._grpc(service, aside, follower, server.budget):
                    await self._until_told(service, pool)
                    shared.listener.close()  # else the kernel goes on taking connections for it
            await self._close(service.served)
            stuck = await self._stuck()
        _LOG.info("drained")
        if stuck:
            _cut()

    def _heed_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ending.set)

    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._options.concurrency, "predict")

    def _app(self, service: Service, aside: Executor, follower: Follower) -> App:
        options, shared = self._options, self._shared
        page = Page(shared.board, options.model_name, options.variant, shared.certificates)
        return App(service, aside=aside, gate=shared.gate, follower=follower, page=page)

    async def _load(self, service: Service, pool: ThreadPoolExecutor) -> None:
        """Serve what the folder holds now; what was served goes on for those who began with it."""
        loaded = await asyncio.to_thread(self._loaded)
        if self._ending.is_set():  # who is still to be answered began with what was before
            await asyncio.to_thread(loaded.close)
            return
        model = loaded.model
        before, service.served = service.served, self._served(loaded, pool)
        self._shared.board.put(self._worker, State.READY)
        host, port = self._shared.listener.getsockname()[:2]
        where = f"{self._scheme}://{host}:{port}"
        _LOG.info("%s, version %s, on %s", model.name, model.version, where)
        await self._close(before)

    @property
    def _scheme(self) -> str:
        return "http" if self._shared.certificates is None else "https"

    def _loaded(self) -> _Loaded:
        """Read the folder and open what a model needs; blocks."""
        options = self._options
        model = load(
            options.model_dir,
            name=options.model_name,
            threads=options.threads,
            unsafe_unsealed=options.unsafe_unsealed_program,
        )
        metrics = Metrics(
            self._shared.board,
            self._worker,
            model.name,
            model.version,
            options.variant,
            scores.read_edges(options.model_dir),
        )
        return _Loaded(model, metrics, self._spool(model, metrics))

    def _served(self, loaded: _Loaded, pool: ThreadPoolExecutor) -> Served:
        model, metrics = loaded.model, loaded.metrics
        batcher = Batcher(
            model.predict,
            pool=pool,
            limits=self._options.queueing,
            metrics=metrics,
            together=model.batches,
        )
        return Served(model, metrics, batcher, loaded.spool)

    def _spool(self, model: Model, metrics: Metrics) -> Spool | None:
        options = self._options
        if not options.observations:
            return None
        return Spool.open(
            Source(model.name, model.version, options.variant),
            sink(options.observations, self._shared.environment),
            options.spool_dir,
            dropped=metrics.dropped,
            limits=SpoolLimits(spool_bytes=options.spool_mib << 20),
        )

    async def _close(self, served: Served | None) -> None:
        """Let go of what is served no more, once everybody has been answered."""
        if served is None:
            return
        await served.batcher.idle()
        if served.spool is not None:
            await asyncio.to_thread(served.spool.close)

    @contextlib.asynccontextmanager
    async def _grpc(
        self, service: Service, aside: Executor, follower: Follower, budget: Budget
    ) -> AsyncIterator[None]:
        """Listen over gRPC, where that is wanted."""
        options, certificates = self._options, self._shared.certificates
        if options.grpc_port is None:
            yield
            return
        from inference.server.grpc_server import Address, Bounds, GrpcServer

        server = GrpcServer(
            service,
            aside=aside,
            authorize=self._shared.gate.authorize,
            follower=follower,
            budget=budget,
            bounds=Bounds(options.limits),
        )
        credentials = None if certificates is None else certificates.grpc_credentials()
        address = Address(options.host, options.grpc_port, credentials, options.workers > 1)
        async with server.listening(address, grace=DRAIN_SECONDS) as port:
            _LOG.info("gRPC on %s:%d", options.host, port)
            yield

    async def _until_told(self, service: Service, pool: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._reload, service, pool)
        await self._ending.wait()
        service.draining = True
        self._shared.board.put(self._worker, State.DRAINING)
        await asyncio.sleep(self._options.drain_delay_s)
        self._until = loop.time() + DRAIN_SECONDS

    def _reload(self, service: Service, pool: ThreadPoolExecutor) -> None:
        if self._ending.is_set():
            return
        if self._reloading is None or self._reloading.done():
            self._reloading = asyncio.create_task(self._reloaded(service, pool))

    async def _reloaded(self, service: Service, pool: ThreadPoolExecutor) -> None:
        try:
            await self._load(service, pool)
        except FalajError as error:
            _LOG.error("the model stays as it was: %s", error.shown)

    async def _stuck(self) -> bool:
        """Wait for a reload under way; say whether it goes on beyond the time of the drain."""
        if self._reloading is None:
            return False
        left = self._until - asyncio.get_running_loop().time()
        _, under_way = await asyncio.wait([self._reloading], timeout=max(0.0, left))
        return bool(under_way)


def _cut() -> None:
    """End with a thread that reads a model still at work: it can neither be told nor joined."""
    _LOG.error("a reload that did not end in time was cut off")
    logging.shutdown()
    os._exit(0)
