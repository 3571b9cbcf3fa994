"""Run a pipeline with kfp.local, and make its silent failures loud.

kfp.local 2.17 can end in SUCCESS although a condition was not resolved and the steps under
it never ran, or although Kubernetes settings were ignored. Here each of these is an error.
"""

import contextlib
import hashlib
import json
import logging
import os
import pathlib
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from components.foundation.errors import (
    FalajError,
    InfrastructureError,
    Refused,
    UserError,
    nearest,
)

_SILENT = re.compile(
    "Could not resolve|Condition evaluation failed|Unknown ite|Failed to get artifact iterator"
)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_RULE = re.compile("-{10,}")
_ERRORS = {kind.exit_code: kind for kind in (UserError, Refused, InfrastructureError)}


@dataclass(frozen=True, slots=True)
class StepRun:
    """How one step went."""

    name: str
    title: str  # as the dashboard shows it
    seconds: float
    cached: bool
    lines: tuple[str, ...]  # what the step printed
    outputs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run: its steps in order, with what they gave."""

    pipeline: str
    steps: tuple[StepRun, ...]

    @property
    def outputs(self) -> dict[str, Mapping[str, Any]]:
        """Return step -> output -> value."""
        return {step.name: step.outputs for step in self.steps}

    @property
    def seconds(self) -> float:
        return sum(step.seconds for step in self.steps)


Show = Callable[[StepRun], None]


@dataclass
class LocalRunner:
    """Runs pipelines below a folder; cached steps are reused while code and inputs are equal."""

    folder: pathlib.Path
    environment: Mapping[str, str]
    show: Show = lambda step: None
    code: str = field(default_factory=lambda: code_digest())
    last: Run | None = None  # the newest run, ended well or not

    def run(self, pipeline: Any, arguments: Mapping[str, Any]) -> Run:
        """Run a compiled pipeline function to its end.

        Raises:
            UserError: an unknown parameter, or a step said its input is wrong.
            Refused: a gate said no.
            InfrastructureError: a step failed otherwise, or kfp.local left something out.
        """
        _check_parameters(pipeline, arguments)
        _check_settings(pipeline)
        name = pipeline.pipeline_spec.pipeline_info.name
        failure = self.folder / "failure.json"
        failure.unlink(missing_ok=True)
        tasks = pipeline.pipeline_spec.root.dag.tasks
        titles = {task: spec.task_info.name for task, spec in tasks.items()}
        watch = _Watch(self.folder / f"{name}.log", titles, self.show)
        with self._initialised(failure, name), watch.attached():
            try:
                pipeline(**arguments)
            except RuntimeError as error:
                raise _failure(name, failure, watch) from error
            finally:
                self.last = Run(name, tuple(watch.steps))
        self._check_complete(pipeline, watch)
        return self.last

    @contextlib.contextmanager
    def _initialised(self, failure: pathlib.Path, name: str) -> Iterator[None]:
        from kfp import local

        run_id = f"{name}-{time.strftime('%Y%m%dT%H%M%S')}"
        extra = {"FALAJ_RUN_ID": run_id, "FALAJ_TERMINATION_LOG": str(failure)}
        local.init(
            local.SubprocessRunner(use_venv=False),
            pipeline_root=str(self.folder / "artifacts"),
            enable_caching=True,
            cache_root=str(self.folder / "cache" / self.code),
        )
        before = dict(os.environ)
        os.environ.update({**self.environment, **extra})
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    def _check_complete(self, pipeline: Any, watch: "_Watch") -> None:
        if watch.silent:
            raise InfrastructureError(
                f"kfp.local left something out and went on: {watch.silent[0]}; "
                "give the condition an Else, or use an unnamed output"
            )
        wanted = set(pipeline.pipeline_spec.root.dag.tasks)
        missing = wanted - {step.name for step in watch.steps}
        if missing:
            raise InfrastructureError(
                f"kfp.local ended in success without running {', '.join(sorted(missing))}"
            )


class _Watch(logging.Filter):
    """Listens to kfp.local's log, since it offers no events."""

    def __init__(self, log: pathlib.Path, titles: Mapping[str, str], show: Show) -> None:
        super().__init__()
        self.path, self._titles, self._show = log, titles, show
        self._started, self._executed = time.monotonic(), False
        self._lines: list[str] = []
        self.steps: list[StepRun] = []
        self.silent: list[str] = []

    def filter(self, record: logging.LogRecord) -> bool:
        message = _COLOUR.sub("", record.getMessage())
        self._log.write(f"{message}\n")
        self._executed |= message.startswith("Executing task")
        if _SILENT.search(message):
            self.silent.append(message)
        return False

    def write(self, text: str) -> int:
        self._log.write(text)
        self._log.flush()
        said = (line.strip() for line in text.splitlines())
        self._lines += [line for line in said if line and not _RULE.fullmatch(line)]
        return len(text)

    def flush(self) -> None:
        """Do nothing: every write is flushed."""

    @contextlib.contextmanager
    def attached(self) -> Iterator[None]:
        """Take kfp.local's log and its steps' output for the time of the block."""
        root = logging.getLogger()
        level = root.level
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with (
            self.path.open("w") as self._log,
            contextlib.redirect_stdout(self),
            warnings.catch_warnings(),
            _observed(self._begin, self._end),
        ):
            warnings.simplefilter("ignore")  # resource requests mean nothing on a laptop
            root.addFilter(self)
            root.setLevel(logging.INFO)
            try:
                yield
            finally:
                root.removeFilter(self)
                root.setLevel(level)

    @property
    def last_words(self) -> str:
        return self._lines[-1] if self._lines else "without a word"

    def _begin(self) -> None:
        self._started, self._executed, self._lines = time.monotonic(), False, []

    def _end(self, name: str, outputs: Mapping[str, Any]) -> None:
        seconds = time.monotonic() - self._started
        title = self._titles.get(name, name)
        lines = tuple(self._lines)
        run = StepRun(name, title, seconds, not self._executed, lines, outputs)
        self.steps.append(run)
        with contextlib.redirect_stdout(sys.__stdout__):
            self._show(run)


@contextlib.contextmanager
def _observed(
    begin: Callable[[], None], end: Callable[[str, Mapping[str, Any]], None]
) -> Iterator[None]:
    """Stand between kfp.local's orchestrator and its steps; there is no public hook."""
    from kfp.local import status
    from kfp.local.orchestrator import task_executor

    original = task_executor.execute_single_task

    def observed(task_name: str, **rest: Any) -> Any:
        begin()
        outputs, ended = original(task_name=task_name, **rest)
        if ended == status.Status.SUCCESS:
            end(task_name, outputs)
        return outputs, ended

    task_executor.execute_single_task = observed
    try:
        yield
    finally:
        task_executor.execute_single_task = original


def _check_parameters(pipeline: Any, arguments: Mapping[str, Any]) -> None:
    known = list(pipeline.pipeline_spec.root.input_definitions.parameters)
    for name in arguments:
        if name not in known:
            spec = pipeline.pipeline_spec.pipeline_info.name
            raise UserError(f"pipeline {spec} has no parameter {name!r}; {nearest(name, known)}")


def _check_settings(pipeline: Any) -> None:
    if pipeline.platform_spec.platforms:
        raise InfrastructureError(
            f"pipeline {pipeline.pipeline_spec.pipeline_info.name} has Kubernetes settings, "
            "which kfp.local would ignore; build it for the laptop"
        )


def _failure(pipeline: str, failure: pathlib.Path, watch: "_Watch") -> FalajError:
    """Say what the failed step said; of a crash, its last words and where all of them are."""
    if not failure.exists():
        return InfrastructureError(
            f"{pipeline}: a step crashed: {watch.last_words}; all it said: {watch.path}"
        )
    said = json.loads(failure.read_text())
    return _ERRORS.get(said["exit_code"], FalajError)(f"{said['step']}: {said['message']}")


def code_digest() -> str:
    """Digest what steps run: our packages and the lock they were installed from."""
    root = pathlib.Path(__file__).parents[2]
    digest = hashlib.sha256()
    for package in ("components", "examples", "requirements.lock"):
        for path in sorted([root / package, *(root / package).rglob("*")]):
            if path.suffix in {".py", ".yaml", ".sql", ".lock"} and path.is_file():
                digest.update(path.relative_to(root).as_posix().encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
