import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from components.foundation.errors import UserError
from components.foundation.sealing.keys import files
from components.foundation.storage import Address
from pipelines.laptop import processes, session

ROOT = pathlib.Path(__file__).parents[3]
JOB = pathlib.Path(__file__).with_name("job.py")
THING = Address("falaj-raw", "thing")
STARTED = 4  # SeaweedFS, the plane, the step and the step's child


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    yield tmp_path / "laptop"
    processes.end(tmp_path / "laptop")


@contextlib.contextmanager
def job(
    folder: pathlib.Path, *how: str, within: pathlib.Path | None = None
) -> Iterator["subprocess.Popen[str]"]:
    """A session in a process of its own, as if from a terminal of its own, at work."""
    process = subprocess.Popen(
        [sys.executable, JOB, folder, *how],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(processes.mark(within) if within else {})},
        start_new_session=True,
        preexec_fn=_as_in_a_terminal,
        text=True,
    )
    assert process.stdout
    with process:
        assert process.stdout.readline() == "working\n"
        try:
            yield process
        finally:
            process.kill()


def _as_in_a_terminal() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup, if it runs these tests, ignores it


def until(holds: Callable[[], bool], *, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never became true"
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_everything_that_was_started(
    folder: pathlib.Path, number: signal.Signals
) -> None:
    with job(folder) as running:
        until(lambda: len(processes.marked(folder)) == STARTED)

        running.send_signal(number)

        assert running.wait(10) == 130
        assert processes.marked(folder) == []


def test_ctrl_c_which_reaches_the_whole_group_ends_everything(folder: pathlib.Path) -> None:
    with job(folder) as running:
        os.killpg(running.pid, signal.SIGINT)

        assert running.wait(10) == 130
        assert processes.marked(folder) == []


def test_a_second_signal_does_not_leave_anything_behind(folder: pathlib.Path) -> None:
    with job(folder) as running:
        for _ in range(10):
            running.send_signal(signal.SIGINT)
            time.sleep(0.05)

        assert running.wait(10) == 130
        assert processes.marked(folder) == []


@pytest.mark.slow
def test_a_step_that_does_not_listen_is_killed(folder: pathlib.Path) -> None:
    with job(folder, "stubborn") as running:
        running.send_signal(signal.SIGTERM)

        assert running.wait(20) == 130
        assert processes.marked(folder) == []


def test_servers_end_with_a_killed_run(folder: pathlib.Path) -> None:
    with job(folder) as running:
        servers = {pid for pid in processes.marked(folder) if os.getsid(pid) != running.pid}

        running.kill()

        assert len(servers) == 2
        until(lambda: not servers & set(processes.marked(folder)))


def test_a_killed_run_is_healed_by_the_next(folder: pathlib.Path) -> None:
    with session.storing(folder) as laptop:
        laptop.store.put(THING, b"kept")
    with job(folder) as killed:
        left = set(processes.marked(folder))
        killed.kill()
        killed.wait()

        with session.running(folder) as laptop:
            assert laptop.store.get(THING) == b"kept"
            assert not left & set(processes.marked(folder))

    assert processes.marked(folder) == []


def test_a_session_begun_by_a_step_of_another_does_not_end_itself(folder: pathlib.Path) -> None:
    with job(folder, within=folder) as running:
        assert running.pid in processes.marked(folder)

        running.send_signal(signal.SIGINT)

        assert running.wait(10) == 130


@pytest.mark.slow
def test_two_sessions_in_two_folders_do_not_meet(tmp_path: pathlib.Path) -> None:
    with session.running(tmp_path / "one") as one, session.running(tmp_path / "two") as two:
        one.store.put(THING, b"one")
        two.store.put(THING, b"two")

        assert (one.store.get(THING), two.store.get(THING)) == (b"one", b"two")
        assert one.gateway != two.gateway
        assert one.settings.secret_key != two.settings.secret_key

    assert processes.marked(tmp_path / "one") == processes.marked(tmp_path / "two") == []


def test_a_second_session_in_a_folder_is_refused_and_the_first_goes_on(
    folder: pathlib.Path,
) -> None:
    with session.storing(folder) as laptop:
        before = processes.marked(folder)

        second = subprocess.run(
            [sys.executable, JOB, folder],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            text=True,
            check=False,
        )

        assert second.returncode == UserError.exit_code
        assert second.stdout == (
            f"{folder}: another run is using it; wait for it or name another folder\n"
        )
        assert processes.marked(folder) == before
        laptop.store.put(THING, b"still here")


def test_what_fails_within_a_session_stops_it_and_comes_out(folder: pathlib.Path) -> None:
    with pytest.raises(ZeroDivisionError), session.running(folder):
        raise ZeroDivisionError

    assert processes.marked(folder) == []


def test_a_session_gives_signals_back_as_they_were(folder: pathlib.Path) -> None:
    watched = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in watched]

    with session.storing(folder):
        assert [signal.getsignal(number) for number in watched] != before

    assert [signal.getsignal(number) for number in watched] == before


def test_state_of_the_same_code_is_kept(folder: pathlib.Path) -> None:
    session.begin(folder, "code")
    (folder / "done").mkdir()

    assert not session.begin(folder, "code")
    assert (folder / "done").exists()


def test_state_of_other_code_is_dropped(folder: pathlib.Path) -> None:
    session.begin(folder, "code")
    (folder / "s3" / "data").mkdir(parents=True)
    (folder / "airline.db").touch()

    assert session.begin(folder, "other code")
    assert sorted(path.name for path in folder.iterdir()) == ["code", "lock"]


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the code may catch it."""


def _die(*_: object) -> None:
    raise Killed


def test_what_was_being_dropped_when_the_run_was_killed_is_dropped_by_the_next(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.begin(folder, "code")
    (folder / "done").mkdir()
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", _die)
        with pytest.raises(Killed):
            session.begin(folder, "other code")

    assert session.begin(folder, "other code")
    assert not (folder / "done").exists()


def test_a_key_ring_whose_making_was_killed_is_made_by_the_next(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(files, "write", _die)
        with pytest.raises(Killed), session.storing(folder):
            pass

    with session.storing(folder) as laptop:
        assert laptop.keys.signed_by(b"message", [laptop.keys.sign(b"message")])


def test_state_is_not_dropped_under_a_run_that_uses_it(folder: pathlib.Path) -> None:
    session.begin(folder, "code")
    with session.storing(folder), pytest.raises(UserError, match="another run is using it"):
        session.begin(folder, "other code")

    assert (folder / "s3" / "data").exists()


def test_what_a_killed_run_left_is_ended_before_its_state_is_dropped(folder: pathlib.Path) -> None:
    session.begin(folder, "code")
    with job(folder) as killed:
        killed.kill()
        killed.wait()

        session.begin(folder, "other code")

        assert processes.marked(folder) == []


def test_what_killed_steps_left_in_their_scratch_folder_is_removed_by_the_next(
    folder: pathlib.Path,
) -> None:
    with session.storing(folder) as laptop:
        scratch = pathlib.Path(laptop.environment["TMPDIR"])
        assert scratch.is_dir()
        assert scratch.stat().st_mode & 0o077 == 0
    assert not scratch.exists()
    (scratch / "falaj-release-x").mkdir(parents=True)
    (scratch / "falaj-release-x" / "model.onnx").touch()

    with session.storing(folder):
        assert list(scratch.iterdir()) == []


def test_only_the_owner_can_read_keys_and_credentials(folder: pathlib.Path) -> None:
    with session.storing(folder):
        secrets = [*(folder / "keys").iterdir(), *(folder / "s3").glob("*.json")]

        assert len(secrets) > 3
        assert {path.stat().st_mode & 0o077 for path in secrets} == {0}
