"""What the transformer counts: requests by status, and how long each part of one takes."""

import contextlib
import enum
import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from inference.server.security.tokens import Reason
from inference.transport.exposition import EDGES, page


class Part(enum.Enum):
    """What a request's time goes to."""

    LOOKUP = "lookup"
    PREDICTOR = "predictor"
    WHOLE = "whole"


class Metrics:
    """Counts of one transformer."""

    def __init__(self, model: str, *, version: str = "") -> None:
        """Count for a model, and for the one version that is expected; empty where any is."""
        self._registry = CollectorRegistry()
        requests = Counter(
            "falaj_transformer_requests",
            "Requests to infer, by status code.",
            ("model", "version", "code"),
            registry=self._registry,
        )
        seconds = Histogram(
            "falaj_transformer_seconds",
            "Seconds of a request, by part.",
            ("model", "part"),
            buckets=EDGES,
            registry=self._registry,
        )
        agrees = Gauge(
            "falaj_transformer_versions_agree",
            "Whether the predictor serves the version that the features are for.",
            ("model",),
            registry=self._registry,
        )
        self._callers = Counter(
            "falaj_transformer_callers_refused",
            "Requests without a token that allows them, by reason.",
            ("model", "reason"),
            registry=self._registry,
        )
        self._model, self._version, self._requests = model, version, requests
        self._requests.labels(model, version, "200")  # there to be compared with from the start
        self._seconds = {part: seconds.labels(model, part.value) for part in Part}
        self._agrees = agrees.labels(model)

    def count(self, code: int) -> None:
        """Count an answered request; code 499 is a client that went."""
        self._requests.labels(self._model, self._version, str(code)).inc()

    def refused(self, reason: Reason) -> None:
        """Count a caller who was not let in."""
        self._callers.labels(self._model, reason.value).inc()

    def agree(self, *, agrees: bool) -> None:
        self._agrees.set(agrees)

    @contextlib.contextmanager
    def timed(self, part: Part) -> Iterator[None]:
        """Note how long the block takes, also where it fails."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[part].observe(time.perf_counter() - began)

    def text(self, accept: str) -> tuple[bytes, bytes]:
        """Return all metrics and their media type, as who asks can read them."""
        return page(self._registry, accept)
