"""Every expression is asked of a real Prometheus that scrapes real programs of ours."""

import contextlib
import json
import pathlib
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import numpy as np
import pyarrow as pa
import pytest

from components.preparation.profile.profile import Profile
from tests.inference.models import request, write_model
from tests.inference.processes import free_ports, served
from tests.inference.router.conftest import document, write
from tests.inference.router.test_process import routed
from tests.inference.transformer.conftest import Transform, transform
from tests.inference.transport.conftest import serve
from tests.inference.transport.pki import Authority
from tests.monitoring import dashboards, rules
from tests.monitoring.prometheus import Prometheus, Target, scraping
from tests.monitoring.promql import metrics

__all__ = ["serve", "transform"]

# What others count; nothing here runs them.
THEIRS = {
    "apiserver_validating_admission_policy_check_total",
    "container_memory_working_set_bytes",
    "kube_pod_container_resource_limits",
    "kube_pod_container_status_restarts_total",
    "kube_pod_info",
    "kube_pod_status_ready",
}
OWN = {"up", "ALERTS"}  # of Prometheus itself
# What a minute cannot show: no alert fires, no caller is refused, no week has passed.
NOTHING_YET = {"Alerts", "Callers refused", "Scores moved since a week ago"}
UNTIL_A_WEEK = {"falaj:scores:moved1w"}


@pytest.fixture
def prometheus(tmp_path: pathlib.Path, transform: Transform) -> Iterator[Prometheus]:
    """A model in two slots, one with TLS, a transformer and a router, all asked for a while."""
    folder = write_model(tmp_path / "model")
    scores = pa.table({"score": pa.array(np.random.default_rng(3).beta(2, 5, 5000))})
    Profile.shaped(scores, ["score"]).update(scores).write(folder / "profile.json")
    with contextlib.ExitStack() as stack:
        plain = stack.enter_context(served(folder, name="delays"))
        secure = stack.enter_context(_with_tls(tmp_path, folder))
        transformer = transform(plain.http, expected=None).port
        config = write(tmp_path / "router.json", document({"a": plain.http}))
        _, router = stack.enter_context(routed(config))
        targets = [
            Target(plain.http, "delays-a-1"),
            Target(secure, "delays-b-1", scheme="https"),
            Target(transformer, "delays-a-2"),
            Target(router.base_url.port or 0, "falaj-router-1", job="falaj-router"),
        ]
        running = stack.enter_context(scraping(tmp_path, targets))
        _ask_for_a_while(router, transformer, running)
        yield running


@contextlib.contextmanager
def _with_tls(tmp_path: pathlib.Path, folder: pathlib.Path) -> Iterator[int]:
    certificate, key = Authority("test").issue("delays").write(tmp_path)
    [port] = free_ports(1)
    command = [sys.executable, "-m", "inference.server", "--model_name=delays", "--variant=b"]
    command += [f"--model_dir={folder}", f"--http_port={port}", "--allow_anonymous"]
    command += [f"--tls_cert={certificate}", f"--tls_key={key}"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.kill()
        process.wait()


def _ask_for_a_while(router: httpx.Client, transformer: int, running: Prometheus) -> None:
    """Ask well and badly until everything was scraped often enough for a rate."""
    path = "/v2/models/delays/infer"
    deadline = time.monotonic() + 60
    seen = "count(min_over_time(up[5s]) == 1 and count_over_time(up[1m]) > 4) or vector(0)"
    while time.monotonic() < deadline:
        router.post(path, json=request(delay=[0.5, 2.0], carrier=[0, 1]))
        router.post(path, json=request(delay=[0.5], carrier=[3]))  # the model fails
        httpx.post(f"http://127.0.0.1:{transformer}{path}", content=_keys(), trust_env=False)
        time.sleep(0.1)
        if running.query(seen)[0]["value"][1] == "4" and running.query("falaj:scores:count1h > 0"):
            return
    raise AssertionError(f"not all is scraped: {running.query('up')}")


def _keys() -> bytes:
    keys = {"name": "flight_id", "datatype": "BYTES", "shape": [1], "data": ["AA1"]}
    return json.dumps({"inputs": [keys]}).encode()


def test_all_expressions_are_answered_and_name_what_there_is(prometheus: Prometheus) -> None:
    asked, known = list(dashboards.queries()), prometheus.names()
    recorded = {rule.name for rule in rules.rules() if not rule.alerts}
    said = [query.expr for query in asked] + [rule.expr for rule in rules.rules()]

    named = set().union(*map(metrics, said))
    empty = {query.panel for query in asked if not prometheus.query(query.expr)}
    foreign = {query.panel for query in asked if metrics(query.expr) & THEIRS}
    evaluated = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]

    assert named - known - OWN - UNTIL_A_WEEK == THEIRS
    assert empty - foreign == NOTHING_YET
    assert recorded - known == UNTIL_A_WEEK
    assert {rule["name"] for rule in evaluated if rule["health"] != "ok"} == set()
    assert len(evaluated) == len(rules.rules())
