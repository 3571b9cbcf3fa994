"""What the numbers were measured on, and which cores are whose."""

import contextlib
import os
import pathlib
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.benchmarks.serving import environments

_SHOWN = (
    "kserve", "mlserver", "onnxruntime", "numpy", "orjson", "uvloop", "httptools", "uvicorn",
    "starlette", "fastapi", "grpcio",
)  # fmt: skip


def facts() -> dict[str, Any]:
    """Describe the machine and every server's packages."""
    memory = pathlib.Path("/proc/meminfo").read_text()
    [size] = re.findall(r"MemTotal: +(\d+) kB", memory)
    return {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(int(size) / 2**20, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_average": os.getloadavg()[0],
        "tools": {"wrk": _said("wrk", "-v"), "h2load": _said("h2load", "--version")},
        "versions": {
            "falaj": _packages(pathlib.Path(sys.executable)),
            **{name: _packages(environments.python(name)) for name in environments.WANTED},
        },
    }


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Write the facts for people."""
    yield f"{found['processor']}, {found['cores']} cores, {found['memory_gib']} GiB"
    yield f"{found['system']}; Python {found['python']}; load {found['load_average']:.1f} before"
    yield "; ".join(found["tools"].values())
    for name, packages in found["versions"].items():
        shown = ", ".join(f"{package} {version}" for package, version in packages.items())
        yield f"{name}: {shown}"


@contextlib.contextmanager
def confined() -> Iterator[tuple[Sequence[int], Sequence[int]]]:
    """Give the first core to servers and the last to what loads them, this process too."""
    mine = os.sched_getaffinity(0)
    if len(mine) < 2:
        raise SystemExit("one core only: servers and load would share it; take a machine with two")
    first, last = min(mine), max(mine)
    os.sched_setaffinity(0, {last})
    try:
        yield [first], [last]
    finally:
        os.sched_setaffinity(0, mine)


def processor() -> str:
    """Name the processor, also one that hides its model's name."""
    text = pathlib.Path("/proc/cpuinfo").read_text()
    found = {
        key: re.search(rf"^{key}\s*: (.*)$", text, re.MULTILINE)
        for key in ("model name", "model", "cpu family")
    }
    name, model, generation = (each[1] if each else "?" for each in found.values())
    return f"{name} (family {generation}, model {model})"


def _packages(python: pathlib.Path) -> dict[str, str]:
    found = environments.versions(python)
    return {name: found[name] for name in _SHOWN if name in found}


def _said(*command: str) -> str:
    """Return the first line that a program says about itself, whatever its exit code."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).splitlines()[0].split(" Copyright")[0].strip()
