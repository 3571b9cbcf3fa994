"""A session's processes: known by a mark in their environment, ended also when orphaned.

Whatever a session starts, and whatever that starts in turn, inherits the mark: the session's
folder. So steps can be ended without knowing who started them, and a session finds what a
killed one left behind. Needs Linux's /proc; elsewhere nothing is found.
"""

import contextlib
import os
import pathlib
import signal
import threading
import time
from collections.abc import Callable, Iterator

MARK = "LAPTOP_SESSION"  # no FALAJ_ name: those are kept from a candidate under test
_GRACE_SECONDS = 5.0
_LOOK_SECONDS = 0.05

Among = Callable[[int], bool]


def mark(folder: pathlib.Path) -> dict[str, str]:
    """Return the environment entry of everything that belongs to a folder."""
    return {MARK: str(folder.resolve())}


def marked(folder: pathlib.Path) -> list[int]:
    """Return the processes of a folder that are alive, but for ourselves."""
    entry = os.fsencode(f"{MARK}={folder.resolve()}")
    found = (int(path.name) for path in pathlib.Path("/proc").glob("[0-9]*"))
    return [pid for pid in found if pid != os.getpid() and entry in _environment(pid)]


def steps(pid: int) -> bool:
    """Tell steps, and what they started, from servers: those lead a Unix session of their own."""
    with contextlib.suppress(ProcessLookupError):
        return os.getsid(pid) == os.getsid(0)
    return False


def end(folder: pathlib.Path, *, among: Among = lambda pid: True) -> None:
    """End a folder's processes: asked first, and killed when that does not help."""
    for number, seconds in ((signal.SIGTERM, _GRACE_SECONDS), (signal.SIGKILL, _GRACE_SECONDS)):
        left = [pid for pid in marked(folder) if among(pid)]
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while left and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
            left = [pid for pid in marked(folder) if pid in left]


@contextlib.contextmanager
def interruptible(folder: pathlib.Path) -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and a closed terminal unwind the block, and end its steps at once.

    Whoever waits for a step, in whichever thread, then goes on. A second signal changes
    nothing: everything is being stopped already.
    """
    called, over = threading.Event(), threading.Event()

    def interrupt(*_: object) -> None:
        if not called.is_set():
            called.set()
            raise KeyboardInterrupt

    sweeper = threading.Thread(target=_sweep, args=(folder, called, over), daemon=True)
    sweeper.start()
    try:
        with contextlib.ExitStack() as handlers:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                handlers.enter_context(_handling(number, interrupt))
            yield
    finally:
        called.set()
        over.set()
        sweeper.join()


def _sweep(folder: pathlib.Path, called: threading.Event, over: threading.Event) -> None:
    """End steps again and again: one may just be starting while others are ended."""
    called.wait()
    while not over.wait(_LOOK_SECONDS):
        end(folder, among=steps)


@contextlib.contextmanager
def _handling(number: signal.Signals, handler: Callable[..., None]) -> Iterator[None]:
    """Handle a signal; one that is ignored, as by nohup, stays ignored."""
    before = signal.getsignal(number)
    if before is signal.SIG_IGN:
        yield
        return
    signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


def _environment(pid: int) -> list[bytes]:
    """Return what a process was started with; nothing if it is a zombie or not ours to see."""
    try:
        return pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []
