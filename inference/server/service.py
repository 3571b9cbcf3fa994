"""One way in for every wire: a model behind its queue, counted and observed."""

import asyncio
import datetime
import logging
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from components.foundation.signature import Signature
from inference.observer.observation import Prediction, score_of
from inference.observer.spool import Spool
from inference.server.batching import Batcher, Tensors
from inference.server.protocol.messages import InferRequest
from inference.server.runtimes import Model, place
from inference.server.telemetry.following import current
from inference.server.telemetry.metrics import Metrics
from inference.transport.messages import RETRY_SOON, Rejected, failed

Answer = TypeVar("Answer")

_LOG = logging.getLogger("server")


@dataclass(frozen=True, slots=True)
class Served:
    """A model and what stands around it; a reload swaps it whole."""

    model: Model
    metrics: Metrics
    batcher: Batcher
    spool: Spool | None = None

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def version(self) -> str:
        return self.model.version

    @property
    def signature(self) -> Signature:
        return self.model.signature

    @property
    def platform(self) -> str:
        return self.model.platform


class Service:
    """What HTTP and gRPC serve; made and used on one event loop."""

    def __init__(self, name: str, *, timeout: float, all_ready: Callable[[], bool]) -> None:
        self.name, self._timeout, self._all_ready = name, timeout, all_ready
        self._loop = asyncio.get_running_loop()
        self.served: Served | None = None
        self.draining = False

    def live(self) -> bool:
        return True

    def ready(self) -> bool:
        """Whether this worker, and every other one, has its model and goes on."""
        return self.served is not None and not self.draining and self._all_ready()

    def named(self, model: str, version: str = "") -> Served:
        """Return what is served now.

        Raises:
            Rejected: 404 for another model or version, 503 while the model is loaded.
        """
        if model != self.name:
            raise Rejected(404, f"no model {model[:100]!r} here; /v2/models lists what is")
        served = self.served
        if served is None:
            raise Rejected(503, "the model is being loaded; try again", headers=RETRY_SOON)
        if version and version != served.version:
            raise Rejected(404, f"no version {version[:100]!r} of {model!r} here")
        return served

    async def counted(self, served: Served, answer: Awaitable[Answer]) -> Answer:
        """Await an answer and count it by its status, whatever it is."""
        metrics, started = served.metrics, time.perf_counter()
        metrics.in_flight(1)
        if (followed := current()) is not None:
            followed.model, followed.version = served.name, served.version
        status = 500
        try:
            answered = await answer
            status = 200
        except Rejected as rejected:
            status = rejected.status
            raise
        except asyncio.CancelledError:
            status = 499  # the client has gone
            raise
        finally:
            metrics.in_flight(-1)
            metrics.answered(status, seconds=time.perf_counter() - started)
        return answered

    def admit(self, served: Served) -> None:
        """Refuse a request before it is read, where no reading could help it.

        Raises:
            Rejected: 429, where the queue is full or as long as any request may take.
        """
        served.batcher.admit(1, allowed=self._timeout)

    async def infer(
        self, served: Served, request: InferRequest, *, deadline: float | None = None
    ) -> Tensors:
        """Predict and observe.

        Args:
            served: what `named` gave; a reload meanwhile changes nothing for this request.
            request: fits its signature.
            deadline: loop time by which the client wants the answer.

        Raises:
            Rejected: 429 or 504 from the queue, 500 where the model failed.
        """
        if (followed := current()) is not None:
            followed.request_id, followed.rows = request.id, request.rows
        until = self._loop.time() + min(request.timeout or math.inf, self._timeout)
        until = min(until, math.inf if deadline is None else deadline)
        try:
            outputs = await served.batcher.predict(
                request.inputs, rows=request.rows, deadline=until
            )
        except Rejected:
            raise
        # Whatever a model raises, the client learns that it failed and under which number.
        except Exception as error:
            raise _incident(request, error) from None
        self._observe(served, request, outputs)
        return outputs

    def _observe(self, served: Served, request: InferRequest, outputs: Tensors) -> None:
        score = score_of(outputs[served.signature.outputs[0].name], request.rows)
        served.metrics.scores(score)
        if served.spool is not None:
            now = datetime.datetime.now(datetime.UTC)
            served.spool.add(Prediction(now, request.row_ids, request.inputs, score))


def _incident(request: InferRequest, error: Exception) -> Rejected:
    incident, rejected = failed("the model")
    where = place(error)
    _LOG.error("incident %s: the model failed on request %r, %s", incident, request.id, where)
    return rejected
