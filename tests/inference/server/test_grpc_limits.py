"""What a client of gRPC may take: bytes, calls, connections and time; and how it listens."""

import asyncio
import dataclasses
import datetime
import ipaddress
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
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
from components.foundation.signature import Array
from inference.server.grpc_server import NAME, Address, Bounds
from inference.server.protocol.messages import InferRequest
from inference.server.telemetry.layout import Shed
from inference.transport.limits import Limits
from tests.inference.server.grpc_stub import (
    Client,
    Run,
    Service,
    doubled,
    made,
    request,
    serving,
)

Code = grpc.StatusCode
LOOPBACK = Address("127.0.0.1", 0)


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Run a test on the loop that the server has in earnest; gRPC wants one for all."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield runner.run


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
        async with serving(service, limits=small) as client:
            refused = await client.refusal("ModelInfer", request(*range(200)))
            await client.refusal("ServerMetadata", b"x" * 600)
            answers = [await client.infer(request(*range(50))) for _ in range(5)]

        assert refused.code() is Code.RESOURCE_EXHAUSTED
        assert list(refused.trailing_metadata()) == [("retry-after", "1")]
        assert len(answers) == 5

    service = Service()
    run(talk())

    assert service.served.sheds == [Shed.MEMORY]


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


@pytest.mark.parametrize(
    ("rows", "raw", "given"),
    [(10, True, 0), (10, False, 0), (100_000, True, 0), (100_000, False, 2), (300_000, True, 3)],
)
def test_only_large_messages_are_worked_on_in_threads(
    run: Run, rows: int, raw: bool, given: int
) -> None:
    """To read, to parse and to write; raw values are copied, which is quick for longer."""

    async def talk() -> None:
        with Watched(1) as aside:
            async with serving(Service(), aside=aside) as client:
                answer = await client.infer(request(*range(rows), raw=raw))

            assert list(answer.outputs[0].shape) == [rows]
            assert aside.given == given

    run(talk())


def test_a_drained_server_answers_what_it_took(run: Run) -> None:
    async def wait(given: InferRequest, _: float | None) -> Mapping[str, Array]:
        begun.set()
        await asyncio.sleep(0.2)
        return await doubled(given, None)

    async def talk() -> None:
        with ThreadPoolExecutor(1) as aside:
            listening = made(Service(wait), aside=aside).listening(LOOPBACK, grace=5)
            port = await listening.__aenter__()
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                client = Client(channel, port)
                taken = client.call("ModelInfer", request(1))
                await begun.wait()
                stopping = asyncio.create_task(listening.__aexit__(None, None, None))
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
            server = made(Service(), aside=aside)
            shared = dataclasses.replace(LOOPBACK, shared=True)
            async with server.listening(shared, grace=0) as port:
                beside = dataclasses.replace(shared, port=port)
                async with server.listening(beside, grace=0) as second:
                    assert second == port
                with pytest.raises(UserError, match="gRPC cannot listen there") as refused:
                    async with server.listening(Address("127.0.0.1", port), grace=0):
                        raise AssertionError
            assert refused.value.code == "port-taken"

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
