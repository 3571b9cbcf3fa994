import contextlib
import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from pipelines.laptop import processes


@pytest.fixture
def sleeping(tmp_path: pathlib.Path) -> Iterator["subprocess.Popen[bytes]"]:
    with sleep(tmp_path / "mine") as process:
        yield process


@contextlib.contextmanager
def sleep(folder: pathlib.Path, *, session: bool = False) -> Iterator["subprocess.Popen[bytes]"]:
    command, environment = ["/bin/sleep", "600"], processes.mark(folder)
    with subprocess.Popen(command, env=environment, start_new_session=session) as process:
        _await_environment(process.pid)
        yield process
        process.kill()


def _await_environment(pid: int) -> None:
    """Wait until Linux shows it: for a moment after exec it is empty, or the process not there."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        with contextlib.suppress(ProcessLookupError):
            if pathlib.Path(f"/proc/{pid}/environ").read_bytes():
                return
        time.sleep(0.001)


def test_finds_its_processes_and_no_others(
    sleeping: "subprocess.Popen[bytes]", tmp_path: pathlib.Path
) -> None:
    with sleep(tmp_path / "mine and more"), sleep(tmp_path):
        assert processes.marked(tmp_path / "mine") == [sleeping.pid]


def test_a_folder_may_be_named_in_other_words(
    sleeping: "subprocess.Popen[bytes]", tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert processes.marked(pathlib.Path("mine")) == [sleeping.pid]


def test_ends_them(sleeping: "subprocess.Popen[bytes]", tmp_path: pathlib.Path) -> None:
    processes.end(tmp_path / "mine")

    assert sleeping.wait(1) == -signal.SIGTERM


def test_ends_only_those_it_is_asked_to(tmp_path: pathlib.Path) -> None:
    with sleep(tmp_path) as step, sleep(tmp_path, session=True) as server:
        processes.end(tmp_path, among=processes.steps)

        assert step.wait(1) == -signal.SIGTERM
        assert server.poll() is None


def test_an_ignored_signal_stays_ignored(tmp_path: pathlib.Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with processes.interruptible(tmp_path):
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_step_that_starts_during_the_interruption_is_ended_too(tmp_path: pathlib.Path) -> None:
    def interrupted() -> int:
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.2)
        with sleep(tmp_path) as late:
            return late.wait(5)

    with processes.interruptible(tmp_path):
        assert interrupted() == -signal.SIGTERM
