"""Requests and errors of each version, from live counters in Prometheus' text format.

Read from a Prometheus server's /federate, or from anything that speaks it. Where a version has a
transformer, what that answered is counted: it fails wherever its server does, and also where it
fails itself.
"""

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from components.deployment.slots import Version
from components.foundation.errors import InfrastructureError, UserError
from components.foundation.statistics.eprocess import Arm

_TIMEOUT_S = 10.0
_NAME = "__name__"  # as Prometheus itself calls it

Sample = dict[str, float]  # series, as JSON of its labels -> value


class Counter(enum.Enum):
    """Who counts the requests of a version; the value is the metric's name."""

    SERVER = "inference_requests_total"
    TRANSFORMER = "falaj_transformer_requests_total"

    @classmethod
    def of(cls, version: Version) -> Self:
        """Return the one that sees what a version's clients are told."""
        return cls.SERVER if version.transformer is None else cls.TRANSFORMER

    def series(self, labels: Mapping[str, str]) -> str:
        """Name a series; a server's as they were before there were others."""
        named = labels if self is Counter.SERVER else {**labels, _NAME: self.value}
        return json.dumps(named, sort_keys=True)

    def counts(self, labels: Mapping[str, str]) -> bool:
        """Say whether a series is one of this counter."""
        return labels.get(_NAME, Counter.SERVER.value) == self.value


@dataclass(frozen=True, slots=True)
class Metrics:
    """Where counters come from.

    Attributes:
        url: of a Prometheus server, or of what speaks as one.
        namespace: whose servers count: others may serve the same release under the same name.
            Series without a namespace count too.
    """

    url: str
    namespace: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], *, namespace: str) -> "Metrics":
        """Read where counters come from; raises UserError when the environment does not say."""
        try:
            return cls(environment["PROMETHEUS_URL"].rstrip("/"), namespace)
        except KeyError:
            raise UserError(
                "PROMETHEUS_URL is not set; the site names the Prometheus that scrapes the servers",
                code="metrics-unset",
            ) from None

    def sample(self, model: str) -> Sample:
        """Read the counters of a model now.

        Raises:
            InfrastructureError: the source did not answer, or not with metrics.
        """
        import urllib3

        try:
            answer = urllib3.request(
                "GET",
                f"{self.url}/federate",
                fields=[("match[]", f'{one.value}{{model="{model}"}}') for one in Counter],
                timeout=_TIMEOUT_S,
                retries=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise InfrastructureError(
                f"metrics {self.url}: did not answer ({type(error).__name__}); "
                "check PROMETHEUS_URL",
                code="metrics-unreachable",
            ) from error
        if answer.status != 200:
            raise InfrastructureError(
                f"metrics {self.url}/federate: status {answer.status}, expected 200; check "
                "PROMETHEUS_URL",
                code="metrics-unreachable",
            )
        return parse(answer.data.decode(errors="replace"), namespace=self.namespace)


def parse(text: str, *, namespace: str = "") -> Sample:
    """Read a page of metrics, of one namespace if it is given.

    Raises:
        InfrastructureError: the page is none of metrics.
    """
    from prometheus_client.parser import text_string_to_metric_families

    known = {counter.value: counter for counter in Counter}
    try:
        return {
            known[sample.name].series(sample.labels): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name in known and _of(sample.labels, namespace)
        }
    except ValueError as error:
        raise InfrastructureError(
            f"metrics: {error}; expected Prometheus' text format", code="metrics-unreachable"
        ) from error


def _of(labels: Mapping[str, str], namespace: str) -> bool:
    return not namespace or labels.get("namespace", namespace) == namespace


def gained(before: Sample, now: Sample, *, version: str, counter: Counter = Counter.SERVER) -> Arm:
    """Return what a version has answered between two samples.

    A counter that fell was reset, and what it shows is new. A new series of a known server is
    its first answer with some code; those of a server not seen before count from now on.
    """
    known = {_server(series) for series in before}
    requests = errors = 0
    for series, value in now.items():
        labels = json.loads(series)
        ours = counter.counts(labels) and labels.get("version") == version
        if not ours or _server(series) not in known:
            continue
        earlier = before.get(series, 0.0)
        added = round(value - earlier if value >= earlier else value)
        requests += added
        errors += added if int(labels.get("code", "0")) >= 500 else 0
    return Arm(requests, errors)


def merged(before: Sample, now: Sample) -> Sample:
    """Return the last known value of every series, those that are missing now included."""
    return {**before, **now}


def _server(series: str) -> str:
    labels = json.loads(series)
    return json.dumps({k: v for k, v in labels.items() if k != "code"}, sort_keys=True)
