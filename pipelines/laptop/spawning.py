"""Start steps from a warm interpreter, in the place of kfp.local's own way.

Every step is still a process of its own, with its own environment, that can be killed alone.
What is no plain step of ours, or comes when the warm one cannot be forked, starts as ever.
"""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import threading
import uuid
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipelines.laptop import warm

_EXECUTOR = "kfp.dsl.executor_main"

Paid = Callable[[Mapping[str, float]], None]
Ended = Callable[[int], None]


@dataclass
class Nursery:
    """Where steps come from; starts its warm interpreter with the first of them."""

    folder: pathlib.Path
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _asking: socket.socket | None = field(default=None, repr=False)

    @contextlib.contextmanager
    def attached(self, paid: Paid, ended: Ended = lambda code: None) -> Iterator[None]:
        """Let kfp.local start its steps here.

        Args:
            paid: is told what each has cost, in the step's thread.
            ended: is told its exit code there, negative for a signal.
        """
        from kfp.local import subprocess_task_handler as handler

        original = handler.run_local_subprocess

        def run(full_command: list[str], env_vars: dict[str, str] | None = None) -> int:
            with self._costed(paid) as cost_log:
                named = {**(env_vars or {}), "FALAJ_COST_LOG": cost_log}
                code = self._run(full_command, {**os.environ, **named})
                code = original(full_command, named) if code == warm.UNFIT else code
                ended(code)
                return code

        handler.run_local_subprocess = run
        try:
            yield
        finally:
            handler.run_local_subprocess = original

    @contextlib.contextmanager
    def _costed(self, paid: Paid) -> Iterator[str]:
        """Name a file for a step to leave its cost in, and read it afterwards."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"cost-{uuid.uuid4().hex}.json"
        yield str(path)
        if path.exists():
            paid(json.loads(path.read_text()))
            path.unlink()

    def _run(self, command: Sequence[str], environment: Mapping[str, str]) -> int:
        """Run a step to its end and print what it says; UNFIT: it was not started."""
        if not _is_plain(command):
            return warm.UNFIT
        order = warm.Order(command[3], command[4:], environment, os.getcwd())
        with contextlib.ExitStack() as open_files:
            output, told = self._ask(order, open_files)
            for line in output:
                print(line, end="")
            data = told.read()
        return warm.CODE.unpack(data)[0] if data else 1

    def _ask(self, order: warm.Order, files: contextlib.ExitStack) -> tuple[Any, Any]:
        wanted = os.memfd_create("step")
        output, output_end = os.pipe()
        told, told_end = os.pipe()
        reading = files.enter_context(os.fdopen(output, errors="replace"))
        telling = files.enter_context(os.fdopen(told, "rb"))
        try:
            os.write(wanted, order.to_json())
            self._send([wanted, output_end, told_end])
        finally:
            for fd in (wanted, output_end, told_end):
                os.close(fd)
        return reading, telling

    def _send(self, fds: list[int]) -> None:
        """Hand a step over; a warm interpreter that is gone is replaced once."""
        with self._lock:
            try:
                socket.send_fds(self._warm(), [b"s"], fds)
            except OSError:
                self._asking = None
                socket.send_fds(self._warm(), [b"s"], fds)

    def _warm(self) -> socket.socket:
        if self._asking is None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs, (self.folder / "warm.log").open("ab") as log:
                process = warm.started(theirs, log)
            self._asking = ours
            weakref.finalize(self, _stop, ours, process)
        return self._asking


def _is_plain(command: Sequence[str]) -> bool:
    """Tell a step of ours from a command that does more, such as installing packages."""
    return (
        sys.platform == "linux"
        and len(command) > 4
        and _EXECUTOR in command[2]
        and "pip" not in command[2]
    )


def _stop(asking: socket.socket, process: "subprocess.Popen[bytes]") -> None:
    """End a warm interpreter, in the middle of an import too: it holds nothing."""
    asking.close()
    process.kill()
    process.wait()
