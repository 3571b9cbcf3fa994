"""What tests need beyond wheels: install it where that is allowed, else say how.

Usage: python -m tests.prerequisites. Silent when everything is there.
"""

import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Run = Callable[[Sequence[str]], None]


@dataclass(frozen=True, slots=True)
class Need:
    """A Debian package: a glob of the file it brings, and what cannot be done without."""

    package: str
    file: str
    without: str

    @property
    def there(self) -> bool:
        return any(pathlib.Path("/").glob(self.file.lstrip("/")))

    @property
    def missing(self) -> str:
        run = " && ".join(" ".join(command) for command in installing(self))
        return f"{self.file} is missing, and without it {self.without}; run: {run}"


def installing(*needs: Need) -> tuple[Sequence[str], ...]:
    """Return the commands that install packages."""
    packages = [need.package for need in needs]
    return (
        ("apt-get", "update", "--quiet"),
        ("apt-get", "install", "--quiet", "--yes", *packages),
    )


CHROMIUM = pathlib.Path("/usr/bin/chromium")
BROWSER = Need("chromium", str(CHROMIUM), "the report cannot be looked at")
DATABASE = Need(
    "postgresql", "/usr/lib/postgresql/*/bin/initdb", "no real database can be ingested"
)
NPM = Need("npm", "/usr/bin/npm", "no real identity provider issues tokens")
WRK = Need("wrk", "/usr/bin/wrk", "no server can be put under load")
H2LOAD = Need("nghttp2-client", "/usr/bin/h2load", "no gRPC server can be put under load")
REDIS = Need("redis-server", "/usr/bin/redis-server", "no online store of a cluster is asked")
TOKENS = Need("softhsm2", "/usr/lib/softhsm/libsofthsm2.so", "no key can lie in a token")
PROMETHEUS = Need("prometheus", "/usr/bin/promtool", "no alert is seen firing")
ALERTMANAGER = Need(
    "prometheus-alertmanager", "/usr/bin/amtool", "no alert is seen reaching anybody"
)
NEEDS = (BROWSER, DATABASE, NPM, WRK, H2LOAD, REDIS, TOKENS, PROMETHEUS, ALERTMANAGER)
MISSING = BROWSER.missing


def main() -> int:
    """Install what is missing, or print the lines that do; return the exit code."""
    may = os.geteuid() == 0 and shutil.which("apt-get") is not None
    return provide(*NEEDS, may_install=may, run=_run)


def provide(*needs: Need, may_install: bool, run: Run) -> int:
    """See to it that everything is there; return 1 when something is not."""
    missing = [need for need in needs if not need.there]
    if missing and may_install:
        print(f"installing {', '.join(need.package for need in missing)}", flush=True)
        for command in installing(*missing):
            run(command)
    left = [need for need in missing if not need.there]
    for need in left:
        print(need.missing, file=sys.stderr)
    return 1 if left else 0


def _run(command: Sequence[str]) -> None:
    """Run a command, and let what comes of it show in the end."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(command, env=environment, check=False, stdout=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
