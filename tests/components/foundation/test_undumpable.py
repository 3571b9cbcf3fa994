"""A process that holds keys leaves no core, and the hatch leaves only the limit."""

import os
import pathlib
import resource
import signal
import subprocess
import sys

import pytest

from components.foundation import undumpable

_ABORT = "import os; os.abort()"
_BECOMES = """
import os
from components.foundation import undumpable
undumpable.become(os.environ)
"""
_ASKS = """
import ctypes, os, resource
from components.foundation import undumpable
undumpable.become(os.environ)
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), *resource.getrlimit(resource.RLIMIT_CORE))
"""


def started(program: str, folder: pathlib.Path, **named: str) -> "subprocess.Popen[str]":
    """Start Python in a folder, as large a core allowed as there may be."""
    root = pathlib.Path(__file__).parents[3]
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    code = f"import resource; resource.setrlimit(resource.RLIMIT_CORE, ({most}, {most}))\n{program}"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(root), **named},
        stdout=subprocess.PIPE,
        text=True,
    )


def dumped(program: str, folder: pathlib.Path, **named: str) -> bool:
    """Tell whether a program that aborts leaves a core."""
    process = started(program, folder, **named)
    _, status = os.waitpid(process.pid, 0)
    process.returncode = status
    assert process.stdout is not None
    process.stdout.close()
    assert os.WTERMSIG(status) == signal.SIGABRT
    return os.WCOREDUMP(status)


@pytest.fixture
def cores(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder where a program that aborts leaves a core, as it does not where none may."""
    if not dumped(_ABORT, tmp_path):
        pytest.skip("this machine lets no program leave a core")
    return tmp_path


@pytest.mark.parametrize("hatch", ["", "1"])
def test_a_process_that_aborts_leaves_no_core(cores: pathlib.Path, hatch: str) -> None:
    assert not dumped(_BECOMES + _ABORT, cores, **{undumpable.HATCH: hatch})


@pytest.mark.parametrize(
    ("hatch", "dumpable"), [("", "0"), ("1", "1"), ("yes", "0")], ids=["none", "open", "misspelt"]
)
def test_the_hatch_leaves_the_limit_on_cores(
    tmp_path: pathlib.Path, hatch: str, dumpable: str
) -> None:
    said, _ = started(_ASKS, tmp_path, **{undumpable.HATCH: hatch}).communicate()

    assert said.split()[:2] == [dumpable, "0"]
