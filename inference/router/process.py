"""The router's process, from its listening socket to its drained end."""

import asyncio
import logging
import signal
import socket
import ssl
from dataclasses import dataclass

from components.foundation.errors import UserError
from inference.router.app import App
from inference.router.config import Config
from inference.router.metrics import Metrics
from inference.router.options import Options
from inference.router.table import Table
from inference.transport.server import Server
from inference.transport.tls import Certificates

_LOG = logging.getLogger("router")


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
        server = Server(app, options.limits)
        async with server.protected(self.listener, self.certificates):
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
