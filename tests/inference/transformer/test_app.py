"""The transformer between a store and a predictor, over HTTP."""

import json
import struct
import threading
import time
from typing import Any

import numpy as np
import pytest

from components.foundation.signature import Tensor
from inference.server.security.tokens import Authorizer, Reason, Rules
from inference.transformer.metrics import Metrics
from inference.transport.messages import Reply, Request
from tests.inference.processes import Process, free_ports
from tests.inference.server.security.issuing import (
    AUDIENCE,
    ISSUER,
    key_set,
    make_key,
    public,
    sign,
)
from tests.inference.transformer.conftest import MODEL, Asked, Memory, Transform, about
from tests.inference.transport.conftest import Serve

INFER = f"/v2/models/{MODEL}/infer"
FEATURES = {"feature_service": "lateness", "feature_registry": f"s3://b/k#sha256:{'0' * 64}"}
SIGNATURE = {
    "inputs": [{"name": "delay", "datatype": "FP32", "shape": [-1]}],
    "outputs": [{"name": "probability", "datatype": "FP32", "shape": [-1]}],
}


@pytest.fixture
def ask(transform: Transform, predictor: Process, version: str) -> Asked:
    return transform(predictor.http, expected=version)


def approximately(*sums: float) -> Any:
    """Return what compares with the model's answers for these sums."""
    return pytest.approx([float(1 / (1 + np.exp(-value))) for value in sums], abs=1e-6)


def fake(
    serve: Serve, *versions: str, status: int = 200, features: Any = None
) -> tuple[int, list[dict[bytes, bytes]]]:
    """Start a predictor whose answers come from these versions, the last of them for ever."""
    about = SIGNATURE if features is None else {**SIGNATURE, "parameters": features}
    told, heard = list(versions), list[dict[bytes, bytes]]()

    async def handler(request: Request) -> Reply:
        version = told.pop(0) if len(told) > 1 else told[0]
        if request.method == "GET":
            return Reply(200, json.dumps({"versions": [version], **about}).encode())
        heard.append(dict(request.headers))
        await request.body()
        return Reply(status, json.dumps({"model_version": version, "outputs": []}).encode())

    return serve(handler).port, heard


def test_the_features_of_each_entity_reach_the_model(ask: Asked, version: str) -> None:
    status, told, _ = ask.infer("BB2", "AA1", "BB2", id="mine")

    assert status == 200
    assert told["outputs"][0]["data"] == approximately(-3.0, 1.5, -3.0)
    assert (told["id"], told["model_version"]) == ("mine", version)


def test_asks_the_store_for_what_the_model_takes_only(
    transform: Transform, predictor: Process, version: str
) -> None:
    memory = Memory()

    transform(predictor.http, expected=version, source=memory).infer("AA1")

    assert memory.asked == [("delay", "carrier")]


def test_a_float_that_the_store_lacks_is_missing(ask: Asked) -> None:
    status, told, _ = ask.infer("AA1", "no delay")

    assert status == 200
    known, missing = told["outputs"][0]["data"]
    assert [known] == approximately(1.5)
    assert missing is None


def test_an_entity_without_an_integer_is_named(ask: Asked) -> None:
    status, told, _ = ask.infer("AA1", "ZZ9")

    assert status == 400
    assert "flight_id 'ZZ9'" in told["error"]
    assert "'carrier'" in told["error"]


def test_outputs_may_be_binary(ask: Asked) -> None:
    status, raw, headers = ask.infer("AA1", parameters={"binary_data_output": True})

    assert status == 200
    length = int(headers["inference-header-content-length"])
    assert list(struct.unpack("<f", raw[length:])) == approximately(1.5)


def test_describes_what_it_asks_for(ask: Asked, version: str) -> None:
    _, told, _ = ask(f"/v2/models/{MODEL}")

    assert told["inputs"] == [{"name": "flight_id", "datatype": "BYTES", "shape": [-1]}]
    assert told["versions"] == [version]


def test_another_version_is_never_served(transform: Transform, predictor: Process) -> None:
    ask = transform(predictor.http, expected="another")

    assert ask("/v2/health/ready")[:2] == (503, {"ready": False})
    status, told, headers = ask.infer("AA1")
    assert status == 503
    assert "roll both out together" in told["error"]
    assert headers["retry-after"] == "1"


def test_an_answer_of_another_version_is_not_passed_on(transform: Transform, serve: Serve) -> None:
    port, heard = fake(serve, "1", "2")
    ask = transform(port, expected="1")
    assert ask("/v2/health/ready")[0] == 200

    status, told, _ = ask.infer("AA1")

    assert (status, len(heard)) == (503, 1)
    assert "serves version '2'" in told["error"]
    assert ask("/v2/health/ready")[0] == 503


def test_an_answer_that_hides_its_version_is_not_passed_on(
    transform: Transform, serve: Serve
) -> None:
    port, _ = fake(serve, "1", "")

    assert transform(port, expected="1").infer("AA1")[0] == 503


@pytest.mark.parametrize(
    ("told", "why"),
    [
        pytest.param({**FEATURES, "feature_service": "weather"}, "'weather'", id="service"),
        pytest.param(
            {**FEATURES, "feature_registry": "s3://b/k#sha256:1"}, "#sha256:1", id="other"
        ),
        pytest.param({"feature_service": "lateness"}, "feature_registry 'nothing'", id="half"),
        pytest.param(None, "feature_service 'nothing'", id="nothing"),
        pytest.param([], "feature_service 'nothing'", id="no object"),
    ],
)
def test_a_model_of_other_features_is_never_asked(
    transform: Transform, serve: Serve, told: Any, why: str
) -> None:
    port, heard = fake(serve, "1", features=told)
    ask = transform(port, expected="1", features=FEATURES)

    status, answer, headers = ask.infer("AA1")

    assert (status, headers["retry-after"], heard) == (503, "1", [])
    assert why in answer["error"]
    assert ask("/v2/health/ready")[0] == 503


def test_a_model_of_these_features_is_asked(transform: Transform, serve: Serve) -> None:
    port, _ = fake(serve, "1", features=FEATURES)

    assert transform(port, expected="1", features=FEATURES).infer("AA1")[0] == 200


@pytest.mark.parametrize(("version", "status"), [("1", 200), ("2", 404)])
def test_is_ready_for_the_version_that_it_is_asked_of(
    transform: Transform, serve: Serve, version: str, status: int
) -> None:
    port, _ = fake(serve, "1")

    ask = transform(port, expected="1")

    assert ask(f"/v2/models/{MODEL}/versions/{version}/ready")[0] == status


def test_any_version_is_served_where_none_is_pinned(transform: Transform, serve: Serve) -> None:
    port, _ = fake(serve, "1", "2")

    assert transform(port, expected=None).infer("AA1")[0] == 200


def test_trace_and_token_are_passed_on(transform: Transform, serve: Serve) -> None:
    port, heard = fake(serve, "1")
    trace = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"

    more = {"traceparent": trace, "authorization": "Bearer x", "cookie": "c"}
    transform(port, expected="1")(INFER, about("AA1"), **more)

    assert heard[0][b"traceparent"].startswith(b"00-" + b"a" * 32)
    assert heard[0][b"authorization"] == b"Bearer x"
    assert b"cookie" not in heard[0]


@pytest.fixture
def guarded(transform: Transform, serve: Serve) -> tuple[Asked, list[dict[bytes, bytes]], Any]:
    """A transformer that takes tokens of one issuer, what its predictor hears, and the key."""
    key = make_key("ES256")
    keys = key_set(public(key, "ES256"))
    port, heard = fake(serve, "1")
    gate = Authorizer(Rules(ISSUER, AUDIENCE), lambda: keys)
    return transform(port, expected="1", gate=gate), heard, key


@pytest.mark.parametrize(
    ("path", "body", "scope"),
    [
        pytest.param(INFER, about("AA1"), "infer", id="infer"),
        pytest.param(f"/v2/models/{MODEL}", None, "metadata", id="metadata"),
        pytest.param("/v2", None, "metadata", id="server"),
        pytest.param("/metrics", None, "metrics", id="metrics"),
    ],
)
def test_a_token_allows_what_its_scope_says(
    guarded: tuple[Asked, list[dict[bytes, bytes]], Any], path: str, body: Any, scope: str
) -> None:
    ask, heard, key = guarded
    others = " ".join(f"falaj:{s}" for s in ("infer", "metadata", "metrics") if s != scope)

    def status(token: bytes) -> int:
        return ask(path, body, authorization=f"Bearer {token.decode()}")[0]

    assert ask(path, body)[0] == 401
    assert status(sign(make_key("ES256"), scope=f"falaj:{scope}")) == 401  # another's key
    assert status(sign(key, scope=f"falaj:{scope}", aud="another")) == 401
    assert status(sign(key, scope=others)) == 403
    assert not heard
    assert status(sign(key, scope=f"falaj:{scope}")) == 200


def test_counts_who_was_refused() -> None:
    metrics = Metrics(MODEL)

    metrics.refused(Reason.EXPIRED)

    line = 'falaj_transformer_callers_refused_total{model="delays",reason="expired"} 1.0'
    assert line in metrics.text("")[0].decode()


def test_the_predictor_is_shown_the_token_of_the_caller(
    guarded: tuple[Asked, list[dict[bytes, bytes]], Any],
) -> None:
    ask, heard, key = guarded
    shown = f"Bearer {sign(key).decode()}"

    assert ask(INFER, about("AA1"), authorization=shown)[0] == 200
    assert [headers[b"authorization"] for headers in heard] == [shown.encode()]


def test_health_needs_no_token(guarded: tuple[Asked, list[dict[bytes, bytes]], Any]) -> None:
    ask, _, _ = guarded

    assert ask("/v2/health/live")[0] == 200
    assert ask("/v2/health/ready")[0] == 200


@pytest.mark.parametrize(
    ("theirs", "ours"), [(400, 502), (500, 502), (401, 401), (429, 429), (503, 503), (504, 504)]
)
def test_failures_of_the_predictor_are_told_apart(
    transform: Transform, serve: Serve, theirs: int, ours: int
) -> None:
    port, _ = fake(serve, "1", status=theirs)

    assert transform(port, expected="1").infer("AA1")[0] == ours


def test_a_predictor_that_goes_down_is_a_bad_gateway(transform: Transform, serve: Serve) -> None:
    async def handler(request: Request) -> Reply:
        return Reply(200, json.dumps({"versions": ["1"], **SIGNATURE}).encode())

    predictor = serve(handler)
    ask = transform(predictor.port, expected="1")
    assert ask("/v2/health/ready")[0] == 200
    predictor.end()

    assert ask.infer("AA1")[0] == 502


def test_a_predictor_that_never_was_leaves_it_alive_and_unready(transform: Transform) -> None:
    ask = transform(free_ports(1)[0], expected="1")

    assert ask("/v2/health/live")[0] == 200
    assert ask("/v2/health/ready")[0] == 503
    assert ask.infer("AA1")[0] == 502


@pytest.mark.alone
def test_a_slow_store_is_a_timeout(transform: Transform, serve: Serve) -> None:
    port, heard = fake(serve, "1")
    ask = transform(port, expected="1", source=Memory(seconds=0.4), lookup_seconds=0.05)
    ask("/v2/health/ready")

    began = time.monotonic()
    assert ask.infer("AA1")[0] == 504
    assert time.monotonic() - began < 0.3
    assert not heard


def test_a_store_that_fails_is_a_bad_gateway(transform: Transform, serve: Serve) -> None:
    port, heard = fake(serve, "1")
    broken = Memory(keys=[Tensor("another", "BYTES")])  # what is looked up by flight_id fails
    body = about("AA1")
    body["inputs"][0]["name"] = "another"

    status, told, _ = transform(port, expected="1", source=broken)(INFER, body)

    assert (status, told) == (502, {"error": "the online store failed"})
    assert not heard


def test_a_full_queue_sheds(transform: Transform, serve: Serve) -> None:
    port, _ = fake(serve, "1")
    ask = transform(port, expected="1", source=Memory(seconds=0.3), threads=1, queue=1)
    ask("/v2/health/ready")
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(ask.infer("AA1")[0])) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(statuses) == [200, 200, 429, 429]


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        pytest.param(INFER, b"{", {}, 400, id="no JSON"),
        pytest.param(INFER, {"inputs": []}, {}, 400, id="no key"),
        pytest.param("/v2/models/other/infer", about("AA1"), {}, 404, id="another model"),
        pytest.param(f"/v2/models/{MODEL}/versions/9/infer", about("AA1"), {}, 404, id="version"),
        pytest.param("/v1/models", None, {}, 404, id="v1"),
        pytest.param(INFER, None, {}, 405, id="method"),
        pytest.param(INFER, b" " * (2 << 20), {}, 413, id="too large"),
        pytest.param(INFER, about("AA1"), {"content_type": "text/plain"}, 415, id="kind"),
        pytest.param(INFER, about("AA1"), {"content_encoding": "gzip"}, 415, id="compressed"),
    ],
)
def test_refuses_with_the_status_that_says_why(
    ask: Asked, path: str, body: Any, headers: dict[str, str], status: int
) -> None:
    try:
        assert ask(path, body, **headers)[0] == status
    except (BrokenPipeError, ConnectionResetError):
        assert status == 413  # refused before all of it was sent


def test_counts_by_status_and_part(ask: Asked, version: str) -> None:
    labels = f'model="delays",version="{version}"'
    assert f'requests_total{{code="200",{labels}}} 0.0' in ask("/metrics")[1].decode()

    ask.infer("AA1")
    ask.infer("ZZ9")

    text = ask("/metrics")[1].decode()
    assert f'falaj_transformer_requests_total{{code="200",{labels}}} 1.0' in text
    assert f'falaj_transformer_requests_total{{code="400",{labels}}} 1.0' in text
    assert 'falaj_transformer_seconds_count{model="delays",part="lookup"} 2.0' in text
    assert 'falaj_transformer_versions_agree{model="delays"} 1.0' in text
