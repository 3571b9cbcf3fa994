"""What tests need beyond wheels: install it where that is allowed, else say how.

Usage: python -m tests.prerequisites. Silent when everything is there.
"""

import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence

CHROMIUM = pathlib.Path("/usr/bin/chromium")
INSTALL: tuple[Sequence[str], ...] = (
    ("apt-get", "update", "--quiet"),
    ("apt-get", "install", "--quiet", "--yes", "chromium"),
)
MISSING = (
    f"{CHROMIUM} is missing, and without it the report cannot be looked at; run: "
    f"{' && '.join(' '.join(command) for command in INSTALL)}"
)

Run = Callable[[Sequence[str]], None]


def main() -> int:
    """Install Chromium, or print the line that does; return the exit code."""
    may = os.geteuid() == 0 and shutil.which("apt-get") is not None
    return provide(CHROMIUM, may_install=may, run=_run)


def provide(chromium: pathlib.Path, *, may_install: bool, run: Run) -> int:
    """See to it that a browser is there; return 1 when it is not."""
    if not chromium.exists() and may_install:
        print(f"{chromium} is missing: installing it", flush=True)
        for command in INSTALL:
            run(command)
    if chromium.exists():
        return 0
    print(MISSING, file=sys.stderr)
    return 1


def _run(command: Sequence[str]) -> None:
    """Run a command, and let what comes of it show in the end."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(command, env=environment, check=False, stdout=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
