"""The transformer's process, from its listening socket to its drained end."""

import asyncio
import logging
import signal
import socket
from dataclasses import dataclass

from inference.server.security.tokens import Gate
from inference.transformer.app import App
from inference.transformer.lookup import FeatureSource, Lookups
from inference.transformer.metrics import Metrics
from inference.transformer.options import Options
from inference.transformer.predictor import Predictor
from inference.transport.client import Client, Origin
from inference.transport.server import Server
from inference.transport.tls import Certificates, upstream_tls

_LOG = logging.getLogger("transformer")


@dataclass(frozen=True, slots=True)
class Process:
    """What was read before the loop started."""

    options: Options
    listener: socket.socket
    certificates: Certificates | None
    gate: Gate
    source: FeatureSource

    async def serve(self) -> None:
        """Serve until SIGTERM."""
        options = self.options
        lookups = Lookups(self.source, threads=options.lookup_threads, queue=options.lookup_queue)
        tls = upstream_tls(options.predictor_ca) if options.predictor_use_ssl else None
        client = Client(Origin(*options.address, tls=tls), options.bounds)
        metrics = Metrics(options.model_name, version=options.pin.version or "")
        app = self._app(lookups, client, metrics)
        ending = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, ending.set)
        server = Server(app, options.limits)
        listening = server.protected(self.listener, self.certificates)
        async with self.gate.running(metrics.refused), listening:
            _LOG.info("%s on %s:%d", options.model_name, *self.listener.getsockname()[:2])
            await app.look()
            await ending.wait()
            app.draining = True
            await asyncio.sleep(options.drain_delay_s)
        lookups.close()
        client.close()
        _LOG.info("drained")

    def _app(self, lookups: Lookups, client: Client, metrics: Metrics) -> App:
        options = self.options
        name, token = options.model_name, options.predictor_token_file
        return App(
            name,
            lookups=lookups,
            predictor=Predictor(client, model=name, pin=options.pin, token=token),
            metrics=metrics,
            gate=self.gate,
            lookup_seconds=options.lookup_ms / 1000,
            seconds=options.predictor_request_timeout_seconds + options.lookup_ms / 1000,
        )
