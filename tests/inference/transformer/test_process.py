"""The transformer as pods run it: command line, Feast, a predictor, signals."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from components.features.repository import Repository
from components.foundation import trained_with
from components.foundation.storage import Settings
from inference.transport.messages import Handler, Reply, Request
from tests.components.features.conftest import Small, no_network, small
from tests.inference.processes import free_ports
from tests.inference.transformer.conftest import Asked
from tests.inference.transport.conftest import Serve

__all__ = ["no_network", "small"]

pytestmark = pytest.mark.slow  # imports Feast, twice

SIGNATURE = {
    "inputs": [{"name": "temp", "datatype": "FP64", "shape": [-1]}],
    "outputs": [{"name": "probability", "datatype": "FP32", "shape": [-1]}],
}


def predictor(registry: str) -> Handler:
    """A predictor of a model that was trained with these definitions."""
    features = trained_with.said("lateness", registry)

    async def answer(request: Request) -> Reply:
        if request.method == "GET":
            about = {"versions": ["7"], **SIGNATURE, "parameters": features}
            return Reply(200, json.dumps(about).encode())
        await request.body()
        return Reply(200, b'{"model_version":"7","outputs":[]}')

    return answer


def ready(ask: Asked, process: "subprocess.Popen[bytes]") -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            return ask("/v2/health/ready")[0] == 200
        time.sleep(0.05)
    return False


def test_serves_a_pinned_release_until_it_is_ended(
    small: Small, s3: Settings, serve: Serve, tmp_path: pathlib.Path
) -> None:
    from components.features.apply_features.apply import apply

    online = {"FALAJ_ONLINE_STORE": str(tmp_path / "online.db")}
    environment = {**os.environ, **s3.environment(), **online, "PYTHONPATH": f"{tmp_path}:."}
    small.observe(("EWR", 0, 0, 1.0))
    registry = apply(Repository.load(small.package, environment, cache=tmp_path / "c")).registry
    [port] = free_ports(1)
    behind = serve(predictor(str(registry))).port
    # As in its image: what that does not lock is not there.
    command = [sys.executable, "-m", "tests.images.locked", "transformer", "inference.transformer"]
    command += ["--model_name", "delays"]
    command += ["--predictor_host", f"127.0.0.1:{behind}", "--allow_plaintext"]
    command += ["--allow_anonymous"]
    command += ["--feature_repository", small.package, "--feature_service", "lateness"]
    command += ["--feature_registry", str(registry), "--expected_version", "7"]
    command += ["--feature_cache", str(tmp_path / "cache"), "--http_port", str(port)]
    process = subprocess.Popen(command, env=environment)
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
