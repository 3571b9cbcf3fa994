"""Start a server on the cores it may have, know when it is ready, and what it weighs."""

import contextlib
import dataclasses
import http.client
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.benchmarks.serving import environments
from tests.benchmarks.serving.environments import ROOT
from tests.benchmarks.serving.models import Model
from tests.benchmarks.serving.payloads import Form, Payload
from tests.inference.processes import free_ports

_PEERS = pathlib.Path(__file__).parent / "peers"
_START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Kind:
    """A server that can be started.

    Attributes:
        name: what tables call it.
        program: its command line without interpreter; `{model}`, `{folder}`, `{port}` and
            `{grpc}` are filled in.
        environment: whose interpreter runs it; "" for ours.
        variables: added to its environment, filled in alike.
        forms: how it takes tensors.
    """

    name: str
    program: tuple[str, ...]
    environment: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    forms: tuple[Form, ...] = (Form.JSON,)

    def python(self) -> str:
        if not self.environment:
            return sys.executable
        return str(environments.python(self.environment))

    def with_options(self, *more: str) -> "Kind":
        """Return the same server with further options."""
        return dataclasses.replace(self, program=(*self.program, *more))


_ALL = (Form.JSON, Form.BINARY, Form.GRPC)
_PEER_ARGUMENTS = ("{model}", "{folder}/model.onnx", "{port}")
_KSERVE = (str(_PEERS / "kserve_server.py"), *_PEER_ARGUMENTS, "{grpc}")

OURS = Kind(
    "falaj",
    (
        "-m", "inference.server", "--model_name", "{model}", "--model_dir", "{folder}",
        "--http_port", "{port}", "--grpc_port", "{grpc}", "--allow_plaintext", "--allow_anonymous",
    ),
    forms=_ALL,
)  # fmt: skip
KSERVE = Kind("kserve", _KSERVE, "peers", forms=_ALL)
KSERVE_QUIET = Kind("kserve, log off", (*_KSERVE, "quiet"), "peers", forms=_ALL)
MLSERVER = Kind(
    "mlserver",
    (str(_PEERS / "mlserver_model.py"), "start", "{folder}"),
    "peers-mlserver",
    variables={
        "MLSERVER_HTTP_PORT": "{port}",
        "MLSERVER_GRPC_PORT": "{grpc}",
        "MLSERVER_METRICS_PORT": "{metrics}",
        "MLSERVER_PARALLEL_WORKERS": "0",
        "MLSERVER_DEBUG": "false",
        "MLSERVER_MODEL_NAME": "{model}",
        "MLSERVER_MODEL_URI": "{folder}/model.onnx",
        "MLSERVER_MODEL_IMPLEMENTATION": "mlserver_model.Predictor",
        "PYTHONPATH": str(_PEERS),
    },
    forms=(Form.JSON, Form.GRPC),
)
BARE = Kind("bare starlette", (str(_PEERS / "bare_server.py"), *_PEER_ARGUMENTS), "peers")
_RAW = (str(_PEERS / "raw_socket.py"), *_PEER_ARGUMENTS)
SINK = Kind("raw socket", _RAW, forms=_ALL)
LOOP = Kind("raw socket and model", (*_RAW, "predict"), forms=(Form.BINARY,))


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs."""

    kind: Kind
    model: Model
    port: int
    grpc_port: int
    process: "subprocess.Popen[bytes]"

    @property
    def name(self) -> str:
        return self.kind.name

    def post(self, payload: Payload) -> tuple[int, bytes]:
        """Send one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request("POST", payload.path, payload.body, dict(payload.headers))
            response = connection.getresponse()
            return response.status, response.read()

    def busy(self) -> float:
        """Return the processor seconds that it and its children have used."""
        return sum(_ticks(pid) for pid in family(self.process.pid)) / os.sysconf("SC_CLK_TCK")

    def resident(self) -> float:
        """Return the MiB that it and its children hold; pages that they share count once."""
        return sum(_proportional(pid) for pid in family(self.process.pid)) / 1024


@contextlib.contextmanager
def running(
    kind: Kind, model: Model, scratch: pathlib.Path, *, cores: Sequence[int]
) -> Iterator[Server]:
    """Start a server on some cores; end it at the end."""
    log = scratch / f"{kind.name.replace(' ', '-')}-{model.name}.log"
    ports = dict(zip(("port", "grpc", "metrics"), free_ports(3), strict=True))
    words = {"model": model.name, "folder": str(scratch / model.name), **ports}
    pinned = ["taskset", "--cpu-list", ",".join(map(str, cores)), kind.python()]
    command = [*pinned, *(word.format(**words) for word in kind.program)]
    variables = {name: value.format(**words) for name, value in kind.variables.items()}
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT, env=os.environ | variables
        )
    try:
        _wait(ports["port"], process, log)
        yield Server(kind, model, ports["port"], ports["grpc"], process)
    finally:
        _end(process)


def _wait(port: int, process: "subprocess.Popen[bytes]", log: pathlib.Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            with contextlib.closing(connection):
                connection.request("GET", "/v2/health/ready")
                if connection.getresponse().status == 200:
                    return
        time.sleep(0.05)
    raise RuntimeError(f"{' '.join(map(str, process.args))}: not ready\n{log.read_text()[-3000:]}")  # type: ignore[arg-type]


def _end(process: "subprocess.Popen[bytes]") -> None:
    children = family(process.pid)[1:]
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pid in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)


def family(pid: int) -> list[int]:
    """Return a process and all that came from it."""
    found = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in task.read_text().split():
                found += family(int(child))
    return found


def _ticks(pid: int) -> int:
    # The name, in parentheses, may hold spaces; the counters are the twelfth and next after it.
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _proportional(pid: int) -> float:
    rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    [line] = [line for line in rollup.splitlines() if line.startswith("Pss:")]
    return float(line.split()[1])
