"""No message and no bytes make the gRPC endpoint fail, hang or answer the next call wrongly."""

import collections
import os
import random
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from tests.inference.fuzz.client import End, told
from tests.inference.identities import write_identities
from tests.inference.processes import Process, served

COUNT = int(os.environ.get("FUZZ", "3000")) // 3
_METHODS = (*["ModelInfer"] * 6, "ModelReady", "ModelMetadata", "ServerMetadata", "RepositoryIndex")
_NEVER = {"UNKNOWN", "INTERNAL", "DEADLINE_EXCEEDED", "UNAVAILABLE", "DATA_LOSS"}
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_NUMBERS = struct.pack("<4f", 1.5, -2.0, 0.25, 3.0)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("fuzz") / "model"
    with served(write_identities(folder, ["FP32"]), name="echo") as process:
        yield process


def field(number: int, value: bytes | int) -> bytes:
    """Write one field of a protocol buffer; small numbers and short bytes only."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    return bytes([number << 3 | 2, len(value)]) + value


def request() -> bytes:
    """Return a ModelInferRequest that is right: in_FP32, two rows of two."""
    tensor = field(1, b"in_FP32") + field(2, b"FP32") + field(3, b"\x02\x02")
    return field(1, b"echo") + field(3, b"r-1") + field(5, tensor) + field(7, _NUMBERS)


def spoiled(chance: random.Random) -> bytes:
    """Return a message with bytes changed, cut, repeated or made up."""
    message = bytearray(request())
    match chance.randrange(5):
        case 0:
            for _ in range(chance.choice((1, 1, 2, 8))):
                message[chance.randrange(len(message))] = chance.randrange(256)
        case 1:
            del message[chance.randrange(len(message)) :]
        case 2:
            message *= chance.randint(2, 3)
        case 3:
            start = chance.randrange(len(message))
            message[start:start] = chance.randbytes(chance.randint(1, 40))
        case _:
            message = bytearray(chance.randbytes(chance.randint(0, 300)))
    return bytes(message)


def call(channel: grpc.Channel, method: str, message: bytes) -> str:
    """Send bytes as a message; return the name of the status."""
    path = f"/inference.GRPCInferenceService/{method}"
    try:
        channel.unary_unary(path)(message, timeout=10)
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"


def test_survives_whatever_message_comes(
    server: Process, capsys: pytest.CaptureFixture[str]
) -> None:
    counted: collections.Counter[str] = collections.Counter()
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc}") as channel:
        before = server.resident()
        for number in range(COUNT):
            chance = random.Random(number)  # noqa: S311 - the same bytes every time
            method, message = chance.choice(_METHODS), spoiled(chance)
            code = call(channel, method, message)
            assert code not in _NEVER, (code, method, message)
            counted[code] += 1
        grown = server.resident() - before
        with capsys.disabled():
            print(f"\n{COUNT} gRPC calls, {grown:+.1f} MiB: {dict(counted)}")

        assert counted["INVALID_ARGUMENT"] > COUNT / 10
        assert grown < 32
        assert call(channel, "ModelInfer", request()) == "OK"


def test_an_unknown_method_is_unimplemented(server: Process) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc}") as channel:
        assert call(channel, "ModelStreamInfer", request()) == "UNIMPLEMENTED"


def test_survives_what_is_no_grpc_at_all(server: Process) -> None:
    def attempt(number: int) -> tuple[End, bytes]:
        chance = random.Random(number)  # noqa: S311 - as above
        start = chance.choice(
            (_PREFACE, _PREFACE + b"\0\0\0\4\0\0\0\0\0", b"GET / HTTP/1.1\r\n", b"")
        )
        wire = start + chance.randbytes(chance.randint(1, 500))
        return told(server.grpc, wire).end, wire

    with ThreadPoolExecutor(8) as pool:
        hung = [wire for end, wire in pool.map(attempt, range(COUNT // 5)) if end is End.HUNG]

    assert not hung
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc}") as channel:
        assert call(channel, "ModelInfer", request()) == "OK"
