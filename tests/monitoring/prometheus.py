"""A real Prometheus on loopback, with our rules, scraping what it is told to."""

import contextlib
import pathlib
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import yaml

from tests.inference.processes import free_ports
from tests.monitoring import rules

_PROGRAM = "/usr/bin/prometheus"  # comes with promtool


@dataclass(frozen=True, slots=True)
class Target:
    """What is scraped, and the labels that the operator would add."""

    port: int
    pod: str
    job: str = "falaj-models"
    scheme: str = "http"

    def config(self) -> Mapping[str, Any]:
        labels = {"namespace": "falaj", "pod": self.pod, "job": self.job}
        return {
            "job_name": self.pod,
            "scheme": self.scheme,
            "tls_config": {"insecure_skip_verify": True},
            "static_configs": [{"targets": [f"127.0.0.1:{self.port}"], "labels": labels}],
        }


@dataclass(frozen=True, slots=True)
class Prometheus:
    """One that runs."""

    client: httpx.Client

    def ask(self, path: str, **parameters: str) -> Any:
        """Return the data of an answer; one that is an error fails the test."""
        answer = self.client.get(f"/api/v1/{path}", params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def query(self, expression: str) -> list[Any]:
        found: list[Any] = self.ask("query", query=expression)["result"]
        return found

    def names(self) -> set[str]:
        """Return the names of all series, and of counters that have nothing to count yet."""
        described = self.ask("metadata")
        counters = {f"{name}_total" for name, (said, *_) in described.items() if _counts(said)}
        return counters | set(self.ask("label/__name__/values"))


def _counts(said: Mapping[str, str]) -> bool:
    return said["type"] == "counter"


@contextlib.contextmanager
def scraping(folder: pathlib.Path, targets: Sequence[Target]) -> Iterator[Prometheus]:
    """Scrape and evaluate rules every second until the block ends."""
    rules.write(folder / "rules.yaml", interval="1s")
    pace = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config = {
        "global": pace,
        "rule_files": ["rules.yaml"],
        "scrape_configs": [target.config() for target in targets],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    [port] = free_ports(1)
    with _process(folder, port) as process, _client(port) as client:
        _wait(client, process)
        yield Prometheus(client)


@contextlib.contextmanager
def _process(folder: pathlib.Path, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    options = {
        "config.file": folder / "prometheus.yaml",
        "storage.tsdb.path": folder / "data",
        "web.listen-address": f"127.0.0.1:{port}",
    }
    command = [_PROGRAM, *(f"--{name}={value}" for name, value in options.items())]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _client(port: int) -> httpx.Client:
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10, trust_env=False)


def _wait(client: httpx.Client, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if client.get("/-/ready").status_code == 200:
                return
        time.sleep(0.1)
    raise AssertionError("Prometheus did not become ready within 60 s")
