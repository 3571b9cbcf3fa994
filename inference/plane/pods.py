"""One pod: the initializer once, then the server for as long as it is wanted.

The same programs run as in pods on a cluster, with the same arguments; a service's transformer
stands beside the server that it asks. A failed initializer is tried again with a growing pause.
"""

import asyncio
import enum
import os
import pathlib
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from components.foundation import verdict
from components.foundation.errors import UserError
from components.foundation.orphans import die_with_parent
from inference.plane.kept import Kept, pause, terminate

_DRAIN_S = 0.3  # between leaving the gateway and SIGTERM
_PASSED_ON = ("AWS_", "FALAJ_", "LC_", "OMP_", "SSL_")
_PASSED_ON_NAMES = ("HOME", "LANG", "PATH", "PYTHONPATH", "TMPDIR", "VIRTUAL_ENV")
_ROOT = pathlib.Path(__file__).parents[2]
_LOOPBACK = ("--host=127.0.0.1", "--allow_plaintext", "--allow_anonymous")

Entries = tuple[tuple[str, str], ...]  # of an environment


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
    transformer: str = "inference.transformer"


@dataclass(frozen=True, slots=True)
class Before:
    """The transformer of a service, as its container says; `command` has to be ours."""

    command: tuple[str, ...]
    args: tuple[str, ...]
    env: Entries

    @property
    def unfit(self) -> str:
        """Why the plane cannot run it; empty where it can."""
        if self.command[-1:] == ("inference.transformer",):
            return ""
        said = " ".join(self.command) or "the image's own command"
        return (
            f"transformer: runs {said}, expected python -m inference.transformer, the only one "
            "that the plane runs; serve this one on a cluster"
        )


@dataclass(frozen=True, slots=True)
class Template:
    """What decides whether a pod is the wanted one; annotations count, as on a cluster."""

    service: str
    uri: str
    args: tuple[str, ...]
    env: Entries
    metadata: str
    before: Before | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    exit_code: int
    message: str
    time: str


@dataclass(eq=False)
class Pod:
    """A server, what stands before it, and the files of its model.

    Attributes:
        name: `<service>-predictor-<number>`.
        changed: is called whenever the state changes.
    """

    name: str
    template: Template
    folder: pathlib.Path
    programs: Programs
    changed: Callable[[], None]
    state: State = State.LOADING
    failure: Failure | None = None
    server: Kept = field(init=False)
    _task: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        spawn = partial(self._spawn, self.programs.server, "server", self.template.env)
        before = self._transformer(self.template.before) if self.template.before else None
        self.server = Kept(self.name, self._server_arguments, spawn, self._seen, before)

    @property
    def front(self) -> Kept:
        """What requests go to."""
        return self.server.before or self.server

    @property
    def kept(self) -> list[Kept]:
        """Its programs, the server first."""
        return [self.server, *([self.server.before] if self.server.before else [])]

    def plays(self, role: str) -> Kept | None:
        """Return what plays a role, "predictor" or "transformer"."""
        return {"predictor": self.server, "transformer": self.server.before}.get(role)

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
        await self.server.end()
        shutil.rmtree(self.folder, ignore_errors=True)

    async def _run(self) -> None:
        await self._load()
        await self.server.run()

    async def _load(self) -> None:
        """Run the initializer until it succeeds."""
        attempt = 0
        while True:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True, mode=0o700)
            self._become(State.LOADING)  # so that a failure like the last one is told, too
            self.failure = await self._initialise()
            if self.failure is None:
                self._become(State.STARTING)
                return
            self._become(State.FAILED)
            await asyncio.sleep(pause(attempt + 2))
            attempt += 1

    async def _initialise(self) -> Failure | None:
        """Get the model's files; return why there are none."""
        if self.template.before and self.template.before.unfit:
            return Failure(UserError.exit_code, self.template.before.unfit, verdict.now())
        arguments = [self.template.uri, str(self.folder / "model")]
        process = await self._spawn(self.programs.initializer, "initializer", (), arguments)
        try:
            code = await process.wait()
        finally:
            await terminate(process)  # where we are stopped in the middle of it
        if code == 0:
            return None
        return Failure(code, _last_line(self._log("initializer")), verdict.now())

    def _server_arguments(self, port: int) -> list[str]:
        return [
            f"--model_name={self.template.service}",
            f"--model_dir={self.folder / 'model'}",
            f"--http_port={port}",
            f"--spool_dir={self.folder.parents[1] / 'spool'}",
            *_LOOPBACK,
            *self.template.args,
        ]

    def _transformer(self, before: Before) -> Kept:
        """Make what stands before the server; what is said last holds, also over the manifest."""

        def arguments(port: int) -> list[str]:
            return [
                *before.args,
                *_LOOPBACK,
                f"--http_port={port}",
                f"--predictor_host=127.0.0.1:{self.server.port}",
                f"--feature_cache={self.folder / 'features'}",
                "--drain_delay_s=0",  # the gateway has left already
            ]

        name = self.name.replace("-predictor-", "-transformer-")
        spawn = partial(self._spawn, self.programs.transformer, "transformer", before.env)
        return Kept(name, arguments, spawn, self._seen)

    async def _spawn(
        self, program: str, log: str, env: Entries, arguments: list[str]
    ) -> asyncio.subprocess.Process:
        how = [program] if program.endswith(".py") else ["-m", program]
        with self._log(log).open("ab") as output:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                *how,
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                env=environment(os.environ, self.template.service, env),
                start_new_session=True,
                preexec_fn=partial(die_with_parent, signal.SIGKILL),
            )

    def _log(self, name: str) -> pathlib.Path:
        return self.folder / f"{name}.log"

    def _seen(self) -> None:
        """Take note of what its programs say of themselves."""
        ready = all(kept.ready for kept in self.kept)
        self._become(State.READY if ready else State.STARTING)

    def _become(self, state: State) -> None:
        if self.state != state:
            self.state = state
            self.changed()


def environment(ours: Mapping[str, str], service: str, entries: Entries) -> dict[str, str]:
    """Return what a pod's processes see: stores, keys, paths, and the pod's own entries."""
    passed = {k: v for k, v in ours.items() if k.startswith(_PASSED_ON) or k in _PASSED_ON_NAMES}
    path = os.pathsep.join(filter(None, (str(_ROOT), ours.get("PYTHONPATH"))))
    own = {"PYTHONPATH": path, "INFERENCE_SERVICE_NAME": service}
    return {**passed, **own, **dict(entries)}


def _last_line(log: pathlib.Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line), "the initializer said nothing")
