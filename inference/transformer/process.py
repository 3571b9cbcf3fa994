"""The transformer's process, from its listening socket to its drained end."""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from components.foundation.errors import UserError
from inference.router.process import upstream_tls
from inference.server.security.tls import Certificates
from inference.transformer.app import App
from inference.transformer.lookup import FeatureSource, Lookups
from inference.transformer.metrics import Metrics
from inference.transformer.options import Options
from inference.transformer.predictor import Predictor
from inference.transport.client import Client, Origin
from inference.transport.server import BACKLOG, Server

_LOG = logging.getLogger("transformer")
_DRAIN_SECONDS: Final = 25  # below the 30 s that Kubernetes grants by default


@dataclass(frozen=True, slots=True)
class Process:
    """What was read before the loop started."""

    options: Options
    listener: socket.socket
    certificates: Certificates | None
    source: FeatureSource

    async def serve(self) -> None:
        """Serve until SIGTERM."""
        options = self.options
        lookups = Lookups(self.source, threads=options.lookup_threads, queue=options.lookup_queue)
        tls = upstream_tls(options.predictor_ca) if options.predictor_use_ssl else None
        client = Client(Origin(*options.address, tls=tls), options.bounds)
        app = self._app(lookups, client)
        ending = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, ending.set)
        async with self._listening(Server(app, options.limits)):
            _LOG.info("%s on %s:%d", options.model_name, *self.listener.getsockname()[:2])
            await app.look()
            await ending.wait()
            app.draining = True
            await asyncio.sleep(options.drain_delay_s)
        lookups.close()
        client.close()
        _LOG.info("drained")

    def _app(self, lookups: Lookups, client: Client) -> App:
        options = self.options
        name, token = options.model_name, options.predictor_token_file
        return App(
            name,
            lookups=lookups,
            predictor=Predictor(client, model=name, pin=options.pin, token=token),
            metrics=Metrics(name),
            lookup_seconds=options.lookup_ms / 1000,
            seconds=options.predictor_request_timeout_seconds + options.lookup_ms / 1000,
        )

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


def bind(host: str, port: int) -> socket.socket:
    """Listen; raises UserError where somebody does already."""
    try:
        return socket.create_server((host, port), backlog=BACKLOG)
    except OSError as error:
        raise UserError(
            f"{host}:{port}: {error.strerror}; name another port", code="port-taken"
        ) from error
