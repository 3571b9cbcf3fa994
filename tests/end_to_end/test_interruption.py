"""The example, interrupted and killed: nothing stays, and the next run goes on."""

import contextlib
import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from pipelines.laptop import processes
from tests.end_to_end.runs import ROOT, command, holders

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
INTERRUPTED = "interrupted; everything is stopped, the next run goes on from here"
SOURCES, TRAINING = "Set up the sources", "Train with tensorflow"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
    folder = tmp_path_factory.mktemp("interrupted")
    yield folder
    processes.end(folder / "laptop")


@contextlib.contextmanager
def started(out: pathlib.Path) -> Iterator["subprocess.Popen[str]"]:
    """The example as from a terminal of its own."""
    process = subprocess.Popen(
        command("examples.flights", "--months", 8, "--out", out),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def said_until(process: "subprocess.Popen[str]", text: str) -> list[str]:
    """Read on until a line has a text; return the lines."""
    assert process.stdout
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip())
        if text in line:
            return lines
    raise AssertionError(f"it never said {text!r}:\n" + "\n".join(lines))


def rest(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return process.stdout.read()


def left(folder: pathlib.Path, *, seconds: float) -> list[str]:
    """Wait until nothing holds a folder; return what still does after so long."""
    deadline = time.monotonic() + seconds
    while holders(folder) and time.monotonic() < deadline:
        time.sleep(0.1)
    return holders(folder)


def test_is_interrupted_three_times_and_goes_on(out: pathlib.Path) -> None:
    with started(out) as first:
        said_until(first, "Ingest planes")
        began = time.monotonic()
        first.send_signal(signal.SIGTERM)

        assert rest(first).splitlines()[-1] == INTERRUPTED
        assert first.wait() == 130
        assert time.monotonic() - began < 10
        assert holders(out) == []

    with started(out) as second:
        before = said_until(second, "Curate planes")
        os.killpg(second.pid, signal.SIGINT)

        assert before[before.index(SOURCES) + 1] == "    unchanged, skipped"
        assert rest(second).splitlines()[-1] == INTERRUPTED
        assert second.wait() == 130
        assert holders(out) == []

    with started(out) as third:
        before = said_until(third, "Split by time")
        third.kill()
        third.wait()

        assert [line for line in before if "Validate planes" in line and "unchanged" in line]

    with started(out) as fourth:
        before = said_until(fourth, "Evaluate")
        fourth.send_signal(signal.SIGINT)

        assert [line for line in before if "Curate planes" in line and "unchanged" in line]
        assert not [line for line in before if line.startswith("stopped")]
        assert rest(fourth).splitlines()[-1] == INTERRUPTED
        assert fourth.wait() == 130
        assert holders(out) == []


def test_after_a_kill_no_server_stays(out: pathlib.Path) -> None:
    with started(out) as killed:
        said_until(killed, TRAINING)
        killed.kill()

        assert left(out, seconds=30) == []


def test_a_second_run_in_the_folder_is_refused_and_the_first_goes_on(out: pathlib.Path) -> None:
    with started(out) as first:
        said_until(first, TRAINING)
        with started(out) as second:
            said = rest(second)
            assert said.startswith("residency laptop: accept")
            assert said.endswith(
                f"stopped: {out / 'laptop'}: another run is using it; "
                "wait for it or name another folder [folder-in-use]\n"
            )
            assert second.wait() == 2

        said_until(first, "Validate")
        first.send_signal(signal.SIGINT)
        assert first.wait() == 130
