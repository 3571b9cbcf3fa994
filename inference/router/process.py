"""The router's process, from its listening socket to its drained end."""

import asyncio
import contextlib
import logging
import pathlib
import signal
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from components.foundation.errors import UserError
from inference.router.app import App
from inference.router.config import Config
from inference.router.metrics import Metrics
from inference.router.options import Options
from inference.router.table import Table
from inference.server.security.tls import Certificates
from inference.transport.server import Server

_LOG = logging.getLogger("router")
_DRAIN_SECONDS: Final = 25  # below the 30 s that Kubernetes grants by default


@dataclass(frozen=True, slots=True)
class Process:
    """What was read before the loop started."""

    options: Options
    listener: socket.socket
    certificates: Certificates | None
    config: Config
    upstream_tls: ssl.SSLContext

    async def serve(self) -> None:
        """Serve until SIGTERM; SIGHUP reads the configuration again."""
        options = self.options
        app = App(
            self._table(self.config),
            subjects=options.subjects,
            metrics=Metrics(),
            forced_by=options.forced_by,
        )
        ending = asyncio.Event()
        self._heed_signals(app, ending)
        async with self._listening(Server(app, options.limits)):
            _LOG.info("%s on %s:%d", self.config.experiment, *self.listener.getsockname()[:2])
            await ending.wait()
            app.draining = True
            await asyncio.sleep(options.drain_delay_s)
        _LOG.info("drained")

    def _heed_signals(self, app: App, ending: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ending.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload, app)

    def _table(self, config: Config) -> Table:
        return Table.of(config, bounds=self.options.bounds, tls=self.upstream_tls)

    def _reload(self, app: App) -> None:
        try:
            config = Config.read(self.options.config)
        except UserError as error:
            _LOG.error("the experiment stays as it was: %s", error.shown)
            return
        app.swap(self._table(config))
        _LOG.info("%s: read again", config.experiment)

    @contextlib.asynccontextmanager
    async def _listening(self, server: Server) -> AsyncIterator[None]:
        """Listen; with certificates that change, listen anew with the new ones."""
        certificates = self.certificates
        tls = None if certificates is None else certificates.context()
        async with server.running(self.listener, tls=tls, drain_seconds=_DRAIN_SECONDS):
            if certificates is None:
                yield
                return

            async def changed() -> None:
                await server.listen(self.listener, tls=certificates.context())

            watching = asyncio.create_task(certificates.watch(changed))
            yield
            watching.cancel()


def upstream_tls(ca: pathlib.Path | None) -> ssl.SSLContext:
    """Say how https upstreams are checked: by these authorities, or by the system's.

    Raises:
        UserError: the authorities cannot be read.
    """
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise UserError(
            f"{ca}: is no PEM file of certificates that can be read; name one", code="tls-malformed"
        ) from error
