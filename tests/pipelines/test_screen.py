"""What a run says: lines for people, objects for machines, and no control character in a pipe."""

import json
import os
import pathlib
import pty
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from pipelines.commands import screen
from pipelines.commands.screen import Screen
from pipelines.laptop.watch import StepRun
from pipelines.records import Failure, RunRecord, StepRecord

REASON = "every word of this long sentence is whole " * 8
JUDGED = {"verdict": {"decision": "accept", "reason": REASON.strip()}, "decision": "accept"}
STEP = StepRun("validate", "Validate flights", 1.25, False, (), JUDGED, {"peak_bytes": 7})
RECORD = RunRecord(
    "r-1", "training", "2026-01-01T00:00:00Z", steps=(StepRecord("v", "V", 1, True),)
)
ENDED = "training: succeeded, 1 steps (1 unchanged) in 0 s; run r-1"
PROGRAM = """
import sys, time
sys.path[:0] = [{root!r}, {tests!r}]
from test_screen import RECORD, STEP
from pipelines.commands.screen import Screen
told = Screen(machine={machine}, quiet={quiet})
with told.working():
    told.run_started(RECORD)
    told.step_started("Validate flights")
    time.sleep(0.3)
    told.step_ended(STEP)
told.run_ended(RECORD)
"""


def program(*, machine: bool = False, quiet: bool = False) -> list[str]:
    here = pathlib.Path(__file__)
    places = {"root": str(here.parents[2]), "tests": str(here.parent)}
    return [sys.executable, "-c", PROGRAM.format(**places, machine=machine, quiet=quiet)]


def environment(**more: str) -> dict[str, str]:
    unset = {"NO_COLOR", "FORCE_COLOR", "COLUMNS"}
    return {**{k: v for k, v in os.environ.items() if k not in unset}, "TERM": "xterm", **more}


def in_a_pipe(command: list[str], **more: str) -> str:
    done = subprocess.run(command, capture_output=True, env=environment(**more), check=True)
    assert done.stderr == b""
    return done.stdout.decode()


def on_a_terminal(command: list[str], **more: str) -> str:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command, stdout=theirs, stderr=theirs, stdin=theirs, env=environment(**more)
    ):
        os.close(theirs)
        said = b""
        while piece := _piece(ours):
            said += piece
    os.close(ours)
    return said.decode()


def _piece(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other end is closed
        return b""


def test_a_pipe_gets_lines_without_any_control_character() -> None:
    said = in_a_pipe(program())

    assert [c for c in said if ord(c) < 32 and c != "\n"] == []
    first, last = said.splitlines()
    assert first.split()[:4] == ["Validate", "flights", "1.2", "s"]
    assert last == ENDED


def test_a_terminal_gets_colour_and_a_sign_of_work() -> None:
    said = on_a_terminal(program())

    assert "\x1b[32m" in said, "accept is green"
    assert "\x1b[2K" in said, "the sign of work is wiped away"


def test_no_color_is_honoured_on_a_terminal() -> None:
    assert "\x1b[3" not in on_a_terminal(program(), NO_COLOR="1")


def test_force_color_colours_a_pipe_without_a_sign_of_work() -> None:
    said = in_a_pipe(program(), FORCE_COLOR="1")

    assert "\x1b[32m" in said
    assert "\x1b[2K" not in said


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "pipe"])
def test_quiet_says_only_how_it_ended(terminal: bool) -> None:
    said = (on_a_terminal if terminal else in_a_pipe)(program(quiet=True))

    assert said.strip() == ENDED


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "pipe"])
def test_machines_get_one_object_a_line_and_nothing_else(terminal: bool) -> None:
    said = (on_a_terminal if terminal else in_a_pipe)(program(machine=True))

    events = [json.loads(line) for line in said.splitlines()]
    names = ["run_started", "step_started", "step_ended", "run_ended"]
    assert [event["event"] for event in events] == names
    assert all(event["time"] for event in events)
    ended = events[2]
    assert (ended["step"], ended["seconds"], ended["cost"]) == ("validate", 1.25, {"peak_bytes": 7})
    assert ended["verdict"]["decision"] == "accept"
    assert (events[3]["run"], events[3]["state"]) == ("r-1", "succeeded")


def test_an_error_is_an_event_with_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    record = RunRecord("r", "p", "t", state="refused", error=Failure("no", "gate-refused"))

    Screen(machine=True).run_ended(record)

    assert json.loads(capsys.readouterr().out)["code"] == "gate-refused"


@pytest.mark.parametrize("columns", [60, 100, 240])
def test_a_long_reason_is_cut_between_words_to_the_width(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(screen, "width", lambda: columns)

    screen.show(STEP)

    line = capsys.readouterr().out.rstrip("\n")
    room = max(columns, 48 + 40)
    assert len(line) <= room
    assert set(line.split("accept: ")[1].removesuffix(" ...").split()) <= set(REASON.split())


def test_a_short_reason_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    given: Mapping[str, Any] = {"verdict": {"decision": "refuse", "reason": "too few rows"}}

    screen.show(StepRun("v", "V", 1.0, False, (), given))

    assert capsys.readouterr().out.endswith("refuse: too few rows\n")
