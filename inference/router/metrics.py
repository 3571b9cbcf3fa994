"""What the router counts: requests by variant, code and how they were assigned, and times."""

import functools

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import choose_encoder

from inference.router.subject import Known

_EDGES = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


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
            buckets=_EDGES,
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
        encode, kind = choose_encoder(accept)
        return encode(self._registry), kind.encode()
