"""The delays model asked over gRPC as a client does, and the server as a process to ask."""

import contextlib
import pathlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from inference.server.grpc_server import NAME
from inference.server.protocol import open_inference_pb2 as pb
from tests.inference.processes import free_ports

_SECONDS = 30


def message(delay: Sequence[float], carrier: Sequence[int], **facts: Any) -> bytes:
    asked = pb.ModelInferRequest(model_name="delays", **facts)
    first = asked.inputs.add(name="delay", datatype="FP32", shape=[len(delay)])
    first.contents.fp32_contents.extend(delay)
    second = asked.inputs.add(name="carrier", datatype="INT64", shape=[len(carrier)])
    second.contents.int64_contents.extend(carrier)
    written: bytes = asked.SerializeToString()
    return written


@dataclass(frozen=True)
class Answered:
    """How a call ended."""

    code: grpc.StatusCode
    body: bytes
    trailing: dict[str, str]

    @property
    def probabilities(self) -> list[float]:
        return list(pb.ModelInferResponse.FromString(self.body).outputs[0].contents.fp32_contents)


class Client:
    """A channel with a connection of its own."""

    def __init__(self, port: int, credentials: grpc.ChannelCredentials | None = None) -> None:
        alone = [("grpc.use_local_subchannel_pool", 1)]
        address = f"127.0.0.1:{port}"
        if credentials is None:
            self.channel = grpc.insecure_channel(address, options=alone)
        else:
            self.channel = grpc.secure_channel(address, credentials, options=alone)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()

    def infer(self, body: bytes = message([1.0], [0]), **options: Any) -> Answered:
        return self.call("ModelInfer", body, **options)

    def call(
        self, method: str, body: bytes, *, seconds: float = _SECONDS, **metadata: str
    ) -> Answered:
        """Call once a connection is there; metadata is given by name."""
        asked = self.channel.unary_unary(f"/{NAME}/{method}").with_call
        given = tuple(metadata.items())
        try:
            answer, call = asked(body, timeout=seconds, metadata=given, wait_for_ready=True)
        except grpc.RpcError as error:
            # What is raised is the call as well.
            return Answered(error.code(), b"", dict(error.trailing_metadata() or ()))
        return Answered(grpc.StatusCode.OK, answer, dict(call.trailing_metadata() or ()))


@dataclass(frozen=True)
class Running:
    """A server at work as a process; its ports, and where what it says is written."""

    process: "subprocess.Popen[bytes]"
    http: int
    grpc: int
    log: pathlib.Path


@contextlib.contextmanager
def running(folder: pathlib.Path, *flags: str) -> Iterator[Running]:
    """Serve a folder over HTTP and gRPC; who asks over gRPC waits until it is there."""
    http, port = free_ports(2)
    command = [sys.executable, "-m", "inference.server", "--model_name", "delays"]
    command += ["--model_dir", str(folder), "--http_port", str(http), "--grpc_port", str(port)]
    log = folder.parent / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen([*command, *flags], stderr=out)
    try:
        yield Running(process, http, port, log)
    finally:
        process.kill()
        process.wait()
