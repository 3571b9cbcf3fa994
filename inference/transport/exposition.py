"""Metrics as a page for Prometheus, in its own text format or in OpenMetrics."""

from typing import Final

from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

# Edges, in seconds, of what stands between a client and a server.
EDGES: Final = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip


def page(metrics: Collector, accept: str) -> tuple[bytes, bytes]:
    """Return the metrics and their media type, as who asks can read them."""
    encode, kind = choose_encoder(accept)
    return encode(metrics), kind.encode()
