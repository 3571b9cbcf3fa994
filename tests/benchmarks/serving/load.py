"""Closed load: as many requests as a number of connections can carry, by wrk and by h2load."""

import json
import os
import pathlib
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from tests.benchmarks.serving.payloads import Payload
from tests.benchmarks.serving.servers import Server

_SCRIPT = pathlib.Path(__file__).parent / "post.lua"
_H2_DONE = re.compile(r"finished in ([\d.]+)(us|ms|s), ")
_H2_CODES = re.compile(r"status codes: (\d+) 2xx")
_H2_FAILED = re.compile(r"(\d+) failed")
_SCALE = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


@dataclass(frozen=True, slots=True)
class Load:
    """What came back."""

    answered: int
    seconds: float
    refused: int = 0
    p50_ms: float = 0.0
    p99_ms: float = 0.0

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return (self.answered - self.refused) / self.seconds


@dataclass(frozen=True, slots=True)
class Generator:
    """Puts a server under load from cores of its own."""

    scratch: pathlib.Path
    cores: Sequence[int]

    def http(self, server: Server, payload: Payload, *, connections: int, seconds: float) -> Load:
        """Post one request over and over on connections that stay open."""
        headers = "\n".join(f"{name}: {value}" for name, value in payload.headers.items())
        variables = {"BODY": str(self._body(payload)), "HEADERS": headers}
        wrk = ["wrk", "--threads", "1", "--connections", str(connections), "--timeout", "30s"]
        wrk += ["--duration", f"{max(1, round(seconds))}s", "--script", str(_SCRIPT)]
        url = f"http://127.0.0.1:{server.port}{payload.path}"
        return read_wrk(self._run([*wrk, url], variables))

    def grpc(self, server: Server, payload: Payload, *, calls: int, seconds: float) -> Load:
        """Keep a number of calls under way on one connection."""
        h2load = ["h2load", "--clients", "1", "--max-concurrent-streams", str(calls)]
        h2load += ["--duration", str(max(1, round(seconds))), "--data", str(self._body(payload))]
        for name, value in payload.headers.items():
            h2load += ["--header", f"{name}: {value}"]
        url = f"http://127.0.0.1:{server.grpc_port}{payload.path}"
        return read_h2load(self._run([*h2load, url], {}))

    def _body(self, payload: Payload) -> pathlib.Path:
        path = self.scratch / "body"
        path.write_bytes(payload.body)
        return path

    def _run(self, command: Sequence[str], variables: dict[str, str]) -> str:
        pinned = ["taskset", "--cpu-list", ",".join(map(str, self.cores)), *command]
        done = subprocess.run(
            pinned, env=os.environ | variables, capture_output=True, text=True, check=True
        )
        return done.stdout


def read_wrk(text: str) -> Load:
    """Read the line that our script for wrk prints last."""
    said = json.loads(text.strip().splitlines()[-1])
    if said["broken"]:
        raise RuntimeError(f"wrk: {said['broken']} connections broke or timed out\n{text}")
    return Load(said["requests"], said["seconds"], said["refused"], said["p50_ms"], said["p99_ms"])


def read_h2load(text: str) -> Load:
    """Read what h2load prints; a gRPC call that fails is a 200 to it, so try one before."""
    done, codes, failed = (each.search(text) for each in (_H2_DONE, _H2_CODES, _H2_FAILED))
    if not (done and codes and failed):
        raise RuntimeError(f"h2load: what it printed is not understood\n{text}")
    if int(failed[1]):
        raise RuntimeError(f"h2load: {failed[1]} calls failed\n{text}")
    return Load(int(codes[1]), float(done[1]) * _SCALE[done[2]])
