"""What people, or machines, read while something runs.

People: one line a step on standard output, errors on standard error; colour only on a terminal
(NO_COLOR and FORCE_COLOR are honoured), and in a pipe no control character. Machines
(`--log json`): one JSON object a line on standard output, and nothing else there.
"""

import argparse
import contextlib
import json
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from components.foundation.errors import FalajError
from components.foundation.verdict import now
from pipelines.laptop.watch import StepRun
from pipelines.plain import plain
from pipelines.records import RunRecord

if TYPE_CHECKING:
    from rich.status import Status

_FORMATS = ("text", "json")
_NAME, _TOOK = 32, 10  # columns
_NARROWEST = 40  # of what came of a step
_PIPE_WIDTH = 160
_COLOURS = {"accept": "green", "promote": "green", "stable": "green", "refuse": "red"}
_COLOURS |= {"roll back": "red", "drift": "yellow", "inconclusive": "yellow"}


@dataclass
class Screen:
    """Where a command says how far it is; `machine` for JSON lines, `quiet` for the end alone."""

    machine: bool = False
    quiet: bool = False

    def __post_init__(self) -> None:
        self._console = _console()  # one, so that lines and the sign of work do not mix
        self._status: Status | None = None

    def say(self, text: object, *, style: str = "") -> None:
        """Print a line for people, unless they want quiet."""
        if not (self.quiet or self.machine):
            self._console.print(Text(str(text), style=style))

    def end(self, text: object) -> None:
        """Print a line that people want in any case: how it ended."""
        if not self.machine:
            self._console.print(Text(str(text)))

    def event(self, name: str, **facts: Any) -> None:
        """Print an event for machines."""
        if self.machine:
            line = json.dumps({"time": now(), "event": name, **plain(facts)})
            self._console.file.write(f"{line}\n")
            self._console.file.flush()

    def run_started(self, record: RunRecord) -> None:
        self.event("run_started", run=record.run_id, pipeline=record.pipeline, job=record.job)

    def step_started(self, title: str) -> None:
        self.event("step_started", title=title)
        if self._status is not None:
            self._status.update(title)

    def step_ended(self, step: StepRun) -> None:
        """Show one line for a step: its name, how long it took, and what came of it."""
        facts = {"step": step.name, "title": step.title, "seconds": round(step.seconds, 3)}
        judged = {"verdict": step.outputs["verdict"]} if step.outputs.get("verdict") else {}
        self.event("step_ended", **facts, cached=step.cached, cost=dict(step.cost), **judged)
        if not (self.quiet or self.machine):
            self._console.print(_line(step))

    def run_ended(self, record: RunRecord) -> None:
        code = record.error.code if record.error else ""
        facts = {"run": record.run_id, "pipeline": record.pipeline, "state": record.state}
        steps, cached = len(record.steps), sum(step.cached for step in record.steps)
        self.event("run_ended", **facts, seconds=record.seconds, code=code, steps=steps)
        if record.job:
            return  # a job says how its stages end
        self.end(
            f"{record.pipeline}: {record.state}, {steps} steps ({cached} unchanged) in "
            f"{record.seconds:.0f} s; run {record.run_id}"
        )

    def failed(self, error: FalajError) -> None:
        """Tell machines why; people read it on standard error, where it is raised to."""
        self.event("error", code=error.code, exit_code=error.exit_code, message=str(error))

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Show on a terminal, and nowhere else, that something runs."""
        if self.machine or self.quiet or not sys.stdout.isatty():
            yield
            return
        with self._console.status("starting") as self._status:
            try:
                yield
            finally:
                self._status = None


def options(parser: argparse.ArgumentParser) -> None:
    """Add how much is said, and to whom."""
    said = "text for people, json for machines: one object a line"
    parser.add_argument("--log", choices=_FORMATS, default="text", help=said)
    parser.add_argument("--quiet", action="store_true", help="say how it ended, and errors, alone")


def chosen(arguments: argparse.Namespace) -> Screen:
    """Return the screen that a command line asked for."""
    return Screen(machine=arguments.log == "json", quiet=arguments.quiet)


def say(text: object) -> None:
    """Print a line as it is."""
    _console().print(Text(str(text)))


def show(step: StepRun) -> None:
    """Print one line for a step."""
    _console().print(_line(step))


def width() -> int:
    """Return how wide a line may be: the terminal's, or enough for a file."""
    if sys.__stdout__ is not None and sys.__stdout__.isatty():  # also while kfp.local has ours
        return shutil.get_terminal_size().columns
    return _PIPE_WIDTH


def shortened(text: str, room: int) -> str:
    """Cut a text between words, if it must be cut."""
    return textwrap.shorten(text, room, placeholder=" ...") if len(text) > room else text


def _console() -> Console:
    """Return a console for what standard output is now; it may have been redirected."""
    return Console(file=sys.stdout, highlight=False, soft_wrap=True, markup=False)


def _line(step: StepRun) -> Text:
    took = "unchanged" if step.cached else f"{step.seconds:.1f} s"
    head = f"    {step.title:<{_NAME}} {took:>{_TOOK}}  "
    gist = shortened(_gist(step.outputs), max(width() - len(head), _NARROWEST))
    decision = (step.outputs.get("verdict") or {}).get("decision", "")
    line = Text(head, style="dim" if step.cached else "").append(gist)
    line.highlight_words([decision] if decision else [], _COLOURS.get(decision, ""))
    line.rstrip()
    return line


def _gist(outputs: Mapping[str, Any]) -> str:
    """Say in a few words what a step gave: a verdict, or a table with its rows."""
    if verdict := outputs.get("verdict"):
        return f"{verdict['decision']}: {verdict['reason']}"
    words = []
    for name, value in sorted(outputs.items()):
        match value:
            case int() | float() if value:
                words.append(f"{name.replace('_', ' ')} {_number(value)}")
            case dict() if name in {"rows", "quarantined", "summary"} and value:
                words.append(f"{name} " + ", ".join(f"{k} {_number(v)}" for k, v in value.items()))
            case str() if "s3://" in value:
                words.append(value)
    return "  ".join(words)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.4f}"
