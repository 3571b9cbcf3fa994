"""Other scanners of pickles, where they are installed: what they find is added to ours.

Each runs as a program of its own, with bounds: it reads what may be hostile, and not all of them
can be installed beside us (modelscan wants an older `rich`).
"""

import json
import pathlib
import re
import resource
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from components.release.scan_model.finding import Finding, Rule, shown

_SECONDS: Final = 120
_MOST_MEMORY: Final = 4 << 30
_MOST_OUTPUT: Final = 1 << 20
_DANGEROUS: Final = re.compile(r": dangerous import '([^'\n]{1,500})' FOUND")


@dataclass(frozen=True, slots=True)
class Scanner:
    """A program that says what it finds in one file."""

    name: str
    arguments: tuple[str, ...]
    read: Callable[[str], Iterator[str]]


def _picklescan(said: str) -> Iterator[str]:
    for name in sorted(set(_DANGEROUS.findall(said))):
        yield f"dangerous import {shown(name)}"


def _modelscan(said: str) -> Iterator[str]:
    start = said.find("{")
    report = json.loads(said[start:]) if start >= 0 else {}
    for issue in report.get("issues", []):
        yield f"{shown(str(issue['severity']))}: {shown(str(issue['description']), 200)}"


KNOWN: Final = (
    Scanner("picklescan", ("--path",), _picklescan),
    Scanner("modelscan", ("--reporting-format", "json", "--show-skipped", "--path"), _modelscan),
)


def installed(*folders: pathlib.Path) -> dict[str, pathlib.Path]:
    """Return the known scanners that lie in one of the folders, by name."""
    return {
        scanner.name: folder / scanner.name
        for folder in reversed(folders)
        for scanner in KNOWN
        if (folder / scanner.name).is_file()
    }


def findings(
    folder: pathlib.Path, files: Iterable[str], programs: dict[str, pathlib.Path]
) -> Iterator[Finding]:
    """Ask every installed scanner about every file that holds pickles."""
    for file in files:
        for scanner in KNOWN:
            if program := programs.get(scanner.name):
                for says in _ask(scanner, program, folder / file):
                    yield Finding(file, Rule.SCANNER, f"{scanner.name}: {says}")


def _ask(scanner: Scanner, program: pathlib.Path, file: pathlib.Path) -> Iterator[str]:
    command = [str(program), *scanner.arguments, str(file)]
    try:
        ended = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            env={"PATH": str(program.parent), "HOME": "/nonexistent", "COLUMNS": "500"},
            preexec_fn=_bounded,
        )
        found = list(scanner.read(ended.stdout[:_MOST_OUTPUT]))
    except subprocess.TimeoutExpired:
        yield f"gave no answer in {_SECONDS} s"
        return
    except (ValueError, KeyError, TypeError):
        yield "gave an answer that cannot be read"
        return
    yield from found
    if ended.returncode not in (0, 3) and not found:  # modelscan: 3 is nothing to scan
        yield f"failed with exit code {ended.returncode}"


def _bounded() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
