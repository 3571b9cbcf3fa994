"""What the server counts, under the names that rollouts are judged by."""

from dataclasses import dataclass, field

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Histogram

_LABELS = ("model", "version", "variant")
_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


@dataclass
class Metrics:
    """Counters of one model, version and variant."""

    model: str
    version: str
    variant: str
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        # The library is typed but for this function.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        own = (self.model, self.version, self.variant)
        self._requests = Counter(
            "inference_requests",
            "Inference requests by the status they were answered with.",
            (*_LABELS, "code"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "inference_request_seconds",
            "Time from the request's head to its answer.",
            _LABELS,
            buckets=_BUCKETS,
            registry=self.registry,
        ).labels(*own)
        self._dropped = Counter(
            "observations_dropped",
            "Observations that could not be kept.",
            _LABELS,
            registry=self.registry,
        ).labels(*own)
        self.answered(200, count=0)

    def answered(self, code: int, *, seconds: float | None = None, count: int = 1) -> None:
        own = (self.model, self.version, self.variant)
        self._requests.labels(*own, str(code)).inc(count)
        if seconds is not None:
            self._seconds.observe(seconds)

    def dropped(self, rows: int) -> None:
        self._dropped.inc(rows)

    def text(self) -> bytes:
        return prometheus_client.generate_latest(self.registry)
