"""Listen to kfp.local, which offers no events: its log, its steps' output, its steps' ends.

Steps run in threads; what one says is told from what another says by its thread.
"""

import builtins
import contextlib
import logging
import pathlib
import re
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_SILENT = re.compile(
    "Could not resolve|Condition evaluation failed|Unknown ite|Failed to get artifact iterator"
)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_RULE = re.compile("-{10,}")


@dataclass(frozen=True, slots=True)
class StepRun:
    """How one step went."""

    name: str
    title: str  # as the dashboard shows it
    seconds: float
    cached: bool
    lines: tuple[str, ...]  # what the step printed
    outputs: Mapping[str, Any]
    cost: Mapping[str, float] = field(default_factory=dict)  # nothing, if it took an earlier's


Show = Callable[[StepRun], None]


class _Hearing(threading.local):
    """What this thread's step has said so far."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.executed = False
        self.showing = False
        self.lines: list[str] = []
        self.cost: Mapping[str, float] = {}
        self.code = 0


@dataclass
class Watch:
    """One run being listened to."""

    path: pathlib.Path
    titles: Mapping[str, str]
    show: Show
    starting: Callable[[str], None] = lambda title: None
    keep: Callable[[], None] = lambda: None  # is called once a step is among `steps`
    steps: list[StepRun] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    last_words: str = "without a word"
    killed: str = ""  # the step that a signal ended, and which signal

    def __post_init__(self) -> None:
        self._hearing = _Hearing()

    def write(self, text: str) -> int:
        """Take what kfp.local prints, as standard output."""
        if self._hearing.showing:
            return self._screen.write(text)
        self._log.write(text)
        self._log.flush()
        said = (line.strip() for line in text.splitlines())
        self._hearing.lines += [line for line in said if line and not _RULE.fullmatch(line)]
        return len(text)

    def flush(self) -> None:
        """Do nothing: every write is flushed."""

    def hear(self, record: logging.LogRecord) -> bool:
        """Take what kfp.local logs; nothing of it goes further."""
        message = _COLOUR.sub("", record.getMessage())
        self._log.write(f"{message}\n")
        self._hearing.executed |= message.startswith("Executing task")
        if _SILENT.search(message):
            self.silent.append(message)
        return False

    def paid(self, cost: Mapping[str, float]) -> None:
        """Take what this thread's step has cost."""
        self._hearing.cost = cost

    def ended(self, code: int) -> None:
        """Take the exit code of this thread's step; a shell between has added 128 to a signal."""
        self._hearing.code = code if code < 128 else 128 - code

    @contextlib.contextmanager
    def attached(self) -> Iterator[None]:
        """Listen for the time of the block; leave logging and print as they were."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._screen = sys.stdout
        with (
            self.path.open("w") as self._log,
            contextlib.redirect_stdout(self),
            warnings.catch_warnings(),
            _kept_as_they_were(),
            self._between(),
        ):
            warnings.simplefilter("ignore")  # resource requests mean nothing on a laptop
            root = logging.getLogger()
            root.setLevel(logging.INFO)
            root.addFilter(self.hear)
            try:
                yield
            finally:
                root.removeFilter(self.hear)

    @contextlib.contextmanager
    def _between(self) -> Iterator[None]:
        """Stand between kfp.local's orchestrator and its steps; there is no public hook."""
        from kfp.local import status
        from kfp.local.orchestrator import task_executor

        original = task_executor.execute_single_task

        def observed(**given: Any) -> Any:
            self._hearing.__init__()  # type: ignore[misc]  # a thread runs many steps
            self._aloud(self.starting, self._title(given["task_name"]))
            outputs, ended = original(**given)
            if ended == status.Status.SUCCESS:
                self._end(given["task_name"], outputs)
            elif self._hearing.lines:
                self.last_words = self._hearing.lines[-1]
            if self._hearing.code < 0:
                title = self.titles.get(given["task_name"], given["task_name"])
                self.killed = f"{title!r} was killed by signal {-self._hearing.code}"
            return outputs, ended

        task_executor.execute_single_task = observed
        try:
            yield
        finally:
            task_executor.execute_single_task = original

    def _end(self, name: str, outputs: Mapping[str, Any]) -> None:
        heard = self._hearing
        seconds = time.monotonic() - heard.began
        how = (seconds, not heard.executed, tuple(heard.lines), outputs, heard.cost)
        run = StepRun(name, self._title(name), *how)
        self.steps.append(run)
        self.keep()
        self._aloud(self.show, run)

    def _title(self, name: str) -> str:
        return self.titles.get(name, name)

    def _aloud(self, tell: Callable[[Any], None], what: Any) -> None:
        """Tell something; what is printed meanwhile is for the screen, not a step's words."""
        self._hearing.showing = True
        tell(what)
        self._hearing.showing = False


@contextlib.contextmanager
def _kept_as_they_were() -> Iterator[None]:
    """Restore print and the root logger, which kfp.local swaps in each thread."""
    root = logging.getLogger()
    before = (builtins.print, root.level, root.handlers[:])
    try:
        yield
    finally:
        builtins.print, root.level, root.handlers = before
