"""A real server of the transport, on a loop of its own thread, and raw sockets to it."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import uvloop

from inference.transport.limits import Limits
from inference.transport.messages import Handler, Reply, Request
from inference.transport.server import Server


@dataclass
class Running:
    """A server at work."""

    port: int
    server: Server
    end: Callable[[], None] = lambda: None

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=5)

    def ask(self, data: bytes) -> bytes:
        """Send bytes, and read until the server closes or says nothing for a while."""
        with self.connect() as client:
            client.sendall(data)
            client.settimeout(0.25)
            return read(client)


def read(client: socket.socket) -> bytes:
    pieces = []
    try:
        while piece := client.recv(65536):
            pieces.append(piece)
    except (TimeoutError, ConnectionResetError):
        pass
    return b"".join(pieces)


Serve = Callable[..., Running]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return what starts a server with limits; its handler echoes unless told another."""
    ends: list[Callable[[], None]] = []

    def start(handler: Handler | None = None, **limits: Any) -> Running:
        running = _start(handler, Limits(**limits))
        ends.append(running.end)
        return running

    yield start
    for end in ends:
        end()


def _start(handler: Handler | None, limits: Limits) -> Running:
    listener = socket.create_server(("127.0.0.1", 0))
    ready, made = threading.Event(), dict[str, Any]()

    async def echo(request: Request) -> Reply:
        body = bytes(await request.body())
        return Reply(200, f"{request.method} {request.path} ".encode() + body, b"text/plain")

    async def main() -> None:
        server, stopped = Server(handler or echo, limits), asyncio.Event()
        made["server"], made["loop"], made["stopped"] = server, asyncio.get_running_loop(), stopped
        async with server.running(listener, tls=None, drain_seconds=2):
            ready.set()
            await stopped.wait()

    thread = threading.Thread(target=lambda: uvloop.run(main()))
    thread.start()
    ready.wait(5)

    def end() -> None:
        if thread.is_alive():
            made["loop"].call_soon_threadsafe(made["stopped"].set)
            thread.join(10)
        listener.close()

    return Running(listener.getsockname()[1], made["server"], end=end)
