"""Traces and the access log of the server as a process: what is told, and what is not."""

import contextlib
import datetime
import http.client
import json
import os
import pathlib
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from inference.server.protocol import open_inference_pb2 as pb
from tests.inference.models import request
from tests.inference.server.grpc_calls import Client, Running, message, running
from tests.inference.server.test_process import INFER, command, free_port, wait_ready
from tests.inference.server.test_workers import metrics, until

OPEN = ("--allow_plaintext", "--allow_anonymous", "--variant", "b")
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
SECRET = 12.625


@contextlib.contextmanager
def logging(folder: pathlib.Path, share: str = "1", *more: str) -> Iterator[Running]:
    with running(folder, *OPEN, "--access_log", share, *more) as server:
        wait_ready(server.http)
        yield server


def lines(server: Running) -> list[dict[str, Any]]:
    """End the server and return what it logged, but for questions whether it is ready."""
    server.process.terminate()
    assert server.process.wait(10) == 0
    found = [json.loads(line) for line in server.log.read_bytes().splitlines() if line[:1] == b"{"]
    return [line for line in found if line["path"] != "/v2/health/ready"]


def ask(
    port: int, path: str, body: Any = None, *, method: str = "", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    data = body if body is None or isinstance(body, bytes) else json.dumps(body)
    connection.request(method or ("GET" if body is None else "POST"), path, data, headers)
    response = connection.getresponse()
    answer = response.status, dict(response.getheaders()), response.read()
    connection.close()
    return answer


def span_of(traceparent: str) -> str:
    """Return the span that an answer names in the caller's trace."""
    found = re.fullmatch(rf"00-{TRACE}-([0-9a-f]{{16}})-01", traceparent)
    assert found, traceparent
    assert found[1] != SPAN
    return found[1]


def test_a_line_says_how_a_prediction_went_and_nothing_of_what_was_in_it(
    folder: pathlib.Path,
) -> None:
    body = json.dumps(request(delay=[SECRET, 1], carrier=[0, 2], id="r7")).encode()
    with logging(folder) as server:
        secret = {"authorization": "Bearer a.b.c", "tracestate": "us=quite-secret"}
        before = time.time()
        status, headers, answer = ask(
            server.http, f"{INFER}?key=s3cret", body, traceparent=PARENT, **secret
        )
        after = time.time()
        [line] = lines(server)

    assert status == 200
    came = datetime.datetime.fromisoformat(line.pop("time")).timestamp()
    assert before - 0.001 <= came <= after
    assert 0 < line.pop("seconds") <= after - before
    assert line == {
        "trace_id": TRACE,
        "span_id": span_of(headers["traceparent"]),
        "request_id": "r7",
        "method": "POST",
        "path": INFER,
        "status": 200,
        "bytes_in": len(body),
        "bytes_out": len(answer),
        "model": "delays",
        "version": "0",
        "variant": "b",
        "rows": 2,
    }
    assert "tracestate" not in headers
    said = server.log.read_text()
    score = json.loads(answer)["outputs"][0]["data"][0]
    for hidden in (str(SECRET), str(score)[:6], "s3cret", "a.b.c", "quite-secret"):
        assert hidden not in said


def test_without_a_trace_one_begins_here_and_is_told(folder: pathlib.Path) -> None:
    with logging(folder) as server:
        _, headers, _ = ask(server.http, "/v2")
        [line] = lines(server)

    assert headers["traceparent"] == f"00-{line['trace_id']}-{line['span_id']}-02"
    assert (line["model"], line["rows"], line["bytes_in"]) == ("", 0, 0)


@pytest.mark.parametrize("share", ["0", "0.0000001"], ids=["off", "a small share"])
def test_what_is_not_in_the_sample_is_not_logged(folder: pathlib.Path, share: str) -> None:
    with logging(folder, share) as server:
        _, plain, _ = ask(server.http, INFER, request(delay=[1], carrier=[0]))
        _, traced, _ = ask(server.http, INFER, request(delay=[1], carrier=[0]), traceparent=PARENT)
        assert lines(server) == []

    assert ("traceparent" in plain) == (share != "0")
    span_of(traced["traceparent"])


def test_every_refusal_is_told_its_span_and_logged(folder: pathlib.Path) -> None:
    refused = [
        ("/v3", None, "GET", 404),
        (INFER, None, "GET", 405),
        (INFER, b"no JSON", "POST", 400),
        (INFER, request(delay=[1], carrier=[7]), "POST", 500),
        ("/v2/models/other/infer", b"{}", "POST", 404),
    ]
    with logging(folder) as server:
        answers = [
            ask(server.http, path, body, method=method, traceparent=PARENT)
            for path, body, method, _ in refused
        ]
        large, headers, _ = _declared(server.http, 65 << 20)
        logged = lines(server)

    assert [status for status, _, _ in answers] == [status for *_, status in refused]
    assert large == 413
    spans = [span_of(told["traceparent"]) for told in (*(h for _, h, _ in answers), headers)]
    assert [(line["status"], line["span_id"]) for line in logged] == list(
        zip([*(status for *_, status in refused), 413], spans, strict=True)
    )
    assert [line["version"] for line in logged] == ["", "", "0", "0", "", "0"]
    assert [line["rows"] for line in logged] == [0, 0, 0, 1, 0, 0]
    assert logged[1]["method"] == "GET"
    assert logged[0]["bytes_out"] == len(answers[0][2])


def _declared(port: int, size: int) -> tuple[int, dict[str, str], bytes]:
    """Announce a body that is too large, and send none of it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest("POST", INFER)
    for name, value in (("content-length", str(size)), ("traceparent", PARENT)):
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    answer = response.status, dict(response.getheaders()), response.read()
    connection.close()
    return answer


def test_a_client_that_goes_away_is_logged_with_499(folder: pathlib.Path) -> None:
    head = f"POST {INFER} HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n".encode()
    with logging(folder) as server:
        with socket.create_connection(("127.0.0.1", server.http)) as leaving:
            leaving.sendall(head)
            until(lambda: _in_flight(server))
        until(lambda: not _in_flight(server))
        gone = [line for line in lines(server) if line["path"] == INFER]

    assert [(line["status"], line["bytes_out"]) for line in gone] == [(499, 0)]


def _in_flight(server: Running) -> bool:
    found = re.search(r"inference_in_flight\{.*\} (\S+)", metrics(server.http))
    return bool(found and float(found[1]))


def test_each_worker_writes_its_lines(folder: pathlib.Path) -> None:
    with logging(folder, "1", "--workers", "2") as server:
        told = [ask(server.http, "/v2", traceparent=PARENT)[1] for _ in range(40)]
        logged = lines(server)

    spans = {span_of(headers["traceparent"]) for headers in told}
    assert len(spans) == 40
    assert {line["span_id"] for line in logged} == spans


def test_what_is_answered_while_it_drains_is_logged(folder: pathlib.Path) -> None:
    body = json.dumps(request(delay=[1], carrier=[0])).encode()
    head = f"POST {INFER} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    with logging(folder) as server:
        with socket.create_connection(("127.0.0.1", server.http), timeout=10) as half_sent:
            half_sent.sendall(head)
            until(lambda: _in_flight(server))
            server.process.terminate()
            time.sleep(0.3)
            half_sent.sendall(body)
            assert half_sent.recv(10_000).startswith(b"HTTP/1.1 200")
        logged = lines(server)

    assert [line["status"] for line in logged if line["path"] == INFER] == [200]


def test_grpc_is_traced_and_logged_alike(folder: pathlib.Path) -> None:
    body = message([SECRET], [0], id="g1")
    with logging(folder) as server:
        with Client(server.grpc) as client:
            answer = client.infer(body, traceparent=PARENT)
            refused = client.infer(message([1.0], [7]), traceparent=PARENT)
            client.call("ModelReady", pb.ModelReadyRequest(name="x").SerializeToString())
        logged = lines(server)

    path = "/inference.GRPCInferenceService/ModelInfer"
    first, second, third = logged
    assert first | {"time": "", "seconds": 0} == {
        "time": "",
        "trace_id": TRACE,
        "span_id": span_of(answer.trailing["traceparent"]),
        "request_id": "g1",
        "method": "POST",
        "path": path,
        "status": 200,
        "seconds": 0,
        "bytes_in": len(body),
        "bytes_out": len(answer.body),
        "model": "delays",
        "version": "0",
        "variant": "b",
        "rows": 1,
    }
    assert second["span_id"] == span_of(refused.trailing["traceparent"])
    assert (second["status"], second["bytes_out"]) == (500, 0)
    assert (third["status"], third["path"]) == (404, path.replace("ModelInfer", "ModelReady"))
    assert str(SECRET) not in server.log.read_text()


def test_lines_that_nobody_can_read_are_counted_and_cost_no_answer(folder: pathlib.Path) -> None:
    port = free_port()
    reading, writing = os.pipe()
    told = command(folder, port, "--access_log", "1")
    with subprocess.Popen(told, stderr=writing) as server:
        try:
            wait_ready(port)
            os.close(reading)
            os.close(writing)
            for _ in range(5):
                assert ask(port, INFER, request(delay=[1], carrier=[0]))[0] == 200
            until(lambda: _lost(port) >= 5)
        finally:
            server.kill()


def _lost(port: int) -> float:
    found = re.search(r"access_log_dropped_total\{.*\} (\S+)", metrics(port))
    return float(found[1]) if found else 0


def test_a_share_is_from_nothing_to_all(folder: pathlib.Path) -> None:
    done = subprocess.run(
        command(folder, 0, "--access_log", "1.5"), capture_output=True, text=True, timeout=30
    )

    assert done.returncode == 2
    assert "--access_log: 1.5, expected 0 to 1" in done.stderr
