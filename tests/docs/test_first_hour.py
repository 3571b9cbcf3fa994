"""docs/first-hour.md is run as a newcomer would, line by line, in a copy of the project."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from tests.docs.transcript import agrees, blocks, run

ROOT = pathlib.Path(__file__).parents[2]
PAGE = ROOT / "docs/first-hour.md"


@pytest.fixture
def clone(tmp_path: pathlib.Path) -> pathlib.Path:
    """What git has of the project, with this environment in the place of its own."""
    git = shutil.which("git") or "git"
    listed = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").symlink_to(pathlib.Path(sys.executable).parents[1])
    return tmp_path


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_line_of_the_first_hour_does_what_is_shown(clone: pathlib.Path) -> None:
    """PYTHONPATH stands in for the clone's own install, which would be this one."""
    path = f"{clone}/.venv/bin:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(clone)}
    said = list(blocks(PAGE.read_text()))

    assert len(said) >= 12
    for block in said:
        ran = run(f"set -e\n{block.script}", folder=clone, environment=environment)
        assert ran.returncode == 0, f"{block.script}\n{ran.stdout}"
        if block.shown is not None:
            assert agrees(block.shown, ran.stdout), f"{block.script}\n{ran.stdout}"
