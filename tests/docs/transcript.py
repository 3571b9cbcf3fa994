"""Read a page's shell blocks and what it shows of their output."""

import pathlib
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Said:
    """One shell block, and the output shown right below it, if any."""

    script: str
    shown: str | None

    @property
    def lines(self) -> list[str]:
        """The commands, each on one line."""
        return self.script.replace("\\\n", "").splitlines()


def blocks(page: str) -> Iterator[Said]:
    """Yield a page's shell blocks in order."""
    found = list(_BLOCK.finditer(page))
    for i, block in enumerate(found):
        if block[1] == "sh":
            below = found[i + 1] if i + 1 < len(found) else None
            between = page[block.end() : below.start()].strip() if below else ""
            shown = below[2] if below and below[1] == "text" and not between else None
            yield Said(block[2], shown)


def agrees(shown: str, got: str) -> bool:
    """Say whether an output is as shown, where `...` stands for anything, lines included."""
    parts = (re.escape(part.strip()) for part in shown.strip().split("..."))
    return re.fullmatch(r"\s*" + ".*".join(parts) + r"\s*", got, re.DOTALL) is not None


def run(
    line: str, *, folder: pathlib.Path, environment: Mapping[str, str]
) -> "subprocess.CompletedProcess[str]":
    """Run one line as a reader would type it, in bash."""
    return subprocess.run(
        ["/bin/bash", "-c", line],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
