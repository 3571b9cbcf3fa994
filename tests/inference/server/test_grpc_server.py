import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
import uvloop

from components.foundation.signature import Array
from inference.server.protocol import open_inference_pb2 as pb
from inference.server.protocol.messages import InferRequest, Rejected
from inference.server.security.scopes import Verb
from inference.server.telemetry.layout import Phase
from tests.inference.server.grpc_stub import Run, Service, doubled, request, serving, until

Code = grpc.StatusCode


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Run a test on the loop that the server has in earnest; gRPC wants one for all."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield runner.run


@pytest.mark.parametrize("binary", [True, False], ids=["raw", "typed"])
def test_the_kserve_client_is_answered(run: Run, binary: bool) -> None:
    from kserve import InferenceGRPCClient, InferInput, InferRequest

    async def talk() -> None:
        values = np.array([1, 2.5], np.float32)
        given = InferInput("x", [2], "FP32")
        given.set_data_from_numpy(values, binary_data=binary)
        async with (
            serving(Service()) as client,
            InferenceGRPCClient(f"127.0.0.1:{client.port}") as theirs,
        ):
            assert await theirs.is_server_live()
            assert await theirs.is_server_ready()
            assert await theirs.is_model_ready("delays")
            answer = await theirs.infer(InferRequest("delays", [given], request_id="r7"))

        assert (answer.id, answer.model_name, answer.model_version) == ("r7", "delays", "3")
        assert answer.outputs[0].as_numpy().tolist() == [2, 5]

    run(talk())


def test_answers_as_it_was_asked(run: Run) -> None:
    async def talk() -> None:
        async with serving(service) as client:
            raw = await client.infer(request(1, 2, id="r7"))
            typed = await client.infer(request(1, 2, raw=False, model_version="3"))

        assert (raw.id, raw.model_version) == ("r7", "3")
        assert np.frombuffer(raw.raw_output_contents[0], "<f4").tolist() == [2, 4]
        assert list(typed.outputs[0].contents.fp32_contents) == [2, 4]
        assert not typed.raw_output_contents

    service = Service()
    run(talk())

    assert service.counts == ["ok", "ok"]
    assert service.served.timed == [Phase.PARSE, Phase.ENCODE] * 2


def test_says_what_it_serves(run: Run) -> None:
    async def talk() -> None:
        async with serving(service) as client:
            model = pb.ModelMetadataResponse.FromString(
                await client.call("ModelMetadata", pb.ModelMetadataRequest(name="delays"))
            )
            server = pb.ServerMetadataResponse.FromString(await client.call("ServerMetadata", b""))
            index = pb.RepositoryIndexResponse.FromString(await client.call("RepositoryIndex", b""))

        assert (model.name, list(model.versions), model.platform) == ("delays", ["3"], "test")
        [given], [made] = model.inputs, model.outputs
        assert (given.name, given.datatype, list(given.shape)) == ("x", "FP32", [-1])
        assert (made.name, made.datatype, list(made.shape)) == ("y", "FP32", [-1])
        assert server.name == "falaj"
        assert [(m.name, m.version, m.state) for m in index.models] == [("delays", "3", "READY")]

    service = Service()
    run(talk())


def test_says_that_it_is_not_ready(run: Run) -> None:
    async def talk() -> None:
        async with serving(Service(is_ready=False)) as client:
            server = await client.call("ServerReady", b"")
            model = await client.call("ModelReady", pb.ModelReadyRequest(name="delays"))
            live = await client.call("ServerLive", b"")
            only_ready = pb.RepositoryIndexRequest(ready=True)
            index = await client.call("RepositoryIndex", only_ready)

        assert not pb.ServerReadyResponse.FromString(server).ready
        assert not pb.ModelReadyResponse.FromString(model).ready
        assert pb.ServerLiveResponse.FromString(live).live
        assert not pb.RepositoryIndexResponse.FromString(index).models

    run(talk())


@pytest.mark.parametrize(
    ("method", "message", "code"),
    [
        ("ModelInfer", request(1, model="other"), Code.NOT_FOUND),
        ("ModelInfer", request(1, model_version="9"), Code.NOT_FOUND),
        ("ModelReady", pb.ModelReadyRequest(name="other"), Code.NOT_FOUND),
        ("ModelMetadata", pb.ModelMetadataRequest(name="other"), Code.NOT_FOUND),
        ("ModelInfer", b"\xff\xff", Code.INVALID_ARGUMENT),
        ("ServerReady", b"\xff\xff", Code.INVALID_ARGUMENT),
        ("ModelInfer", pb.ModelInferRequest(model_name="delays"), Code.INVALID_ARGUMENT),
        ("RepositoryModelLoad", b"", Code.UNIMPLEMENTED),
        ("RepositoryModelUnload", b"", Code.UNIMPLEMENTED),
    ],
)
def test_refuses_with_the_status_that_says_why(
    run: Run, method: str, message: Any, code: grpc.StatusCode
) -> None:
    async def talk() -> None:
        async with serving(Service()) as client:
            assert (await client.refusal(method, message)).code() is code

    run(talk())


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, Code.INVALID_ARGUMENT),
        (401, Code.UNAUTHENTICATED),
        (403, Code.PERMISSION_DENIED),
        (413, Code.RESOURCE_EXHAUSTED),
        (429, Code.RESOURCE_EXHAUSTED),
        (500, Code.INTERNAL),
        (503, Code.UNAVAILABLE),
        (504, Code.DEADLINE_EXCEEDED),
    ],
)
def test_a_refusal_of_the_service_keeps_its_meaning(
    run: Run, status: int, code: grpc.StatusCode
) -> None:
    async def refuse(_: InferRequest, __: float | None) -> Mapping[str, Array]:
        headers = ((b"retry-after", b"7"), (b"connection", b"close"))
        raise Rejected(status, "نخلة " * 1000, headers=headers)

    async def talk() -> None:
        async with serving(Service(refuse)) as client:
            refused = await client.refusal("ModelInfer", request(1))

        assert refused.code() is code
        assert str(refused.details()).startswith("نخلة")
        assert list(refused.trailing_metadata()) == [("retry-after", "7")]

    run(talk())


def test_a_failure_is_told_by_its_number_only(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def fail(_: InferRequest, __: float | None) -> Mapping[str, Array]:
        raise ValueError("row 17 holds a secret")

    async def talk() -> None:
        async with serving(Service(fail)) as client:
            refused = await client.refusal("ModelInfer", request(1))

        assert refused.code() is Code.INTERNAL
        _, _, incident = str(refused.details()).partition("incident ")
        assert incident
        assert incident in caplog.text

    run(talk())

    assert "secret" not in caplog.text


@pytest.mark.parametrize("timeout", [None, 30.0])
def test_the_client_s_deadline_is_the_service_s(run: Run, timeout: float | None) -> None:
    async def note(request: InferRequest, deadline: float | None) -> Mapping[str, Array]:
        loop = asyncio.get_running_loop()
        left.append(None if deadline is None else deadline - loop.time())
        return await doubled(request, deadline)

    async def talk() -> None:
        async with serving(Service(note)) as client:
            await client.infer(request(1), timeout=timeout)

    left: list[float | None] = []
    run(talk())

    assert left == [timeout and pytest.approx(timeout, abs=2)]


def test_the_request_s_own_timeout_reaches_the_service(run: Run) -> None:
    async def note(request: InferRequest, deadline: float | None) -> Mapping[str, Array]:
        timeouts.append(request.timeout)
        return await doubled(request, deadline)

    async def talk() -> None:
        parameters = {"timeout": pb.InferParameter(int64_param=250_000)}
        async with serving(Service(note)) as client:
            await client.infer(request(1, parameters=parameters))

    timeouts: list[float | None] = []
    run(talk())

    assert timeouts == [0.25]


@pytest.mark.parametrize("how", ["cancelled", "out of time"])
def test_work_ends_with_the_call(run: Run, how: str) -> None:
    async def wait(_: InferRequest, __: float | None) -> Mapping[str, Array]:
        begun.set()
        await asyncio.sleep(60)
        raise AssertionError

    async def talk() -> None:
        async with serving(service) as client:
            call = client.call("ModelInfer", request(1), timeout=0.2 if how != "cancelled" else 60)
            await begun.wait()
            if how == "cancelled":
                call.cancel()
            with pytest.raises((asyncio.CancelledError, grpc.aio.AioRpcError)):
                await call
            await until(lambda: service.counts == ["CancelledError"])

    begun = asyncio.Event()
    service = Service(wait)
    run(talk())


def test_a_caller_is_judged_by_verb_and_token_before_the_message_is_read(run: Run) -> None:
    async def judge(verb: Verb, token: bytes | None) -> None:
        judged.append((verb, token))
        if token != b"good":
            raise Rejected(401, "no token", headers=((b"www-authenticate", b"Bearer"),))

    async def talk() -> None:
        async with serving(Service(), authorize=judge) as client:
            await client.infer(request(1), metadata=[("authorization", "Bearer good")])
            await client.call("ServerMetadata", b"", metadata=[("authorization", "bearer good")])
            for method in ("ServerLive", "ServerReady"):
                await client.call(method, b"")
            await client.call("ModelReady", pb.ModelReadyRequest(name="delays"))
            refused = await client.refusal("ModelInfer", b"\xff")
            twice = [("authorization", "Bearer good"), ("authorization", "Bearer good")]
            doubtful = await client.refusal("ModelInfer", request(1), metadata=twice)
            basic = [("authorization", "Basic good")]
            other = await client.refusal("RepositoryIndex", b"", metadata=basic)

        assert {refused.code(), doubtful.code(), other.code()} == {Code.UNAUTHENTICATED}
        assert list(refused.trailing_metadata()) == [("www-authenticate", "Bearer")]

    judged: list[tuple[Verb, bytes | None]] = []
    run(talk())

    assert judged == [
        (Verb.INFER, b"good"),
        (Verb.METADATA, b"good"),
        (Verb.INFER, None),
        (Verb.INFER, b"good,Bearer good"),
        (Verb.METADATA, None),
    ]


TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACED = (("traceparent", f"00-{TRACE}-{SPAN}-01"),)


def test_a_trace_goes_on_in_a_span_that_the_trailers_name(run: Run) -> None:
    async def refuse(verb: Verb, token: bytes | None) -> None:
        if token is None:
            raise Rejected(401, "no token", headers=((b"www-authenticate", b"Bearer"),))

    async def talk() -> None:
        async with serving(Service(), authorize=refuse) as client:
            call = client.call(
                "ModelInfer", request(1), metadata=(*TRACED, ("authorization", "Bearer x"))
            )
            await call
            answered.append(dict(await call.trailing_metadata()))
            refused = await client.refusal("ModelInfer", request(1), metadata=TRACED)
            answered.append(dict(refused.trailing_metadata()))

    answered: list[dict[str, str]] = []
    run(talk())

    spans = [told["traceparent"].split("-") for told in answered]
    assert [(version, trace, flags) for version, trace, _, flags in spans] == [
        ("00", TRACE, "01")
    ] * 2
    assert len({SPAN, *(span for _, _, span, _ in spans)}) == 3
    assert answered[1]["www-authenticate"] == "Bearer"


def test_a_call_without_a_trace_gets_none_where_nothing_is_logged(run: Run) -> None:
    async def talk() -> None:
        async with serving(Service()) as client:
            call = client.call("ModelInfer", request(1))
            await call
            assert "traceparent" not in dict(await call.trailing_metadata() or ())

    run(talk())
