"""What the router counts: requests by variant, code and how they were assigned, and times."""

import functools

from prometheus_client import CollectorRegistry, Counter, Histogram

from inference.router.subject import Known
from inference.transport.exposition import EDGES, page


class Metrics:
    """Counts of one router; forced requests are told apart, for they are no random sample."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        requests = Counter(
            "falaj_router_requests",
            "Requests forwarded, by variant, status code and how the variant was chosen.",
            ("experiment", "variant", "code", "assigned"),
            registry=self._registry,
        )
        seconds = Histogram(
            "falaj_router_seconds",
            "Seconds from a request's head to its answer, by variant.",
            ("experiment", "variant"),
            buckets=EDGES,
            registry=self._registry,
        )
        # Looking a child up by its labels costs more than counting.
        self._requests = functools.lru_cache(4096)(requests.labels)
        self._seconds = functools.lru_cache(1024)(seconds.labels)

    def count(
        self, experiment: str, variant: str, *, code: int, known: Known, seconds: float
    ) -> None:
        """Count an answered request; code 499 is a client that went."""
        self._requests(experiment, variant, str(code), known.value).inc()
        self._seconds(experiment, variant).observe(seconds)

    def text(self, accept: str) -> tuple[bytes, bytes]:
        """Return all metrics and their media type, as who asks can read them."""
        return page(self._registry, accept)
