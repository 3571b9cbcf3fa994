"""Several workers on one port, reloading, and certificates, as processes."""

import contextlib
import http.client
import os
import pathlib
import re
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from tests.inference.models import SIGNATURE, request, write_model
from tests.inference.server.runtimes.releases import release_json
from tests.inference.server.test_process import INFER, ask, free_port, served
from tests.inference.transport.pki import Authority

T = TypeVar("T")


def children(pid: int) -> list[int]:
    text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def metrics(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return text


def answered(port: int) -> float:
    found = re.search(r'inference_requests_total\{code="200",.*\} (\S+)', metrics(port))
    return float(found[1]) if found else 0


def until(true: Callable[[], T], *, seconds: float = 20) -> T:
    """Wait for something to become true and return it."""
    deadline = time.monotonic() + seconds
    while not (seen := true()):
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)
    return seen


def test_workers_share_a_port_and_their_metrics_and_are_replaced(folder: pathlib.Path) -> None:
    body = request(delay=[1], carrier=[0])
    with served(folder, "--workers", "2") as (server, port):
        for _ in range(20):
            assert ask(port, INFER, body)[0] == 200
        before = children(server.pid)
        counted = {answered(port) for _ in range(10)}
        os.kill(before[0], signal.SIGKILL)
        until(lambda: before[0] not in children(server.pid) and len(children(server.pid)) == 2)
        until(lambda: ask(port, "/v2/health/ready")[0] == 200)
        ask(port, INFER, body)
        after = answered(port)
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) == 0

    assert len(before) == 2
    assert counted == {20}
    assert after == 21


def test_not_ready_while_a_worker_is_missing(folder: pathlib.Path) -> None:
    with served(folder, "--workers", "2") as (server, port):
        stopped = children(server.pid)[0]
        os.kill(stopped, signal.SIGKILL)
        statuses = set()
        deadline = time.monotonic() + 0.4  # a dead worker is started again after half a second
        while time.monotonic() < deadline:
            statuses.add(ask(port, "/v2/health/ready")[0])

    assert 503 in statuses


def test_workers_end_when_their_model_cannot_be_served(tmp_path: pathlib.Path) -> None:
    wrong = {**SIGNATURE, "outputs": [{"name": "p", "datatype": "FP32", "shape": [-1]}]}
    folder = write_model(tmp_path / "wrong", signature=wrong)
    command = [sys.executable, "-m", "inference.server", "--model_name", "delays", "--workers", "2"]
    command += ["--model_dir", str(folder), "--http_port", str(free_port())]

    done = subprocess.run(
        [*command, "--allow_plaintext", "--allow_anonymous"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    assert "output 'p': the model lacks it" in done.stderr


def test_no_worker_outlives_the_one_that_started_it(folder: pathlib.Path) -> None:
    with served(folder, "--workers", "2") as (server, _):
        workers = children(server.pid)
        server.kill()
        until(lambda: not any(pathlib.Path(f"/proc/{pid}/exe").exists() for pid in workers))


def swap(folder: pathlib.Path, version: str, offset: float) -> None:
    """Put another release in the folder: a version, and a constant that tells its answers."""
    import numpy as np
    import onnx
    from onnx import numpy_helper

    model = onnx.load(folder / "model.onnx")
    constant = numpy_helper.from_array(np.full(3, offset, np.float32), "offsets")
    model.graph.initializer[0].CopyFrom(constant)
    fresh = folder.with_name("fresh")
    shutil.copytree(folder, fresh)
    onnx.save(model, fresh / "model.onnx")
    release_json(fresh, version=version)
    folder.rename(folder.with_name(f"before-{version}"))
    fresh.rename(folder)


def test_a_reload_mixes_no_versions_and_loses_no_request(folder: pathlib.Path) -> None:
    swap(folder, "v1", 0.0)
    answers: list[tuple[int, Any]] = []
    stop = threading.Event()

    def load(port: int) -> None:
        while not stop.is_set():
            answers.append(ask(port, INFER, request(delay=[0], carrier=[0])))

    with served(folder) as (server, port):
        clients = [threading.Thread(target=load, args=(port,)) for _ in range(3)]
        for client in clients:
            client.start()
        swap(folder, "v2", 100.0)
        server.send_signal(signal.SIGHUP)
        until(lambda: answers and answers[-1][1].get("model_version") == "v2")
        (folder / "model.onnx").write_bytes(b"broken")
        server.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        stop.set()
        for client in clients:
            client.join()

    assert {status for status, _ in answers} == {200}
    told = {(body["model_version"], round(body["outputs"][0]["data"][0], 1)) for _, body in answers}
    assert told == {("v1", 0.5), ("v2", 1.0)}
    assert answers[-1][1]["model_version"] == "v2"


def test_health_answers_while_a_reload_waits_for_its_files(folder: pathlib.Path) -> None:
    profile, writing = folder / "profile.json", list[int]()

    def read_by_the_server() -> bool:
        with contextlib.suppress(OSError):  # nobody reads it yet
            writing.append(os.open(profile, os.O_WRONLY | os.O_NONBLOCK))
        return bool(writing)

    with served(folder) as (server, port):
        os.mkfifo(profile)
        server.send_signal(signal.SIGHUP)
        until(read_by_the_server)
        assert ask(port, "/v2/health/live")[0] == 200
        assert ask(port, INFER, request(delay=[1], carrier=[0]))[0] == 200
        os.write(writing[0], b'{"version": 0}')
        os.close(writing[0])
        assert server.stderr is not None
        said = iter(server.stderr.readline, "")
        assert any("the model stays as it was" in line and "profile.json" in line for line in said)


def test_serves_over_tls(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    authority = Authority("ours")
    cert, key = authority.issue("server").write(tmp_path)
    port = free_port()
    command = [sys.executable, "-m", "inference.server", "--model_name", "delays"]
    command += ["--model_dir", str(folder), "--http_port", str(port), "--allow_anonymous"]
    command += ["--tls_cert", str(cert), "--tls_key", str(key)]
    context = ssl.create_default_context(cadata=authority.cert.decode())

    def status(path: str) -> int:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()

    with subprocess.Popen(command, stderr=subprocess.PIPE) as server:
        try:
            until(lambda: status("/v2/health/ready") == 200)
            with pytest.raises((OSError, http.client.HTTPException)):
                ask(port, "/v2/health/ready")
        finally:
            server.terminate()


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ((), "name --tls_cert and --tls_key"),
        (("--allow_plaintext",), "name --oidc_issuer and --oidc_audience"),
    ],
    ids=["no TLS", "no tokens"],
)
def test_says_what_it_wants_before_it_serves_in_the_open(
    folder: pathlib.Path, flags: tuple[str, ...], says: str
) -> None:
    command = [sys.executable, "-m", "inference.server", "--model_name", "delays"]

    done = subprocess.run(
        [*command, "--model_dir", str(folder), *flags],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 2
    assert says in done.stderr.splitlines()[-1]
