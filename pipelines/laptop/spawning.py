"""Start steps from a warm interpreter, in the place of kfp.local's own way.

Every step is still a process of its own, with its own environment, that can be killed alone.
What is no plain step of ours, or comes when the warm one cannot be forked, starts as ever.
"""

import contextlib
import json
import os
import pathlib
import selectors
import socket
import subprocess
import sys
import threading
import uuid
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field

from pipelines.laptop import warm

_EXECUTOR = "kfp.dsl.executor_main"
FUNCTION = "--function_to_execute"

Paid = Callable[[Mapping[str, float]], None]
Ended = Callable[[int], None]


@dataclass
class Nursery:
    """Where steps come from: a warm interpreter for each image family, kept from run to run.

    Attributes:
        folder: for their log, and for steps to leave their cost in.
        expected: families that runs will want, in their order; the next is warmed while no run
            needs the cores.
    """

    folder: pathlib.Path
    expected: Sequence[str] = ()
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _asking: dict[str, tuple[socket.socket, Callable[[], object]]] = field(
        default_factory=dict, repr=False
    )
    _families: Mapping[str, str] = field(default_factory=dict, repr=False)  # function -> family

    @contextlib.contextmanager
    def attached(
        self, families: Mapping[str, str], paid: Paid, ended: Ended = lambda code: None
    ) -> Iterator[None]:
        """Let kfp.local start its steps here.

        Args:
            families: a step's function -> its image family; they are warmed up at once.
            paid: is told what each has cost, in the step's thread.
            ended: is told its exit code there, negative for a signal.
        """
        from kfp.local import subprocess_task_handler as handler

        original = handler.run_local_subprocess
        self._families = families
        self._keep({*families.values()})
        self.expected = [family for family in self.expected if family not in self._asking]

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
            self._keep({*self._asking, *self.expected[:1]})

    def warm_up(self) -> None:
        """Start before the first run what it will want."""
        self._keep({warm.FAMILY, *self.expected[:1]})

    @contextlib.contextmanager
    def _costed(self, paid: Paid) -> Iterator[str]:
        """Name a file for a step to leave its cost in, and read it afterwards."""
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
            output, told = self._ask(order, self._family(command), open_files)
            for line in _said(output, told):
                print(line, end="")
            data = os.read(told, warm.CODE.size)
        return warm.CODE.unpack(data)[0] if data else 1

    def _family(self, command: Sequence[str]) -> str:
        function = command[command.index(FUNCTION) + 1] if FUNCTION in command else ""
        return self._families.get(function, warm.FAMILY)

    def _ask(self, order: warm.Order, family: str, files: contextlib.ExitStack) -> tuple[int, int]:
        """Hand a step over; return where it speaks, and where its end will be told."""
        wanted = os.memfd_create("step")
        output, output_end = os.pipe()
        told, told_end = os.pipe()
        for fd in (output, told):
            files.callback(os.close, fd)
        try:
            os.write(wanted, order.to_json())
            self._send(family, [wanted, output_end, told_end])
        finally:
            for fd in (wanted, output_end, told_end):
                os.close(fd)
        return output, told

    def _keep(self, families: Set[str]) -> None:
        """Warm these up, and let go of the others: what they have imported is large."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._lock:
            for family in self._asking.keys() - families:
                _, stop = self._asking.pop(family)
                stop()
            for family in sorted(families) if sys.platform == "linux" else ():
                self._warm(family)

    def _send(self, family: str, fds: list[int]) -> None:
        """Hand a step over; a warm interpreter that is gone is replaced once."""
        with self._lock:
            try:
                socket.send_fds(self._warm(family), [b"s"], fds)
            except OSError:
                del self._asking[family]
                socket.send_fds(self._warm(family), [b"s"], fds)

    def _warm(self, family: str) -> socket.socket:
        if family not in self._asking:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs, (self.folder / "warm.log").open("ab") as log:
                process = warm.started(theirs, family, log)
            self._asking[family] = ours, weakref.finalize(self, _stop, ours, process)
        return self._asking[family][0]


def _is_plain(command: Sequence[str]) -> bool:
    """Tell a step of ours from a command that does more, such as installing packages."""
    return (
        sys.platform == "linux"
        and len(command) > 4
        and _EXECUTOR in command[2]
        and "pip" not in command[2]
    )


def _said(output: int, told: int) -> Iterator[str]:
    """Yield a step's lines until its end is told; what it left behind may still hold its output."""
    os.set_blocking(output, False)
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        selector.register(told, selectors.EVENT_READ)
        rest, ended = b"", False
        while not ended:
            ready = {key.fd for key, _ in selector.select()}
            ended = told in ready
            data, closed = _there(output)
            if closed and output in selector.get_map():
                selector.unregister(output)
            *lines, rest = (rest + data).split(b"\n")
            yield from (f"{line.decode(errors='replace')}\n" for line in lines)
        if rest:
            yield rest.decode(errors="replace")


def _there(pipe: int) -> tuple[bytes, bool]:
    """Read what a pipe holds by now; say whether its other end is closed."""
    pieces = []
    with contextlib.suppress(BlockingIOError):
        while piece := os.read(pipe, 1 << 16):
            pieces.append(piece)
        return b"".join(pieces), True
    return b"".join(pieces), False


def _stop(asking: socket.socket, process: "subprocess.Popen[bytes]") -> None:
    """End a warm interpreter, in the middle of an import too: it holds nothing."""
    asking.close()
    process.kill()
    process.wait()
