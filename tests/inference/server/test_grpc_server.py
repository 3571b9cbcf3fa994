import asyncio
import contextlib
import datetime
import ipaddress
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from components.foundation.errors import UserError
from components.foundation.signature import Array, Signature, Tensor
from inference.server.grpc_server import NAME, Bounds, GrpcServer
from inference.server.protocol import open_inference_pb2 as pb
from inference.server.protocol.messages import InferRequest, Rejected
from inference.server.security.scopes import Verb
from inference.server.telemetry.layout import Phase
from inference.transport.limits import Limits

Code = grpc.StatusCode
Predict = Callable[[InferRequest, float | None], Awaitable[Mapping[str, Array]]]
Run = Callable[[Coroutine[Any, Any, Any]], Any]


async def doubled(request: InferRequest, _: float | None) -> Mapping[str, Array]:
    return {"y": request.inputs["x"] * 2}


SIGNATURE = Signature((Tensor("x", "FP32"),), (Tensor("y", "FP32"),))


@dataclass
class Model:
    name: str = "delays"
    version: str = "3"
    platform: str = "test"
    signature: Signature = SIGNATURE
    timed: list[Phase] = field(default_factory=list)

    @property
    def metrics(self) -> "Model":
        return self

    def phase(self, phase: Phase, seconds: float) -> None:
        assert seconds >= 0
        self.timed.append(phase)


@dataclass
class Service:
    """Answers as the real one does, with a model that a test can choose."""

    predict: Predict = doubled
    served: Model = field(default_factory=Model)
    is_ready: bool = True
    counts: list[str] = field(default_factory=list)

    name = "delays"

    def live(self) -> bool:
        return True

    def ready(self) -> bool:
        return self.is_ready

    def named(self, model: str, version: str = "") -> Model:
        if model != self.name or version not in ("", self.served.version):
            raise Rejected(404, f"no model {model!r} here")
        return self.served

    async def counted(self, served: Any, answer: Awaitable[Any]) -> Any:
        try:
            answered = await answer
        except BaseException as ended:
            self.counts.append(type(ended).__name__)
            raise
        self.counts.append("ok")
        return answered

    async def infer(
        self, served: Any, request: InferRequest, *, deadline: float | None = None
    ) -> Mapping[str, Array]:
        return await self.predict(request, deadline)


async def anybody(verb: Verb, token: bytes | None) -> None:
    """Allow everything."""


class Client:
    """Sends what it is told, byte for byte, as no generated stub would."""

    def __init__(self, channel: grpc.aio.Channel, port: int) -> None:
        self.channel, self.port = channel, port

    def call(self, method: str, message: Any, **options: Any) -> Any:
        body = message if isinstance(message, bytes) else message.SerializeToString()
        return self.channel.unary_unary(f"/{NAME}/{method}")(body, **options)

    async def infer(self, message: Any, **options: Any) -> Any:
        return pb.ModelInferResponse.FromString(await self.call("ModelInfer", message, **options))

    async def refusal(self, method: str, message: Any, **options: Any) -> grpc.aio.AioRpcError:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await self.call(method, message, **options)
        return refused.value


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Run a test on the loop that the server has in earnest; gRPC wants one for all."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield runner.run


@contextlib.asynccontextmanager
async def serving(service: Service, **options: Any) -> AsyncIterator[Client]:
    with ThreadPoolExecutor(2) as pool:
        server = GrpcServer(service, **{"aside": pool, "authorize": anybody, **options})
        port = await server.start("127.0.0.1", 0)
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield Client(channel, port)
        finally:
            await server.stop(0)


def request(*values: float, raw: bool = True, model: str = "delays", **facts: Any) -> Any:
    message = pb.ModelInferRequest(model_name=model, **facts)
    entry = message.inputs.add(name="x", datatype="FP32", shape=[len(values)])
    if raw:
        message.raw_input_contents.append(np.array(values, "<f4").tobytes())
    else:
        entry.contents.fp32_contents.extend(values)
    return message


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


async def until(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not claim():
            await asyncio.sleep(0.01)


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


def test_trace_context_stands_around_the_call(run: Run) -> None:
    @contextlib.contextmanager
    def around(metadata: Mapping[str, str]) -> Iterator[None]:
        seen.append(metadata.get("traceparent"))
        yield
        seen.append("left")

    async def talk() -> None:
        async with serving(Service(), around=around) as client:
            await client.infer(request(1), metadata=[("traceparent", "00-a-b-01")])

    seen: list[str | None] = []
    run(talk())

    assert seen == ["00-a-b-01", "left"]


def test_a_message_beyond_the_limit_is_refused(run: Run) -> None:
    async def talk() -> None:
        async with serving(service, limits=Limits(body_bytes=1000)) as client:
            assert await client.infer(request(*range(200)))
            refused = await client.refusal("ModelInfer", request(*range(1000)))

        assert refused.code() is Code.RESOURCE_EXHAUSTED

    service = Service()
    run(talk())

    assert service.counts == ["ok"]


def test_messages_at_work_share_a_budget(run: Run) -> None:
    async def talk() -> None:
        small = Limits(body_bytes=1000, bodies_bytes=500)
        async with serving(Service(), limits=small) as client:
            refused = await client.refusal("ModelInfer", request(*range(200)))
            answers = [await client.infer(request(*range(50))) for _ in range(5)]

        assert refused.code() is Code.RESOURCE_EXHAUSTED
        assert list(refused.trailing_metadata()) == [("retry-after", "1")]
        assert len(answers) == 5

    run(talk())


def test_a_compressed_message_is_unpacked_up_to_the_limit(run: Run) -> None:
    async def talk() -> None:
        gzip = grpc.Compression.Gzip
        async with serving(service, limits=Limits(body_bytes=100_000)) as client:
            assert await client.infer(request(*[0.0] * 10_000), compression=gzip)
            bomb = request(*[0.0] * 1_000_000)  # a few kilobytes on the wire
            refused = await client.refusal("ModelInfer", bomb, compression=gzip)

        assert refused.code() is Code.RESOURCE_EXHAUSTED

    service = Service()
    run(talk())

    assert service.counts == ["ok"]


def test_connections_beyond_the_limit_are_closed(run: Run) -> None:
    async def talk() -> None:
        async with serving(Service(), limits=Limits(connections=2)) as client:
            opened = [await asyncio.open_connection("127.0.0.1", client.port) for _ in range(4)]
            greetings = [await reader.read(1) for reader, _ in opened]
            for _, writer in opened:
                writer.close()

        assert greetings.count(b"") >= 2

    run(talk())


def test_metadata_beyond_the_limit_is_refused(run: Run) -> None:
    async def talk() -> None:
        async with serving(service, limits=Limits(head_bytes=4096)) as client:
            refused = await client.refusal(
                "ModelInfer", request(1), metadata=[("authorization", "x" * 5000)]
            )

        assert refused.code() is Code.RESOURCE_EXHAUSTED

    service = Service()
    run(talk())

    assert not service.counts


@pytest.mark.parametrize(
    ("sent", "code"),
    [(False, Code.DEADLINE_EXCEEDED), (True, Code.INVALID_ARGUMENT)],
    ids=["never ends", "ends without"],
)
def test_a_message_must_come(run: Run, sent: bool, code: grpc.StatusCode) -> None:
    async def talk() -> None:
        async with serving(Service(), bounds=Bounds(message_seconds=0.1)) as client:
            call = client.channel.stream_unary(f"/{NAME}/ModelInfer")()
            if sent:
                await call.done_writing()
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call

        assert refused.value.code() is code

    run(talk())


def test_calls_beyond_the_bound_are_refused_at_once(run: Run) -> None:
    async def wait(given: InferRequest, _: float | None) -> Mapping[str, Array]:
        begun.set()
        await free.wait()
        return await doubled(given, None)

    async def talk() -> None:
        async with serving(Service(wait), bounds=Bounds(calls=1)) as client:
            first = client.call("ModelInfer", request(1))
            await begun.wait()
            refused = await client.refusal("ModelInfer", request(1))
            free.set()

            assert refused.code() is Code.RESOURCE_EXHAUSTED
            assert await first

    begun, free = asyncio.Event(), asyncio.Event()
    run(talk())


class Watched(ThreadPoolExecutor):
    """Counts what it is given."""

    given = 0

    def submit(self, *args: Any, **options: Any) -> Future[Any]:
        self.given += 1
        return super().submit(*args, **options)


@pytest.mark.parametrize(("rows", "given"), [(10, 0), (100_000, 3)])
def test_only_large_messages_are_worked_on_in_threads(run: Run, rows: int, given: int) -> None:
    async def talk() -> None:
        with Watched(1) as aside:
            async with serving(Service(), aside=aside) as client:
                answer = await client.infer(request(*range(rows)))

            assert list(answer.outputs[0].shape) == [rows]
            assert aside.given == given  # read, parse, write

    run(talk())


def test_a_drained_server_answers_what_it_took(run: Run) -> None:
    async def wait(given: InferRequest, _: float | None) -> Mapping[str, Array]:
        begun.set()
        await asyncio.sleep(0.2)
        return await doubled(given, None)

    async def talk() -> None:
        with ThreadPoolExecutor(1) as aside:
            server = GrpcServer(Service(wait), aside=aside, authorize=anybody)
            port = await server.start("127.0.0.1", 0)
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                client = Client(channel, port)
                taken = client.call("ModelInfer", request(1))
                await begun.wait()
                stopping = asyncio.create_task(server.stop(5))
                await asyncio.sleep(0.05)
                late = await client.refusal("ModelInfer", request(1), timeout=2)
                started = time.monotonic()

                assert await taken
                await stopping
                assert time.monotonic() - started < 3
                assert late.code() is Code.UNAVAILABLE

    begun = asyncio.Event()
    run(talk())


def test_a_port_is_shared_by_workers_only(run: Run) -> None:
    async def talk() -> None:
        with ThreadPoolExecutor(1) as aside:
            made = [
                GrpcServer(Service(), aside=aside, authorize=anybody, shared_port=shared)
                for shared in (True, True, False)
            ]
            port = await made[0].start("127.0.0.1", 0)
            assert await made[1].start("127.0.0.1", port) == port
            with pytest.raises(UserError, match="gRPC cannot listen there") as refused:
                await made[2].start("127.0.0.1", port)
            assert refused.value.code == "port-taken"
            for server in made:
                await server.stop(0)

    run(talk())


def test_speaks_tls(run: Run) -> None:
    key, certificate = self_signed()

    async def talk() -> None:
        credentials = grpc.ssl_server_credentials([(key, certificate)])
        async with serving(Service(), credentials=credentials) as plain:
            trust = grpc.ssl_channel_credentials(certificate)
            async with grpc.aio.secure_channel(f"127.0.0.1:{plain.port}", trust) as channel:
                answer = await Client(channel, plain.port).infer(request(1))
            refused = await plain.refusal("ModelInfer", request(1), timeout=2)

        assert np.frombuffer(answer.raw_output_contents[0], "<f4").tolist() == [2]
        assert refused.code() in {Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED}

    run(talk())


def self_signed() -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    hosts = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(hosts, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private, certificate.public_bytes(pem)
