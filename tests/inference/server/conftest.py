"""The server's REST face over a real socket, on a loop of its own thread."""

import asyncio
import pathlib
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
import uvloop

from inference.server.app import App
from inference.server.batching import Batcher, Limits
from inference.server.runtimes import Model, load
from inference.server.security.tokens import AllowAnonymous, Gate
from inference.server.service import Served, Service
from inference.server.telemetry.access_log import AccessLog
from inference.server.telemetry.board import Board, State
from inference.server.telemetry.exposition import Page
from inference.server.telemetry.following import Follower
from inference.server.telemetry.metrics import Metrics
from inference.transport import limits as transport
from inference.transport.server import Server
from tests.inference.models import write_model

Ask = Callable[..., httpx.Response]
INFER = "/v2/models/delays/infer"


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    return write_model(tmp_path / "model")


@dataclass
class Running:
    """A server at work in this process."""

    port: int
    service: Service
    board: Board
    end: Callable[[], None]

    def ask(
        self,
        path: str,
        body: Any = None,
        *,
        method: str = "",
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """Send one request; a body makes it a POST, of JSON unless it is bytes."""
        given = {"content": body} if isinstance(body, bytes) else {"json": body}
        kind = {} if body is None else {"content-type": "application/json"}
        method = method or ("GET" if body is None else "POST")
        url = f"http://127.0.0.1:{self.port}{path}"
        sent: dict[str, Any] = {} if body is None else given
        return httpx.request(method, url, headers={**kind, **(headers or {})}, **sent)

    def observe(self, spool: Any) -> None:
        """Put something else in the place of the spool."""
        assert self.service.served is not None
        self.service.served = replace(self.service.served, spool=spool)


Serve = Callable[..., Running]


@pytest.fixture
def serve(folder: pathlib.Path) -> Iterator[Serve]:
    """Return what starts a server of the test model, or of another one."""
    ends: list[Callable[[], None]] = []

    def start(
        model: Any = None,
        *,
        gate: Gate | None = None,
        bounds: transport.Limits | None = None,
        **queueing: Any,
    ) -> Running:
        running = _start(
            model or load(folder, name="delays", threads=1),
            gate=gate or AllowAnonymous(),
            limits=Limits(**queueing),
            bounds=bounds or transport.Limits(body_bytes=100_000),
        )
        ends.append(running.end)
        return running

    yield start
    for end in ends:
        end()


@pytest.fixture
def running(serve: Serve) -> Running:
    return serve()


@pytest.fixture
def ask(running: Running) -> Ask:
    return running.ask


def _start(model: Model, *, gate: Gate, limits: Limits, bounds: transport.Limits) -> Running:
    board = Board(workers=1)
    board.enter(0)
    listener = socket.create_server(("127.0.0.1", 0))
    ready, made = threading.Event(), dict[str, Any]()

    async def main() -> None:
        made["loop"], stopped = asyncio.get_running_loop(), asyncio.Event()
        made["stop"] = stopped.set
        with ThreadPoolExecutor(1) as aside, ThreadPoolExecutor(limits.concurrency) as pool:
            service = Service("delays", timeout=5, all_ready=board.all_ready)
            made["service"] = service
            metrics = Metrics(board, 0, model.name, model.version, "b")
            batcher = Batcher(
                model.predict, pool=pool, limits=limits, metrics=metrics, together=model.batches
            )
            service.served = Served(model, metrics, batcher)
            board.put(0, State.READY)
            follower = Follower(AccessLog(0, dropped=print), variant="b")
            page = Page(board, "delays", "b")
            app = App(service, aside=aside, gate=gate, follower=follower, page=page)
            server = Server(app, bounds)
            async with server.running(listener, tls=None, drain_seconds=2):
                ready.set()
                await stopped.wait()

    thread = threading.Thread(target=lambda: uvloop.run(main()))
    thread.start()
    assert ready.wait(5)

    def end() -> None:
        made["loop"].call_soon_threadsafe(made["stop"])
        thread.join(10)
        listener.close()

    return Running(listener.getsockname()[1], made["service"], board, end)
