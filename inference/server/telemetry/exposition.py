"""The board as a page for Prometheus, in its own text format or in OpenMetrics."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from inference.server.security.tokens import Reason
from inference.server.telemetry import board as b
from inference.server.telemetry import layout, process
from inference.server.telemetry.layout import Histogram, Phase, Shed
from inference.transport.exposition import page
from inference.transport.tls import Certificates

_EXPIRY = "tls_certificate_expiry_timestamp_seconds"
_SERVER = ("model", "variant")
_OWN = ("model", "version", "variant")


@dataclass(frozen=True, slots=True)
class Page(Collector):
    """Families of series, made anew from the board at each scrape; from any thread.

    Attributes:
        certificates: the server's own, asked when they expire; None without TLS.
    """

    board: b.Board
    model: str
    variant: str
    certificates: Certificates | None = None

    def text(self, accept: str = "") -> tuple[bytes, bytes]:
        """Return the page and its content type, in the format that a client accepts."""
        return page(self, accept)

    def collect(self) -> Iterator[Metric]:
        totals = self.board.totals()
        yield self._requests(totals)
        yield self._histogram(
            "inference_request_seconds", layout.SECONDS, totals, _REQUEST, "seconds"
        )
        yield self._phases(totals)
        yield self._histogram("inference_batch_rows", layout.BATCH_ROWS, totals, _ROWS)
        yield self._histogram("inference_batch_requests", layout.BATCH_REQUESTS, totals, _MERGED)
        yield self._shed(totals)
        yield self._counter("observations_dropped", layout.DROPPED, totals, _DROPPED)
        yield from self._scores(totals)
        yield from self._server()
        yield self._refused()
        if self.certificates is not None:
            yield self._gauge(_EXPIRY, self.certificates.expires, _EXPIRES)
        yield from _processes(self.board)

    def _own(self, total: b.Total) -> tuple[str, str, str]:
        return self.model, total.version, self.variant

    def _requests(self, totals: Sequence[b.Total]) -> Metric:
        """Count by status; 200 is there from the start, so that a first answer is a rise."""
        family = CounterMetricFamily(
            "inference_requests",
            "Inference requests by the status they were answered with.",
            labels=(*_OWN, "code"),
        )
        for total in totals:
            for code, count in enumerate(_codes(total), layout.FIRST_CODE):
                if count or code == 200:
                    family.add_metric((*self._own(total), str(code)), count)
        return family

    def _histogram(
        self, name: str, histogram: Histogram, totals: Sequence[b.Total], help_: str, unit: str = ""
    ) -> Metric:
        family = HistogramMetricFamily(name, help_, labels=_OWN, unit=unit)
        for total in totals:
            _add(family, self._own(total), histogram, total)
        return family

    def _phases(self, totals: Sequence[b.Total]) -> Metric:
        labels = (*_OWN, "phase")
        family = HistogramMetricFamily(
            "inference_phase_seconds", _PHASE, labels=labels, unit="seconds"
        )
        for total in totals:
            for phase in Phase:
                own = (*self._own(total), phase.name.lower())
                _add(family, own, layout.PHASES[phase], total)
        return family

    def _shed(self, totals: Sequence[b.Total]) -> Metric:
        family = CounterMetricFamily("inference_shed", _SHED, labels=(*_OWN, "reason"))
        for total in totals:
            for reason in Shed:
                own = (*self._own(total), reason.name.lower())
                family.add_metric(own, total.cells[layout.SHED + reason])
        return family

    def _counter(self, name: str, cell: int, totals: Sequence[b.Total], help_: str) -> Metric:
        family = CounterMetricFamily(name, help_, labels=_OWN)
        for total in totals:
            family.add_metric(self._own(total), total.cells[cell])
        return family

    def _scores(self, totals: Sequence[b.Total]) -> Iterator[Metric]:
        """Give the scores of the versions that have a profile."""
        profiled = [total for total in totals if total.edges]
        family = HistogramMetricFamily("inference_score", _SCORE, labels=_OWN)
        for total in profiled:
            _add(family, self._own(total), layout.score_histogram(total.edges), total)
        yield family
        yield self._counter("inference_score_missing", layout.MISSING, profiled, _MISSING)

    def _server(self) -> Iterator[Metric]:
        """Give what is of the server as a whole and of no version."""
        board = self.board
        for name, value, help_ in (
            ("inference_in_flight", board.sum(b.IN_FLIGHT), _IN_FLIGHT),
            ("inference_queue_requests", board.sum(b.QUEUED), _QUEUED),
            ("inference_workers", float(board.workers), _WORKERS),
            ("inference_workers_ready", float(board.ready), _READY),
        ):
            yield self._gauge(name, value, help_)
        counter = CounterMetricFamily("access_log_dropped", _UNLOGGED, labels=_SERVER)
        counter.add_metric((self.model, self.variant), board.sum(b.UNLOGGED))
        yield counter

    def _refused(self) -> Metric:
        """Count by reason, each from the start; a token's words are in none of them."""
        family = CounterMetricFamily("callers_refused", _REFUSED, labels=(*_SERVER, "reason"))
        for cell, reason in enumerate(Reason, b.REFUSED):
            family.add_metric((self.model, self.variant, reason.value), self.board.sum(cell))
        return family

    def _gauge(self, name: str, value: float, help_: str) -> Metric:
        gauge = GaugeMetricFamily(name, help_, labels=_SERVER)
        gauge.add_metric((self.model, self.variant), value)
        return gauge


def _codes(total: b.Total) -> Sequence[float]:
    return total.cells[layout.CODES : layout.SECONDS.at]


def _add(
    family: HistogramMetricFamily, own: tuple[str, ...], histogram: Histogram, total: b.Total
) -> None:
    counts = accumulate(total.cells[histogram.at : histogram.sum])
    names = map(floatToGoString, (*histogram.edges, math.inf))
    # Scores may be negative; OpenMetrics has no sum, and then no count, below zero.
    known = total.cells[histogram.sum] if total.cells[histogram.sum] >= 0 else None
    family.add_metric(own, list(zip(names, counts, strict=True)), known)


def _processes(board: b.Board) -> Iterator[Metric]:
    """Give what each worker uses, under the names that every exporter has for it."""
    used = [(str(worker), process.usage(pid)) for worker, pid in board.pids()]
    for name, help_, family_of, value_of in _USAGE:
        family = family_of(name, help_, labels=("worker",))
        for worker, usage in used:
            if usage is not None:
                family.add_metric((worker,), value_of(usage))
        yield family


_Family = type[CounterMetricFamily] | type[GaugeMetricFamily]
_USAGE: tuple[tuple[str, str, _Family, Callable[[process.Usage], float]], ...] = (
    (
        "process_resident_memory_bytes",
        "Memory of a worker that is resident, in bytes.",
        GaugeMetricFamily,
        lambda usage: usage.resident_bytes,
    ),
    (
        "process_cpu_seconds",
        "Processor time that a worker has used, user and system, in seconds.",
        CounterMetricFamily,
        lambda usage: usage.cpu_seconds,
    ),
    (
        "process_open_fds",
        "Files and connections that a worker has open.",
        GaugeMetricFamily,
        lambda usage: usage.open_fds,
    ),
    (
        "process_start_time_seconds",
        "When a worker started, in seconds since 1970.",
        GaugeMetricFamily,
        lambda usage: usage.started,
    ),
)

_REQUEST = "Time from the request's head to its answer."
_PHASE = "Time of one part of a request: parse, queue, predict, encode."
_ROWS = "Rows of one prediction."
_MERGED = "Requests whose rows went into one prediction."
_SHED = "Requests refused for lack of room or time, by reason."
_DROPPED = "Observations that could not be kept."
_SCORE = "Scores in the bins of the profile that was sealed with the model."
_MISSING = "Scores that were no finite number."
_IN_FLIGHT = "Requests that have come and are not answered."
_QUEUED = "Requests that wait for a prediction."
_WORKERS = "Worker processes that there should be."
_READY = "Worker processes that are ready."
_UNLOGGED = "Lines that the access log could not keep."
_REFUSED = "Requests without a token that allows them, by reason."
_EXPIRES = "When the server's certificate expires, in seconds since 1970."
