"""Files of tests two at a time: who is alone, and in which order."""

import fcntl
import os
import pathlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.together import within

ROOT = pathlib.Path(__file__).parents[1]
ALSO = {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
NOTING = """
import pathlib, time
import pytest

LOG = pathlib.Path({log!r})

def note(word):
    with LOG.open("a") as log:
        log.write(word + "\\n")

{mark}
@pytest.mark.parametrize("number", range({times}))
def test_one(number):
    note("{name} begins")
    time.sleep(0.05)
    note("{name} ends")
"""


STATE = """
import os, pathlib, time
import pytest

STAT = pathlib.Path("/proc", os.environ["BESIDE"], "stat")

def stands_still():
    return STAT.read_text().rpartition(")")[2].split()[0] == "T"

def test_with_others():
    assert not stands_still()

@pytest.mark.alone
def test_alone():
    deadline = time.monotonic() + 20
    while not stands_still():
        assert time.monotonic() < deadline, "it goes on"

def test_with_others_again():
    deadline = time.monotonic() + 20
    while stands_still():
        assert time.monotonic() < deadline, "it was never let go on"
"""


def write(folder: pathlib.Path, name: str, *, mark: str = "", times: int = 1) -> None:
    text = NOTING.format(log=str(folder / "log"), mark=mark, name=name, times=times)
    (folder / f"test_{name}.py").write_text(text)


def noted(folder: pathlib.Path) -> list[str]:
    """Run the files of a folder two at a time; return what their tests noted."""
    run(folder)
    return (folder / "log").read_text().splitlines()


def run(folder: pathlib.Path, **named: str) -> None:
    """Run the files of a folder two at a time, with some names in the environment."""
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    alone: by itself\n")
    options = ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder", "-q"]
    command = [sys.executable, "-m", "pytest", *options, "-p", "xdist", "-p", "tests.together"]
    done = subprocess.run(
        [*command, str(folder), f"--basetemp={folder / 'temporary'}"],
        cwd=folder,
        env={**os.environ, **ALSO, **named},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, "it never became true"
        time.sleep(0.01)


def is_held(door: pathlib.Path) -> bool:
    """Say whether somebody holds the door, as who waits to be alone does."""
    with door.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_a_test_alone_has_nothing_beside_it_and_its_file_comes_last(
    tmp_path: pathlib.Path,
) -> None:
    write(tmp_path, "alone", mark="@pytest.mark.alone", times=3)
    write(tmp_path, "other", times=4)
    write(tmp_path, "third", times=20)

    lines = noted(tmp_path)

    begun = [number for number, line in enumerate(lines) if line == "alone begins"]
    assert len(begun) == 3
    assert all(lines[number + 1] == "alone ends" for number in begun)
    assert begun[0] > lines.index("other ends")
    assert lines[begun[0] :] != ["alone begins", "alone ends"] * 3, "the third had ended: no trial"


def test_what_runs_beside_the_tests_stands_still_for_one_alone(tmp_path: pathlib.Path) -> None:
    (tmp_path / "test_state.py").write_text(STATE)

    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, start_new_session=True) as beside:
        run(tmp_path, BESIDE=str(beside.pid))
        assert beside.poll() is None
        beside.communicate()


def test_files_with_the_longest_time_limits_come_first(tmp_path: pathlib.Path) -> None:
    write(tmp_path, "any", times=2)
    write(tmp_path, "long", mark="@pytest.mark.timeout(500)")
    write(tmp_path, "longer", mark="@pytest.mark.timeout(900)")

    begun = [line.split()[0] for line in noted(tmp_path) if line.endswith("begins")]

    assert set(begun[:2]) == {"long", "longer"}


def test_who_waits_to_be_alone_lets_nobody_else_in(tmp_path: pathlib.Path) -> None:
    order: list[str] = []
    leave = threading.Event()

    def enter(name: str, *, alone: bool) -> None:
        with within(tmp_path, alone=alone):
            order.append(name)
            if name == "first":
                leave.wait(10)

    with ThreadPoolExecutor(3) as pool:
        began = [pool.submit(enter, "first", alone=False)]
        wait_until(lambda: order == ["first"])
        began.append(pool.submit(enter, "alone", alone=True))
        wait_until(lambda: is_held(tmp_path / "door"))
        began.append(pool.submit(enter, "later", alone=False))
        assert order == ["first"]
        leave.set()

    for one in began:
        one.result()
    assert order == ["first", "alone", "later"]
