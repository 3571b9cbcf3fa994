"""Start and stop the programs of a control plane; each writes a log of its own."""

import contextlib
import os
import pathlib
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from components.foundation.orphans import die_with_parent

_READY_SECONDS = 120.0
_STOP_SECONDS = 10.0
# Go collects garbage when memory has doubled; there is more memory here than there are cores.
THRIFTY = {"GOGC": "400", "GOMEMLIMIT": "2GiB"}


class DidNotStart(Exception):
    """A program ended, or was not ready in time; the message ends with its log."""


@dataclass
class Programs:
    """What runs, in the order it was started; the last started is stopped first."""

    binaries: pathlib.Path
    folder: pathlib.Path
    running: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    def start(self, name: str, options: Sequence[str]) -> None:
        """Start one and go on; its output goes to <name>.log."""
        with self._log(name).open("wb") as log:
            process = subprocess.Popen(
                [str(self.binaries / name), *options],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env={**os.environ, **THRIFTY},
                preexec_fn=die_with_parent,
            )
        self.running.append(process)

    def wait(self, name: str, ready: Callable[[], bool]) -> None:
        """Wait until the program just started is ready.

        Raises:
            DidNotStart: it ended or took too long.
        """
        until = time.monotonic() + _READY_SECONDS
        while not ready():
            if self.running[-1].poll() is not None or time.monotonic() > until:
                tail = "\n".join(self._log(name).read_text().splitlines()[-15:])
                raise DidNotStart(f"{name} is not ready:\n{tail}")
            time.sleep(0.1)

    def stop(self) -> None:
        for process in reversed(self.running):
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.running.clear()

    def _log(self, name: str) -> pathlib.Path:
        return self.folder / f"{name}.log"


@contextlib.contextmanager
def stopped_after(programs: Programs) -> Iterator[Programs]:
    """Stop everything when the block ends."""
    try:
        yield programs
    finally:
        programs.stop()


def listens(port: int) -> Callable[[], bool]:
    """Ask whether something takes connections on a port."""

    def ready() -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", port)) == 0

    return ready


def healthy(url: str) -> Callable[[], bool]:
    """Ask whether a plain HTTP address answers 200."""

    def ready() -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310
            return bool(answer.status == 200)
        return False

    return ready
