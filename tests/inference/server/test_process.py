"""The server as pods run it: one process, started and ended by its command line."""

import contextlib
import http.client
import json
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests import ports
from tests.inference.models import SIGNATURE, request, write_model

INFER = "/v2/models/delays/infer"
OPEN = ("--allow_plaintext", "--allow_anonymous")


def free_port() -> int:
    return ports.free()


def command(folder: pathlib.Path, port: int, *more: str) -> list[str]:
    base = [sys.executable, "-m", "inference.server", "--model_name", "delays"]
    base += ["--model_dir", str(folder), "--http_port", str(port)]
    return [*base, "--spool_dir", str(folder.parent / "spool"), *OPEN, *more]


@contextlib.contextmanager
def served(folder: pathlib.Path, *more: str) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    port = free_port()
    process = subprocess.Popen(command(folder, port, *more), stderr=subprocess.PIPE, text=True)
    try:
        wait_ready(port)
        yield process, port
    finally:
        process.kill()
        process.communicate()


def wait_ready(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if ask(port, "/v2/health/ready")[0] == 200:
                return
        except OSError:
            time.sleep(0.02)
    raise AssertionError("not ready in 30 s")


def ask(port: int, path: str, body: Any = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    data = None if body is None else json.dumps(body)
    connection.request("GET" if body is None else "POST", path, data)
    response = connection.getresponse()
    answer = response.status, json.loads(response.read())
    connection.close()
    return answer


def test_serves_and_keeps_what_it_observed_when_it_is_ended(
    folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with served(folder, "--variant", "b", "--observations", str(tmp_path / "obs")) as (
        server,
        port,
    ):
        status, answer = ask(port, INFER, request(delay=[1, 2], carrier=[0, 0], id="r"))
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) == 0

    assert (status, answer["id"]) == (200, "r")
    [part] = (tmp_path / "obs").glob("part-*.jsonl")
    rows = [json.loads(line) for line in part.read_text().splitlines()]
    assert [(row["id"], row["variant"]) for row in rows] == [("r-0", "b"), ("r-1", "b")]


def test_a_request_under_way_is_answered_before_the_end(folder: pathlib.Path) -> None:
    with served(folder) as (server, port):
        body = json.dumps(request(delay=[1], carrier=[0])).encode()
        head = f"POST {INFER} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        with socket.create_connection(("127.0.0.1", port), timeout=10) as half_sent:
            half_sent.sendall(head + body[:10])
            time.sleep(0.2)
            server.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            half_sent.sendall(body[10:])
            answer = half_sent.recv(10_000)
        assert server.wait(10) == 0

    assert answer.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("workers", [1, 2])
def test_nobody_is_let_in_who_would_not_be_answered(folder: pathlib.Path, workers: int) -> None:
    with served(folder, "--workers", str(workers)) as (server, port):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as half_sent:
            half_sent.sendall(
                f"POST {INFER} HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n".encode()
            )
            time.sleep(0.3)
            server.send_signal(signal.SIGTERM)
            time.sleep(0.7)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), timeout=10)
            assert server.poll() is None  # it waits for the rest of what was begun
        assert server.wait(10) == 0


def test_no_answer_is_cut_when_it_is_ended_under_load(folder: pathlib.Path) -> None:
    answers: list[tuple[int, bytes]] = []

    def load(port: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        body = json.dumps(request(delay=[1], carrier=[0]))
        with contextlib.suppress(OSError):  # closed between requests, which clients try again
            while True:
                connection.request("POST", INFER, body)
                response = connection.getresponse()
                answers.append((response.status, response.read()))

    with served(folder) as (server, port):
        clients = [threading.Thread(target=load, args=(port,)) for _ in range(4)]
        for client in clients:
            client.start()
        time.sleep(0.5)
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) == 0
        for client in clients:
            client.join()

    assert {status for status, _ in answers} == {200}
    assert all(json.loads(body)["outputs"][0]["data"] for _, body in answers)


def test_refuses_to_start_when_the_signature_does_not_fit(tmp_path: pathlib.Path) -> None:
    wrong = {**SIGNATURE, "outputs": [{"name": "p", "datatype": "FP32", "shape": [-1]}]}
    folder = write_model(tmp_path / "wrong", signature=wrong)

    done = subprocess.run(
        command(folder, free_port()), capture_output=True, text=True, timeout=30, check=False
    )

    assert done.returncode == 2
    assert "output 'p': the model lacks it" in done.stderr.splitlines()[-1]


def test_a_program_that_nobody_signed_is_refused_unless_that_is_said(
    tmp_path: pathlib.Path,
) -> None:
    folder = write_model(tmp_path / "plain")
    (folder / "model.onnx").rename(folder / "model.pt2")

    def last_line(*more: str) -> tuple[int, str]:
        told = command(folder, free_port(), *more)
        done = subprocess.run(told, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, "\n".join(done.stderr.splitlines()[-2:])

    code, refusal = last_line()
    assert code == 2
    assert "serve what you made yourself with --unsafe_unsealed_program" in refusal

    code, past_it = last_line("--unsafe_unsealed_program")
    assert code == 2
    assert "that nobody signed: --unsafe_unsealed_program is set" in past_it
    assert "is no archive" in past_it or "cannot load it" in past_it


def test_says_that_the_port_is_taken(folder: pathlib.Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            command(folder, port), capture_output=True, text=True, timeout=30, check=False
        )

    assert done.returncode == 2
    assert f"127.0.0.1:{port}: Address already in use" in done.stderr.splitlines()[-1]


def test_starts_light() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "inference.server", "--help"]

    done = subprocess.run(command, capture_output=True, text=True, check=True)

    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "components.foundation.errors" in imported
    assert not imported & {"onnxruntime", "pyarrow", "pandas", "kfp", "kubernetes", "deltalake"}
