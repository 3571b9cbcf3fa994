"""The initializer, killed by SIGKILL when it changes something below its folder for the Nth time.

    python -m tests.inference.initializer.dying N SRC DST

A change is a folder made, a file opened to be written, a piece written to it, a file renamed,
removed, or given another mode.
"""

import os
import pathlib
import signal
import sys
from typing import Any

from inference.initializer.__main__ import main

_CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.chmod", "os.rmdir"}


class Countdown:
    """Ends the process when too much has changed."""

    def __init__(self, left: int, folder: str) -> None:
        self.left, self.folder = left, folder

    def audit(self, event: str, args: tuple[Any, ...]) -> None:
        writes = event == "open" and isinstance(args[2], int) and args[2] & os.O_ACCMODE
        if (event in _CHANGES or writes) and str(args[0]).startswith(self.folder):
            self.count()

    def count(self) -> None:
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)


def _count_pieces(countdown: Countdown) -> None:
    opened = pathlib.Path.open

    def opens(self: pathlib.Path, *args: Any, **kwargs: Any) -> Any:
        file = opened(self, *args, **kwargs)
        return _Counted(file, countdown) if "w" in str(args[:1]) else file

    pathlib.Path.open = opens  # type: ignore[method-assign]  # for this process


class _Counted:
    def __init__(self, file: Any, countdown: Countdown) -> None:
        self._file, self._countdown = file, countdown

    def write(self, data: bytes) -> int:
        """Write half a piece, then perhaps no more."""
        half = len(data) // 2
        self._file.write(data[:half])
        self._file.flush()
        self._countdown.count()
        return half + int(self._file.write(data[half:]))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> "_Counted":
        return self

    def __exit__(self, *raised: object) -> None:
        self._file.close()


if __name__ == "__main__":
    counting = Countdown(int(sys.argv[1]), sys.argv[3])
    _count_pieces(counting)
    sys.addaudithook(counting.audit)
    sys.exit(main(sys.argv[2:]))
