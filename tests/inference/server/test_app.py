import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest

from components.foundation.signature import Signature
from inference.observer.observation import Prediction
from inference.server.telemetry.board import IN_FLIGHT
from inference.server.telemetry.exposition import Page
from inference.transport import limits as transport
from tests.inference.models import OFFSETS, SIGNATURE, request
from tests.inference.server.conftest import INFER, Running, Serve

Ask = Callable[..., httpx.Response]


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not true():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.01)


def expected(delay: list[float], carrier: list[int]) -> list[float]:
    wanted = 1 / (1 + np.exp(-(np.array(delay) + OFFSETS[carrier])))
    return [float(value) for value in wanted]


def test_health_readiness_and_metadata(ask: Ask) -> None:
    assert ask("/v2/health/live").json() == {"live": True}
    assert ask("/v2/health/ready").json() == {"ready": True}
    assert ask("/v2/models/delays/ready").json() == {"name": "delays", "ready": True}
    assert ask("/v2").json()["extensions"] == ["binary_tensor_data"]
    assert ask("/v2/models/delays").json() == {
        "name": "delays",
        "versions": ["0"],
        "platform": "onnxruntime_onnx",
        "inputs": [
            {"name": "delay", "datatype": "FP32", "shape": [-1]},
            {"name": "carrier", "datatype": "INT64", "shape": [-1]},
        ],
        "outputs": [{"name": "probability", "datatype": "FP32", "shape": [-1]}],
    }


def test_answers_a_batch_and_echoes_the_id(ask: Ask) -> None:
    answer = ask(INFER, request(delay=[0.5, -2, 3], carrier=[0, 1, 2], id="r7", parameters={}))

    body = answer.json()
    [output] = body["outputs"]
    assert answer.status_code == 200
    assert (body["model_name"], body["model_version"], body["id"]) == ("delays", "0", "r7")
    assert (output["name"], output["datatype"], output["shape"]) == ("probability", "FP32", [3])
    assert output["data"] == pytest.approx(expected([0.5, -2, 3], [0, 1, 2]), abs=1e-6)


def test_a_version_may_be_named(ask: Ask) -> None:
    body = request(delay=[0], carrier=[0])

    assert ask("/v2/models/delays/versions/0/infer", body).status_code == 200
    assert ask("/v2/models/delays/versions/0/ready").status_code == 200
    assert ask("/v2/models/delays/versions/0").status_code == 200
    assert ask("/v2/models/delays/versions/1/infer", body).status_code == 404


def test_a_null_means_missing(ask: Ask) -> None:
    answer = ask(INFER, request(delay=[None, 1], carrier=[0, 0]))

    assert answer.json()["outputs"][0]["data"][0] is None
    assert answer.json()["outputs"][0]["data"][1] == pytest.approx(0.731, abs=1e-3)


def changed(index: int = 0, **change: Any) -> dict[str, Any]:
    body = request(delay=[1.0], carrier=[0])
    body["inputs"][index].update(change)
    return body


@pytest.mark.parametrize(
    ("body", "says"),
    [
        pytest.param(b"", "not JSON", id="empty"),
        pytest.param(b"{'a': 1}", "not JSON", id="no JSON"),
        pytest.param(b'{"inputs": [NaN]}', "not JSON", id="NaN"),
        pytest.param(b"[" * 5000, "not JSON", id="nested"),
        pytest.param([1], "no JSON object", id="a list"),
        pytest.param({}, "inputs: expected a list", id="no inputs"),
        pytest.param({"inputs": {}}, "inputs: expected a list", id="inputs no list"),
        pytest.param({"inputs": [1]}, "inputs: expected a list", id="input no object"),
        pytest.param({"inputs": [{"name": 1}]}, "inputs: expected", id="name no string"),
        pytest.param(changed(name="dely"), "did you mean 'delay'", id="unknown input"),
        pytest.param(changed(1, name="delay", datatype="FP32"), "given twice", id="twice"),
        pytest.param({"inputs": changed()["inputs"][:1]}, "'carrier': missing", id="missing"),
        pytest.param(changed(datatype="FP64"), "datatype 'FP64', expected 'FP32'", id="datatype"),
        pytest.param(changed(datatype=None), "datatype None", id="no datatype"),
        pytest.param(changed(shape=[1, 1]), r"shape [1, 1], expected [-1]", id="rank"),
        pytest.param(changed(shape=[0], data=[]), "shape [0]", id="no rows"),
        pytest.param(changed(shape=[-1]), "shape [-1]", id="negative"),
        pytest.param(changed(shape=[True]), "shape [True]", id="bool in shape"),
        pytest.param(changed(shape="1"), "shape '1'", id="shape no list"),
        pytest.param(changed(shape=[10**18]), "1 values", id="shape beyond memory"),
        pytest.param(changed(shape=[2]), "1 values", id="too few"),
        pytest.param(changed(data=[1, 2]), "2 values", id="too many"),
        pytest.param(changed(data="1"), "data is missing or no list", id="data no list"),
        pytest.param(changed(data=["1.5"]), "data is not all", id="text"),
        pytest.param(changed(data=[True]), "data is not all", id="bool"),
        pytest.param(changed(data=[{}]), "data is not all", id="object"),
        pytest.param(changed(data=[None, "a"], shape=[2]), "data is not all", id="null and text"),
        pytest.param(
            json.dumps(changed()).replace("[1.0]", "[1e999]").encode(), "not JSON", id="infinite"
        ),
        pytest.param(changed(data=[1e300]), "data is not all", id="too large"),
        pytest.param(changed(data=[[1], [2, 3]], shape=[2]), "data is not all", id="ragged"),
        pytest.param(changed(1, data=[0.5]), "data is not all", id="float for int"),
        pytest.param(changed(1, data=[None]), "data is not all", id="null for int"),
        pytest.param(changed(1, data=[2**63]), "data is not all", id="int too large"),
        pytest.param(changed(1, data=[2**70]), "data is not all INT64", id="int much too large"),
        pytest.param(
            {**changed(1, shape=[2], data=[0, 0])}, "inputs have [1, 2] rows", id="rows differ"
        ),
        pytest.param({**changed(), "id": 7}, "id: expected a string", id="id no string"),
        pytest.param({**changed(), "id": "x" * 300}, "at most 256", id="id too long"),
        pytest.param(
            {**changed(), "parameters": {"ids": ["a", "b"]}},
            "expected 1 strings",
            id="too many ids",
        ),
        pytest.param({**changed(), "parameters": {"ids": [1]}}, "expected 1 strings", id="ids"),
        pytest.param({**changed(), "outputs": [{"name": "p"}]}, "output 'p': unknown", id="output"),
        pytest.param({**changed(), "outputs": "all"}, "outputs: expected a list", id="outputs"),
    ],
)
def test_a_malformed_request_is_400_and_says_why(ask: Ask, body: Any, says: str) -> None:
    answer = ask(INFER, body)

    assert (answer.status_code, list(answer.json())) == (400, ["error"])
    assert says in answer.json()["error"]
    assert len(answer.content) < 600


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/", "GET", 404),
        ("/v1/models/delays:explain", "POST", 404),
        ("/v2/", "GET", 404),
        ("/v2/models/other/infer", "POST", 404),
        ("/v2/models/delays/explain", "POST", 404),
        ("/v2/models/delays/infer/more", "POST", 404),
        (INFER, "GET", 405),
        (INFER, "PUT", 405),
        ("/v2/health/live", "POST", 405),
        ("/metrics", "DELETE", 405),
    ],
)
def test_another_path_is_404_and_another_method_405(
    ask: Ask, path: str, method: str, status: int
) -> None:
    answer = ask(path, method=method)

    assert (answer.status_code, list(answer.json())) == (status, ["error"])
    assert (status == 405) == ("allow" in answer.headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/csv"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-encoding": "gzip"},
    ],
)
def test_what_is_not_json_is_415(ask: Ask, headers: dict[str, str]) -> None:
    assert ask(INFER, request(delay=[0], carrier=[0]), headers=headers).status_code == 415


def test_a_charset_is_fine(ask: Ask) -> None:
    headers = {"content-type": "Application/JSON; charset=utf-8"}

    assert ask(INFER, request(delay=[0], carrier=[0]), headers=headers).status_code == 200


def test_a_body_too_large_is_413_and_ends_the_connection(ask: Ask) -> None:
    answer = ask(INFER, b" " * 100_001)

    assert (answer.status_code, answer.headers["connection"]) == (413, "close")


def test_a_failing_model_is_500_with_a_number_and_no_word_more(
    ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    answer = ask(INFER, request(delay=[0], carrier=[7]))

    error = answer.json()["error"]
    incident = error.rpartition(" ")[2]
    assert (answer.status_code, error) == (500, f"the model failed; incident {incident}")
    assert incident in caplog.text
    assert "in Gather" in caplog.text
    assert "idx=7" not in caplog.text


def test_a_draining_server_is_alive_but_not_ready(running: Running) -> None:
    running.service.draining, ask = True, running.ask

    assert ask("/v2/health/live").status_code == 200
    assert ask("/v2/health/ready").status_code == 503
    assert ask("/v2/models/delays/ready").status_code == 503
    assert ask(INFER, request(delay=[0], carrier=[0])).status_code == 200


def test_every_answer_is_counted_by_its_code(ask: Ask) -> None:
    ask(INFER, request(delay=[0], carrier=[0]))
    ask(INFER, request(delay=[0], carrier=[0]))
    ask(INFER, request(delay=[0], carrier=[7]))
    ask(INFER, b"no JSON")
    ask("/v2/health/live")

    text = ask("/metrics").text
    own = 'model="delays",variant="b",version="0"'
    for code, count in (("200", 2), ("400", 1), ("500", 1)):
        line = f'inference_requests_total{{code="{code}",{own}}} {count}.0'
        assert line in text
    assert f"inference_request_seconds_count{{{own}}} 4.0" in text
    assert f"observations_dropped_total{{{own}}} 0.0" in text
    assert "_created" not in text


def test_until_the_model_is_there_the_server_is_alive_and_says_503(running: Running) -> None:
    running.service.served, ask = None, running.ask

    assert ask("/v2/health/live").status_code == 200
    assert ask("/v2/health/ready").status_code == 503
    answer = ask(INFER, request(delay=[0], carrier=[0]))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    page = ask("/metrics")
    assert page.status_code == 200
    assert 'inference_workers{model="delays",variant="b"} 1.0' in page.text


def test_health_answers_while_the_page_of_metrics_is_made(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go = threading.Event(), threading.Event()

    def text(page: Page, accept: str) -> tuple[bytes, bytes]:
        begun.set()
        assert go.wait(10), "nobody let it"
        return b"late", b"text/plain"

    monkeypatch.setattr(Page, "text", text)
    with ThreadPoolExecutor(1) as client:
        page = client.submit(running.ask, "/metrics")
        assert begun.wait(5)
        alive = running.ask("/v2/health/live").status_code
        unfinished = not page.done()
        go.set()

    assert (alive, unfinished, page.result().text) == (200, True, "late")


class Slow:
    """Predicts when it is let."""

    name, version, platform, batches = "delays", "0", "test", False
    signature = Signature.from_dict(SIGNATURE)

    def __init__(self) -> None:
        self.go, self.began = threading.Event(), threading.Event()

    def predict(self, inputs: Any) -> Any:
        self.began.set()
        assert self.go.wait(10), "nobody let it"
        return {"probability": inputs["delay"]}


def test_health_answers_while_predictions_are_slow(serve: Serve) -> None:
    slow = Slow()
    running = serve(slow, concurrency=2)
    body = request(delay=[0], carrier=[0])

    with ThreadPoolExecutor(6) as clients:
        asked = [clients.submit(running.ask, INFER, body) for _ in range(6)]
        until(lambda: running.board.sum(IN_FLIGHT) == 6)
        alive = running.ask("/v2/health/live").status_code
        unfinished = [answer.done() for answer in asked]
        slow.go.set()

    assert (alive, unfinished) == (200, [False] * 6)
    assert [answer.result().status_code for answer in asked] == [200] * 6


def test_what_finds_the_queue_full_is_429_and_told_when_to_come_back(serve: Serve) -> None:
    slow = Slow()
    running = serve(slow, concurrency=1, requests=2)
    body = request(delay=[0], carrier=[0])

    with ThreadPoolExecutor(8) as clients:
        asked = [clients.submit(running.ask, INFER, body) for _ in range(8)]
        until(lambda: sum(answer.done() for answer in asked) == 5)
        slow.go.set()

    answers = [answer.result() for answer in asked]
    assert sorted(answer.status_code for answer in answers) == [200] * 3 + [429] * 5
    assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 429)
    shed = 'inference_shed_total{model="delays",reason="queue_full",variant="b",version="0"} 5.0'
    assert shed in running.ask("/metrics").text


@pytest.mark.parametrize("path", [INFER, "/v1/models/delays:predict"])
def test_a_full_queue_refuses_a_body_without_reading_what_it_says(serve: Serve, path: str) -> None:
    slow = Slow()
    running = serve(slow, concurrency=1, requests=1)
    body = request(delay=[0], carrier=[0])

    with ThreadPoolExecutor(2) as clients:
        asked = [clients.submit(running.ask, INFER, body)]
        assert slow.began.wait(5)
        asked.append(clients.submit(running.ask, INFER, body))
        until(lambda: running.ask(path, b"no JSON").status_code == 429)
        slow.go.set()

    assert [answer.result().status_code for answer in asked] == [200, 200]


def test_a_body_that_finds_no_room_is_429_and_counted_as_shed(serve: Serve) -> None:
    running = serve(bounds=transport.Limits(body_bytes=1000, bodies_bytes=500))

    answer = running.ask(INFER, b" " * 600)
    running.ask(INFER, b" " * 1100)

    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    shed = 'inference_shed_total{model="delays",reason="memory",variant="b",version="0"} 1.0'
    assert shed in running.ask("/metrics").text


def test_a_failure_of_the_server_s_own_is_told_its_span_and_no_word_more(
    running: Running, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ready() -> bool:
        raise ValueError("a secret")

    monkeypatch.setattr(running.service, "ready", ready)
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    answer = running.ask("/v2/health/ready", headers={"traceparent": parent})

    assert answer.status_code == 500
    assert answer.headers["traceparent"].startswith(parent[:36])
    assert "secret" not in answer.text
    assert answer.json()["error"].rpartition(" ")[2] in caplog.text


def test_a_deadline_that_passes_is_504(serve: Serve) -> None:
    slow = Slow()
    body = request(delay=[0], carrier=[0], parameters={"timeout": 50_000})

    answer = serve(slow).ask(INFER, body)
    slow.go.set()

    assert answer.status_code == 504


def test_a_client_that_goes_away_is_counted_and_its_work_forgotten(serve: Serve) -> None:
    slow = Slow()
    running = serve(slow)
    body = request(delay=[0], carrier=[0])

    for _ in range(3):
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"http://127.0.0.1:{running.port}{INFER}", json=body, timeout=0.1)
    slow.go.set()

    gone = 'code="499",model="delays",variant="b",version="0"} 3.0'
    until(lambda: gone in running.ask("/metrics").text)


class Kept:
    def __init__(self) -> None:
        self.predictions: list[Prediction] = []

    def add(self, prediction: Prediction) -> None:
        self.predictions.append(prediction)


def test_predictions_are_observed_by_the_ids_of_their_rows(running: Running) -> None:
    kept, ask = Kept(), running.ask
    running.observe(kept)
    one, two = request(delay=[1], carrier=[0]), request(delay=[1, 2], carrier=[0, 0])

    ask(INFER, {**one, "id": "single"})
    ask(INFER, {**two, "id": "batch"})
    ask(INFER, {**two, "parameters": {"ids": ["f1", "f2"]}})
    unnamed = ask(INFER, one).json()["id"]
    ask(INFER, request(delay=[1], carrier=[7]))

    assert [prediction.names() for prediction in kept.predictions] == [
        ("single",),
        ("batch-0", "batch-1"),
        ("f1", "f2"),
        (unnamed,),
    ]
    assert kept.predictions[1].features["delay"].tolist() == [1, 2]
    assert kept.predictions[1].score.tolist() == pytest.approx([0.731, 0.881], abs=1e-3)
