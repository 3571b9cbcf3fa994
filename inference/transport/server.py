"""Connections on one listening socket, their limits watched, drained at the end."""

import asyncio
import contextlib
import email.utils
import logging
import socket
import ssl
import time
from collections.abc import AsyncIterator

from inference.transport.connection import Connection
from inference.transport.limits import Budget, Limits
from inference.transport.messages import Handler
from inference.transport.tls import Certificates

_LOG = logging.getLogger("http")
_TICK_SECONDS = 0.5
_RECEIVED = 64 << 10  # bytes at a time; of a large body only these are moved to their place
BACKLOG = 2048
DRAIN_SECONDS = 25.0  # below the 30 s that Kubernetes grants by default


class Server:
    """Hands what comes to a handler; made and used on one event loop."""

    def __init__(self, handler: Handler, limits: Limits) -> None:
        self.handler, self.limits = handler, limits
        self.budget = Budget(limits.bodies_bytes)
        self.date = _date()
        self.draining = False
        self.loop = asyncio.get_running_loop()
        self.scratch = memoryview(bytearray(_RECEIVED))
        self._connections: set[Connection] = set()
        self._listening: asyncio.Server | None = None

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    @contextlib.asynccontextmanager
    async def running(
        self,
        listener: socket.socket,
        *,
        tls: ssl.SSLContext | None,
        drain_seconds: float = DRAIN_SECONDS,
    ) -> AsyncIterator[None]:
        """Listen until the block ends; then let requests under way be answered."""
        await self.listen(listener, tls=tls)
        sweeping = self.loop.create_task(self._sweep())
        try:
            yield
        finally:
            await self._drain(drain_seconds)
            sweeping.cancel()

    @contextlib.asynccontextmanager
    async def protected(
        self, listener: socket.socket, certificates: Certificates | None
    ) -> AsyncIterator[None]:
        """Listen until the block ends; with certificates that change, with the newest."""
        if certificates is None:
            async with self.running(listener, tls=None):
                yield
            return

        async def changed() -> None:
            await self.listen(listener, tls=certificates.context())

        async with self.running(listener, tls=certificates.context()):
            watching = self.loop.create_task(certificates.watch(changed))
            try:
                yield
            finally:
                watching.cancel()

    async def listen(self, listener: socket.socket, *, tls: ssl.SSLContext | None) -> None:
        """Listen, from now on with these certificates; connections that are open stay."""
        before = self._listening
        self._listening = await self.loop.create_server(
            lambda: Connection(self), sock=listener.dup(), backlog=BACKLOG, ssl=tls
        )
        if before is not None:
            before.close()

    def opened(self, connection: Connection) -> bool:
        """Take a connection; False means that there are too many."""
        self._connections.add(connection)
        return len(self._connections) <= self.limits.connections

    def closed(self, connection: Connection) -> None:
        self._connections.discard(connection)

    async def _sweep(self) -> None:
        """End what takes too long, and keep the date."""
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            self.date = _date()
            now = self.loop.time()
            for connection in tuple(self._connections):
                if connection.deadline <= now:
                    connection.expire()
                else:
                    connection.check_rate(now)

    async def _drain(self, seconds: float) -> None:
        self.draining = True
        if self._listening is not None:
            self._listening.close()
        end = self.loop.time() + seconds
        while self._connections and self.loop.time() < end:
            for connection in tuple(self._connections):
                connection.drain()
            await asyncio.sleep(0.02)
        if self._connections:
            _LOG.error("%d connections were cut off after %g s", self.connections, seconds)
        for connection in tuple(self._connections):
            connection.cut()


def _date() -> bytes:
    return email.utils.formatdate(time.time(), usegmt=True).encode()
