"""One pod: the initializer once, then the server for as long as it is wanted.

The same two programs run as in a pod on a cluster, with the same arguments. A dead server
is started again, a failed initializer tried again, both with a growing pause.
"""

import asyncio
import contextlib
import enum
import os
import pathlib
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from components.foundation import ports, verdict
from components.foundation.orphans import die_with_parent
from inference.plane.wire import Broken, Request, Upstream

_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_GRACE_S = 15.0  # for a server to finish its requests and observations after SIGTERM
_DRAIN_S = 0.3  # between leaving the gateway and SIGTERM
_PROBE_S = 2.0
_STARTING_PROBE_S = 0.05
_PASSED_ON = ("AWS_", "FALAJ_", "LC_", "OMP_", "SSL_")
_PASSED_ON_NAMES = ("HOME", "LANG", "PATH", "PYTHONPATH", "TMPDIR", "VIRTUAL_ENV")
_ROOT = pathlib.Path(__file__).parents[2]


class State(enum.StrEnum):
    LOADING = "loading"
    FAILED = "failed"  # the initializer gave up; another try follows
    STARTING = "starting"
    READY = "ready"


@dataclass(frozen=True, slots=True)
class Programs:
    """What a pod runs: a module each, or a path to a Python file."""

    initializer: str = "inference.initializer"
    server: str = "inference.server"


@dataclass(frozen=True, slots=True)
class Template:
    """What decides whether a pod is the wanted one; annotations count, as on a cluster."""

    service: str
    uri: str
    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    metadata: str


@dataclass(frozen=True, slots=True)
class Failure:
    exit_code: int
    message: str
    time: str


@dataclass(eq=False)
class Pod:
    """A pod and its processes; `changed` is called whenever the state does."""

    name: str
    template: Template
    folder: pathlib.Path
    programs: Programs
    changed: Callable[[], None]
    state: State = State.LOADING
    failure: Failure | None = None
    port: int = 0
    restarts: int = 0
    upstream: Upstream = field(default_factory=lambda: Upstream(0))
    _process: asyncio.subprocess.Process | None = None
    _task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Leave the gateway, let requests finish, end the processes, remove the files."""
        served = self.state == State.READY
        self._become(State.STARTING)
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if served:
            await asyncio.sleep(_DRAIN_S)
        await self._end_process()
        self.upstream.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    async def _run(self) -> None:
        await self._load()
        failures = 0
        while True:
            started = asyncio.get_running_loop().time()
            await self._serve()
            lived = asyncio.get_running_loop().time() - started
            failures = 0 if lived > _PAUSES_S[-1] else failures + 1
            self.restarts += 1
            self._become(State.STARTING)
            await asyncio.sleep(_pause(failures - 1))

    async def _load(self) -> None:
        """Run the initializer until it succeeds."""
        attempt = 0
        while True:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True, mode=0o700)
            self._become(State.LOADING)  # so that a failure like the last one is told, too
            code = await self._initialise()
            if code == 0:
                self.failure = None
                self._become(State.STARTING)
                return
            self.failure = Failure(code, _last_line(self._log("initializer")), verdict.now())
            self._become(State.FAILED)
            await asyncio.sleep(_pause(attempt + 2))
            attempt += 1

    async def _initialise(self) -> int:
        arguments = [self.template.uri, str(self.folder / "model")]
        process = await self._spawn(self.programs.initializer, arguments, "initializer")
        return await process.wait()

    async def _serve(self) -> None:
        """Run the server once; return when it has ended."""
        self.port = ports.free()  # should another take it, the server is started again
        self.upstream.close()
        self.upstream = Upstream(self.port)
        arguments = [
            f"--model_name={self.template.service}",
            f"--model_dir={self.folder / 'model'}",
            f"--http_port={self.port}",
            f"--spool_dir={self.folder.parents[1] / 'spool'}",
            "--allow_plaintext",  # loopback
            "--allow_anonymous",
            *self.template.args,
        ]
        process = await self._spawn(self.programs.server, arguments, "server")
        watching = asyncio.get_running_loop().create_task(self._watch())
        try:
            await process.wait()
        finally:
            watching.cancel()

    async def _watch(self) -> None:
        """Probe the server, often until it is ready, then seldom."""
        probe = Upstream(self.port)
        try:
            while True:
                ready = await _answers(probe)
                self._become(State.READY if ready else State.STARTING)
                await asyncio.sleep(_PROBE_S if ready else _STARTING_PROBE_S)
        finally:
            probe.close()

    async def _spawn(
        self, program: str, arguments: list[str], log: str
    ) -> asyncio.subprocess.Process:
        how = [program] if program.endswith(".py") else ["-m", program]
        with self._log(log).open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *how,
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                env=environment(os.environ, self.template),
                start_new_session=True,
                preexec_fn=partial(die_with_parent, signal.SIGKILL),
            )
        return self._process

    async def _end_process(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        _signal(process, signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), _GRACE_S)
        except TimeoutError:
            _signal(process, signal.SIGKILL)
            await process.wait()

    def _log(self, name: str) -> pathlib.Path:
        return self.folder / f"{name}.log"

    def _become(self, state: State) -> None:
        if self.state != state:
            self.state = state
            self.changed()


def environment(ours: Mapping[str, str], template: Template) -> dict[str, str]:
    """Return what a pod's processes see: stores, keys, paths, and the pod's own entries."""
    passed = {k: v for k, v in ours.items() if k.startswith(_PASSED_ON) or k in _PASSED_ON_NAMES}
    path = os.pathsep.join(filter(None, (str(_ROOT), ours.get("PYTHONPATH"))))
    own = {"PYTHONPATH": path, "INFERENCE_SERVICE_NAME": template.service}
    return {**passed, **own, **dict(template.env)}


async def _answers(probe: Upstream) -> bool:
    try:
        answer = await probe.send(
            Request("GET", "/v2/health/ready", [(b"host", b"pod")]), timeout_s=2
        )
    except (Broken, TimeoutError):
        return False
    return answer.status == 200


def _pause(failures: int) -> float:
    return _PAUSES_S[max(0, min(failures, len(_PAUSES_S) - 1))]


def _last_line(log: pathlib.Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line), "the initializer said nothing")


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
