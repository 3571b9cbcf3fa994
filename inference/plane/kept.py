"""One program of a pod that serves a port: kept running, and asked whether it is ready."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from components.foundation import ports
from inference.transport.client import Bounds, Call, Client, Failed, Origin

_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_GRACE_S = 15.0  # to finish requests and observations after SIGTERM
_PROBE_S = 2.0
_STARTING_PROBE_S = 0.05
_BOUNDS = Bounds(connections=4096, answer_seconds=60.0)


@dataclass(eq=False)
class Kept:
    """A program that is started again whenever it ends, with a growing pause.

    Attributes:
        name: of the pod that it would be on a cluster.
        arguments: what it is told, given its port.
        spawn: starts it with its arguments.
        changed: is called whenever its readiness does.
        before: what stands before it and is told its port: started after it, ended before it,
            and started again whenever it moves to another port.
        port: where it serves; another one with each start.
    """

    name: str
    arguments: Callable[[int], list[str]]
    spawn: Callable[[list[str]], Awaitable[asyncio.subprocess.Process]]
    changed: Callable[[], None]
    before: "Kept | None" = None
    ready: bool = False
    port: int = 0
    upstream: Client = field(default_factory=lambda: _client(0))
    _process: asyncio.subprocess.Process | None = None

    async def run(self) -> None:
        """Keep it running until cancelled; `end` then ends it."""
        failures = 0
        while True:
            started = asyncio.get_running_loop().time()
            await self._serve()
            lived = asyncio.get_running_loop().time() - started
            failures = 0 if lived > _PAUSES_S[-1] else failures + 1
            await asyncio.sleep(pause(failures - 1))

    async def end(self) -> None:
        """Let requests finish, then be gone; what stands before it goes first."""
        self._become(ready=False)
        if self.before:
            await self.before.end()
        if self._process:
            await terminate(self._process)
        self.upstream.close()

    async def _serve(self) -> None:
        """Run it once; return when it has ended."""
        self.port = ports.free()  # should another take it, it is started again
        self.upstream.close()
        self.upstream = _client(self.port)
        self._process = await self.spawn(self.arguments(self.port))
        beside = [self._watch(), *([self.before.run()] if self.before else [])]
        tasks = [asyncio.get_running_loop().create_task(one) for one in beside]
        try:
            await self._process.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await self.end()

    async def _watch(self) -> None:
        """Probe it, often until it is ready, then seldom."""
        probe = _client(self.port)
        try:
            while True:
                self._become(ready=await _answers(probe))
                await asyncio.sleep(_PROBE_S if self.ready else _STARTING_PROBE_S)
        finally:
            probe.close()

    def _become(self, *, ready: bool) -> None:
        if self.ready != ready:
            self.ready = ready
            self.changed()


def pause(failures: int) -> float:
    """Return how long to wait after so many failures."""
    return _PAUSES_S[max(0, min(failures, len(_PAUSES_S) - 1))]


def _client(port: int) -> Client:
    return Client(Origin("127.0.0.1", port), _BOUNDS)


async def _answers(probe: Client) -> bool:
    try:
        answer = await probe.send(Call(b"GET", b"/v2/health/ready"), seconds=2)
    except Failed:
        return False
    return answer.status == 200


async def terminate(process: asyncio.subprocess.Process) -> None:
    """End a process with its children: by SIGTERM, and by SIGKILL if that takes too long."""
    if process.returncode is not None:
        return
    _signal(process, signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), _GRACE_S)
    except TimeoutError:
        _signal(process, signal.SIGKILL)
        await process.wait()


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
