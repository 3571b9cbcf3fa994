"""An online store as clusters have it: a real Redis, asked by the transformer of its image."""

import datetime
import os
import pathlib
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping

import pytest

from components.features.apply_features.apply import apply
from components.features.materialise.load import load
from components.features.repository import Repository
from components.foundation.orphans import die_with_parent
from components.foundation.storage import Settings
from inference.transport.messages import Reply, Request
from tests import ports, prerequisites
from tests.components.features.conftest import NOON, Small, no_network, small
from tests.inference.processes import free_ports
from tests.inference.transformer.conftest import Asked
from tests.inference.transformer.test_process import predictor, ready
from tests.inference.transport.conftest import Serve

__all__ = ["no_network", "small"]

pytestmark = pytest.mark.slow  # imports Feast, twice

PASSWORD = "open-sesame"


@pytest.fixture
def redis(tmp_path: pathlib.Path) -> Iterator[str]:
    """A Redis that keeps nothing and asks for a password; its connection string for Feast."""
    assert prerequisites.REDIS.there, prerequisites.REDIS.missing
    port = ports.free()
    command = [prerequisites.REDIS.file, "--port", str(port), "--bind", "127.0.0.1"]
    command += ["--save", "", "--requirepass", PASSWORD, "--dir", str(tmp_path)]
    with (tmp_path / "redis.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=die_with_parent)
    try:
        _wait_ready(port)
        yield f"127.0.0.1:{port},password={PASSWORD}"
    finally:
        process.terminate()
        process.wait(10)


def _wait_ready(port: int) -> None:
    import redis

    client = redis.Redis("127.0.0.1", port, password=PASSWORD)
    deadline = time.monotonic() + 10
    while True:
        try:
            assert client.ping()
            return
        except redis.ConnectionError:
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.fixture
def environment_of_pods(small: Small, redis: str, s3: Settings) -> dict[str, str]:
    """What pods are told; the repository names Redis, its address comes from the site."""
    file = small.folder / "feature_store.yaml"
    text = file.read_text().replace("type: sqlite", "type: redis")
    file.write_text(text.replace("path: ${FALAJ_ONLINE", "connection_string: ${FALAJ_ONLINE"))
    path = f"{small.folder.parent}:."
    return {
        **os.environ,
        **s3.environment(),
        "FALAJ_ONLINE_STORE": redis,
        "FEAST_USAGE": "False",
        "PYTHONPATH": path,
    }


def filled(small: Small, environment: Mapping[str, str], cache: pathlib.Path) -> str:
    """Load the weather of a place; what is read back is what was loaded."""
    now = (datetime.datetime.now(datetime.UTC) - NOON) / datetime.timedelta(hours=1)
    small.observe(("EWR", now - 1, now - 1, 4.5))
    repository = Repository.load(small.package, environment, cache=cache)
    registry = apply(repository).registry
    moment = datetime.datetime.now(datetime.UTC)
    loaded = load(repository, registry, small.tables, end=moment, pinned=[])
    assert loaded.verdict.passes, loaded.verdict
    return str(registry)


def test_features_of_a_cluster_come_from_redis(
    small: Small, environment_of_pods: dict[str, str], serve: Serve, tmp_path: pathlib.Path
) -> None:
    registry = filled(small, environment_of_pods, tmp_path / "c")
    sent: list[bytes] = []
    answers = predictor(registry)

    async def noting(request: Request) -> Reply:
        if request.method == "POST":
            sent.append(bytes(await request.body()))
            return Reply(200, b'{"model_version":"7","outputs":[]}')
        return await answers(request)

    behind = serve(noting).port
    [port] = free_ports(1)
    # As in its image: what that does not lock is not there.
    command = [sys.executable, "-m", "tests.images.locked", "transformer", "inference.transformer"]
    command += ["--model_name", "delays", "--predictor_host", f"127.0.0.1:{behind}"]
    command += ["--allow_plaintext", "--allow_anonymous", "--http_port", str(port)]
    command += ["--feature_repository", small.package, "--feature_service", "lateness"]
    command += ["--feature_registry", registry, "--expected_version", "7"]
    command += ["--feature_cache", str(tmp_path / "cache")]
    process = subprocess.Popen(command, env=environment_of_pods)
    try:
        ask = Asked(port)
        assert ready(ask, process)
        key = {"name": "origin", "datatype": "BYTES", "shape": [1], "data": ["EWR"]}
        status, told, _ = ask("/v2/models/delays/infer", {"inputs": [key]})
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()

    assert (status, told["model_version"]) == (200, "7")
    assert struct.unpack("<d", sent[0][-8:]) == (4.5,)
