"""A warm interpreter: imports once what steps of an image family use, then forks one a step.

Usage: python -m pipelines.laptop.warm FD FAMILY TITLE; FD is a socket whose other end asks for
steps, and TITLE is room for what a step is called in a list of processes. It ends when the
other end is closed, and takes its steps with it.

What is imported here keeps no thread that a fork would break: `_fit` looks before each one.
"""

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import pathlib
import selectors
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, NoReturn, Self

from components.foundation.orphans import die_with_parent

CODE = struct.Struct("!i")  # how an exit code travels
UNFIT = -1000  # said instead of an exit code: start this step in the ordinary way
FAMILY = "data"  # what an unknown image is taken for
_EVERY = ("kfp.dsl.executor_main", "components.step")
_TABLES = ("obstore.store", "pyarrow.dataset", "pyarrow.parquet", "deltalake", "duckdb", "pandas")
# Image family -> modules, or module:function to call.
_IMPORTS = {
    "data": (
        *_EVERY,
        *_TABLES,
        "pydantic",
        "sqlglot",
        "sqlalchemy",
        "httpx",
        "tenacity",
        "scipy.special",
        "scipy.linalg",
        "scipy.optimize",
        "scipy.stats",
        "kubernetes.dynamic",
        "components.features.repository:quickly_import_feast",
        "components.features.offline_store.delta",
        "components.features.registry_store.object",
    ),
    "torch": (
        "torch",
        *_EVERY,
        # What an optimiser, an export and a translation to ONNX import when first called.
        "torch._dynamo",
        "torch.export._trace",
        "torch.onnx._internal.exporter._core",
        "onnxscript",
        "onnx",
        *_TABLES,
    ),
    "tensorflow": ("tensorflow", *_EVERY, "keras", "tf2onnx", "onnx", *_TABLES),
}
FAMILIES = frozenset(_IMPORTS)
# Arrow's allocator tidies up in a thread, which it stops and starts around a fork by itself.
_SAFE_THREADS = {"jemalloc_bg_thd"}
_ARG_START, _ARG_END = 47, 48  # fields of /proc/self/stat, from 0


@dataclass(frozen=True, slots=True)
class Order:
    """A step to run, as kfp.local would: its source, the executor's arguments, its surroundings.

    `Order.from_json(o.to_json()) == o`.
    """

    source: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    folder: str

    def to_json(self) -> bytes:
        return json.dumps([self.source, self.arguments, self.environment, self.folder]).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        return cls(*json.loads(data))


def main(argv: Sequence[str]) -> None:
    # In the middle of an import it would not see for seconds that the other end is closed.
    die_with_parent(signal.SIGKILL)
    asked = socket.socket(fileno=int(argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # steps get it themselves
    order = _Warm(asked, _IMPORTS[argv[2]]).serve()
    if order is not None:
        _end(_code(order))


class _Warm:
    """The process that forks, until it is a step itself."""

    def __init__(self, asked: socket.socket, imports: Sequence[str]) -> None:
        self._asked = asked
        self._closed = False  # the other end
        self._parent = os.getpid()
        self._imports = list(imports)
        self._steps: dict[int, tuple[int, int]] = {}  # pidfd -> (process, where its end is told)
        self._selector = selectors.DefaultSelector()
        self._selector.register(asked, selectors.EVENT_READ)

    def serve(self) -> Order | None:
        """Answer until the other end closes (None), or until this is the fork: its order."""
        order = None
        while order is None and not self._closed:
            order = self._turn()
        return order

    def _turn(self) -> Order | None:
        """Answer whoever is ready, else import one thing more; return the order in a fork."""
        # Whoever asks early does not wait for every import.
        ready = self._selector.select(timeout=0 if self._imports else None)
        if not ready:
            self._import()
        answers = (self._answer(key) for key, _ in ready)
        return next((order for order in answers if order is not None), None)

    def _answer(self, key: selectors.SelectorKey) -> Order | None:
        """Tell how a step ended, or start the one that is asked for; return the order in a fork."""
        if key.fileobj is not self._asked:
            self._reap(key.fd)
            return None
        fds = self._receive()
        self._closed = fds is None
        return self._fork(*fds) if fds else None

    def _import(self) -> None:
        # An image or an extra may lack it; the step that needs it says so better.
        with contextlib.suppress(ImportError):
            module, _, function = self._imports.pop(0).partition(":")
            imported = importlib.import_module(module)
            if function:
                getattr(imported, function)()
        gc.freeze()  # collecting would copy what steps share

    def _receive(self) -> list[int] | None:
        data, fds, _, _ = socket.recv_fds(self._asked, 1, 3)
        return fds if data else None

    def _fork(self, wanted: int, output: int, told: int) -> Order | None:
        """Return the order in the fork, None in the parent."""
        child = os.fork() if _fit() else UNFIT
        if child == 0:
            order = Order.from_json(_whole(wanted))
            self._leave()
            _settle(order, output, self._parent)
            return order
        for fd in (wanted, output):
            os.close(fd)
        if child == UNFIT:
            _tell(told, UNFIT)
        else:
            pidfd = os.pidfd_open(child)
            self._selector.register(pidfd, selectors.EVENT_READ)
            self._steps[pidfd] = (child, told)
        return None

    def _reap(self, pidfd: int) -> None:
        self._selector.unregister(pidfd)
        child, told = self._steps.pop(pidfd)
        _, status = os.waitpid(child, 0)
        os.close(pidfd)
        _tell(told, os.waitstatus_to_exitcode(status))

    def _leave(self) -> None:
        """Close, in the fork, what belongs to the parent."""
        self._selector.close()
        self._asked.close()
        for pidfd, (_, told) in self._steps.items():
            os.close(pidfd)
            os.close(told)


def _fit() -> bool:
    """Say whether no thread runs that a fork would cut off in the middle of something."""
    others = (path for path in pathlib.Path("/proc/self/task").iterdir() if path.name != _own())
    return all((path / "comm").read_text().strip() in _SAFE_THREADS for path in others)


def _own() -> str:
    return str(os.getpid())  # the first thread has the process's number


def _tell(told: int, code: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody waits any more
        os.write(told, CODE.pack(code))
    os.close(told)


def _whole(fd: int) -> bytes:
    with open(fd, "rb") as file:
        file.seek(0)
        return file.read()


def _settle(order: Order, output: int, parent: int) -> None:
    """Become the step's process: its output, surroundings and name, and nothing of the parent's."""
    die_with_parent(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(order.environment)
    os.chdir(order.folder)
    sys.path[0] = order.folder
    named = order.environment.get("PYTHONPATH", "").split(os.pathsep)  # a project elsewhere
    sys.path[1:1] = [path for path in named if path and path not in sys.path]
    time.tzset()
    tempfile.tempdir = None  # it may be another
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()  # no two steps draw the same
    _call_it(f"python -m kfp.dsl.executor_main {' '.join(order.arguments[-2:])}")
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # text files, both


def _call_it(title: str) -> None:
    """Say in a list of processes which step this is, over the words it was started with."""
    fields = pathlib.Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = (int(fields[n - 2]) for n in (_ARG_START, _ARG_END))
    words = title.replace(" ", "\0").encode()[: end - start - 1]
    ctypes.memset(start, 0, end - start)
    ctypes.memmove(start, words, len(words))


def _code(order: Order) -> int:
    """Run the step; return the exit code that an interpreter would give."""
    try:
        _run(order)
    except SystemExit as left:
        if left.code is None or isinstance(left.code, int):
            return left.code or 0
        print(left.code, file=sys.stderr)
        return 1
    except BaseException:  # here an interpreter ends, whatever the step raised
        traceback.print_exc()
        return 1
    return 0


def _end(code: int) -> NoReturn:
    """Leave as an interpreter does, but for taking its modules apart, which costs 90 ms."""
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads; has no public name
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def _run(order: Order) -> None:
    """Run the step as kfp's own command does."""
    from kfp.dsl import executor_main

    with _scratch(order.source) as module:
        sys.argv = [executor_main.__file__, "--component_module_path", module, *order.arguments]
        executor_main.executor_main()


@contextlib.contextmanager
def _scratch(source: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        module = pathlib.Path(folder) / "ephemeral_component.py"
        module.write_text(source)
        yield str(module)


def title_room() -> str:
    """Return an argument that leaves room for a step's name."""
    return "-" * 200


def started(asked: socket.socket, family: str, log: IO[bytes]) -> "subprocess.Popen[bytes]":
    """Start a warm interpreter that listens at the other end of a socket."""
    fd = str(asked.fileno())
    # A library's own threads would be there at a fork; a step has better use for its cores.
    quiet = {"_KFP_RUNTIME": "true", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", __name__, fd, family, title_room()],
        pass_fds=[asked.fileno()],
        env={**os.environ, **quiet},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
    )


if __name__ == "__main__":
    main(sys.argv)
