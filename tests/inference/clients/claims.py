"""Claims that a program checks in a process of its own, one line of JSON each.

The clients of KServe and Triton describe the same gRPC package differently, and one process
takes only one description; so each has a program of its own, and tests read what it says.
"""

import inspect
import json
import pathlib
import re
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

_CLAIM = re.compile(r"^@claim\n(?:async )?def (\w+)", re.MULTILINE)
_claims: list[Callable[..., Any]] = []


def claim(check: Callable[..., Any]) -> Callable[..., Any]:
    """Have a function's name be a claim, which holds when the function returns."""
    _claims.append(check)
    return check


async def check_all(clients: Mapping[str, Any]) -> None:
    """Call every claim with the clients that its parameters name; say which hold."""
    for check in _claims:
        wanted = {name: clients[name] for name in inspect.signature(check).parameters}
        try:
            done = check(**wanted)
            if inspect.isawaitable(done):
                await done
        except Exception:
            print(json.dumps([check.__name__, traceback.format_exc()]), flush=True)
        else:
            print(json.dumps([check.__name__, ""]), flush=True)


def named(program: pathlib.Path) -> list[str]:
    """Return a program's claims without importing what it imports."""
    return _CLAIM.findall(program.read_text())


def run(program: pathlib.Path, *arguments: str) -> dict[str, str]:
    """Run a program; return what went wrong by claim, "" where nothing did."""
    module = f"tests.inference.clients.{program.stem}"
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise AssertionError(f"{program.name} ended with {done.returncode}: {done.stderr[-3000:]}")
    lines = [line for line in done.stdout.splitlines() if line.startswith("[")]
    return dict(json.loads(line) for line in lines)
