"""Run a pipeline with kfp.local, and make its silent failures loud.

kfp.local 2.17 can end in SUCCESS although a condition was not resolved and the steps under
it never ran, or although Kubernetes settings were ignored. Here each of these is an error.
"""

import contextlib
import hashlib
import json
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from google.protobuf import json_format

from components.face import images
from components.foundation.errors import (
    FalajError,
    InfrastructureError,
    Refused,
    UserError,
    nearest,
)
from components.foundation.site import Site
from components.governance.residency import checking, reading
from components.governance.residency.reading import Given, Laws
from pipelines import records
from pipelines.laptop import warm
from pipelines.laptop.parallel import at_once
from pipelines.laptop.spawning import FUNCTION, Nursery
from pipelines.laptop.watch import Show, StepRun, Watch
from pipelines.records import Records, RunRecord

_ERRORS = {kind.exit_code: kind for kind in (UserError, Refused, InfrastructureError)}


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run: its steps in order, with what they gave."""

    pipeline: str
    steps: tuple[StepRun, ...]
    id: str = ""

    @property
    def outputs(self) -> dict[str, Mapping[str, Any]]:
        """Return step -> output -> value."""
        return {step.name: step.outputs for step in self.steps}

    @property
    def seconds(self) -> float:
        return sum(step.seconds for step in self.steps)


class Audience(Protocol):
    """Who is told how far runs are."""

    def run_started(self, record: RunRecord) -> None: ...

    def step_started(self, title: str) -> None: ...

    def step_ended(self, step: StepRun) -> None: ...

    def run_ended(self, record: RunRecord) -> None: ...


@dataclass
class LocalRunner:
    """Runs pipelines below a folder; cached steps are reused while code and inputs are equal."""

    folder: pathlib.Path
    environment: Mapping[str, str]
    show: Show = lambda step: None
    workers: int = 3  # one more than cores: steps also wait, for sources and for the store
    code: str = field(default_factory=lambda: code_digest())
    last: Run | None = None  # the newest run, ended well or not
    project: str = ""  # whose pipelines these are, for the records
    job: str = ""  # the job that runs are a part of, for the records
    audience: Audience | None = None
    site: Site | None = None  # whose law pipelines are held to before they start
    expects: Sequence[str] = ()  # image families of runs to come, in order: warm by then

    def warm_up(self) -> None:
        """Start what the first run will want, while there is other work to do."""
        self._nursery.warm_up()

    def run(self, pipeline: Any, arguments: Mapping[str, Any]) -> Run:
        """Run a compiled pipeline function to its end.

        Raises:
            UserError: an unknown parameter, or a step said its input is wrong.
            Refused: a gate said no, or the pipeline sends bytes where the law lets none go.
            InfrastructureError: a step failed otherwise, or kfp.local left something out.
        """
        _check_parameters(pipeline, arguments)
        _check_settings(pipeline)
        _check_residency(pipeline, self.site)
        name = pipeline.pipeline_spec.pipeline_info.name
        begun = self._begun(pipeline, arguments)
        failure = self.folder / "failure.json"
        failure.unlink(missing_ok=True)
        tasks = pipeline.pipeline_spec.root.dag.tasks
        titles = {task: spec.task_info.name for task, spec in tasks.items()}
        watch = self._watch(name, titles)
        with self._told(begun), Records(self.folder).recording(begun, watch.steps) as watch.keep:
            with (
                self._initialised(failure, begun.run_id),
                watch.attached(),
                self._nursery.attached(_families(pipeline), watch.paid, watch.ended),
                at_once(self.workers),
            ):
                try:
                    pipeline(**arguments)
                except RuntimeError as error:
                    raise _failure(name, failure, watch) from error
                finally:
                    self.last = Run(name, tuple(watch.steps), begun.run_id)
            self._check_complete(pipeline, watch)
        return self.last

    def _watch(self, name: str, titles: Mapping[str, str]) -> Watch:
        path = self.folder / f"{name}.log"
        if self.audience is None:
            return Watch(path, titles, self.show)
        return Watch(path, titles, self.audience.step_ended, self.audience.step_started)

    @contextlib.contextmanager
    def _told(self, begun: RunRecord) -> Iterator[None]:
        """Tell that a run starts, and how it ended, however it ends."""
        if self.audience is None:
            yield
            return
        self.audience.run_started(begun)
        try:
            yield
        finally:
            self.audience.run_ended(Records(self.folder).runs.read(begun.run_id))

    @cached_property
    def _nursery(self) -> Nursery:
        return Nursery(self.folder, self.expects)

    def _begun(self, pipeline: Any, arguments: Mapping[str, Any]) -> RunRecord:
        facts = {"job": self.job, "code": self.code, "parameters": dict(arguments)}
        return records.begin(pipeline, project=self.project, **facts)

    @contextlib.contextmanager
    def _initialised(self, failure: pathlib.Path, run_id: str) -> Iterator[None]:
        from kfp import local

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

    def _check_complete(self, pipeline: Any, watch: Watch) -> None:
        if watch.silent:
            raise InfrastructureError(
                f"kfp.local left something out and went on: {watch.silent[0]}; "
                "give the condition an Else, or use an unnamed output",
                code="local-runner-left-out",
            )
        wanted = set(pipeline.pipeline_spec.root.dag.tasks)
        missing = wanted - {step.name for step in watch.steps}
        if missing:
            raise InfrastructureError(
                f"kfp.local ended in success without running {', '.join(sorted(missing))}",
                code="local-runner-left-out",
            )


def _families(pipeline: Any) -> dict[str, str]:
    """Return each step's function -> the image family that has what it imports."""
    named = {image: family for family, image in images().items() if family in warm.FAMILIES}
    executors = pipeline.pipeline_spec.deployment_spec["executors"].values()
    steps = [(list(one["container"]["args"]), one["container"]["image"]) for one in executors]
    return {
        words[words.index(FUNCTION) + 1]: named.get(image, warm.FAMILY)
        for words, image in steps
        if FUNCTION in words
    }


def _check_parameters(pipeline: Any, arguments: Mapping[str, Any]) -> None:
    known = list(pipeline.pipeline_spec.root.input_definitions.parameters)
    for name in arguments:
        if name not in known:
            spec = pipeline.pipeline_spec.pipeline_info.name
            raise UserError(
                f"pipeline {spec} has no parameter {name!r}; {nearest(name, known)}",
                code="parameter-unknown",
            )


def _check_settings(pipeline: Any) -> None:
    if pipeline.platform_spec.platforms:
        raise InfrastructureError(
            f"pipeline {pipeline.pipeline_spec.pipeline_info.name} has Kubernetes settings, "
            "which kfp.local would ignore; build it for the laptop",
            code="local-runner-left-out",
        )


def _check_residency(pipeline: Any, site: Site | None) -> None:
    if site is not None:
        specification = json_format.MessageToDict(pipeline.pipeline_spec)
        checking.hold([Given("", reading.version(specification))], Laws.at(site))


def _failure(pipeline: str, failure: pathlib.Path, watch: Watch) -> FalajError:
    """Say what the failed step said; of a crash, its last words and where all of them are."""
    if not failure.exists() and watch.killed:
        return InfrastructureError(
            f"{pipeline}: step {watch.killed}; signal 9 is often the system's, for want of memory; "
            "make room, then run again: what has ended is not done again",
            code="step-killed",
        )
    if not failure.exists():
        return InfrastructureError(
            f"{pipeline}: a step crashed: {watch.last_words}; all it said: {watch.path}",
            code="step-crashed",
        )
    said = json.loads(failure.read_text())
    kind = _ERRORS.get(said["exit_code"], FalajError)
    return kind(f"{said['step']}: {said['message']}", code=said["code"])


def code_digest(project: pathlib.Path | None = None) -> str:
    """Digest what a run is made of: our packages and their lock, and a project elsewhere."""
    root = pathlib.Path(__file__).parents[2]
    digest = hashlib.sha256()
    for package in ("components", "examples", "inference", "pipelines", "requirements.lock"):
        _add(digest, root / package, root)
    if project and not project.resolve().is_relative_to(root / "examples"):
        _add(digest, project.resolve(), project.resolve().parent)
    return digest.hexdigest()[:16]


def _add(digest: "hashlib._Hash", whole: pathlib.Path, root: pathlib.Path) -> None:
    for path in sorted([whole, *whole.rglob("*")]):
        if path.suffix in {".py", ".yaml", ".sql", ".lock"} and path.is_file():
            digest.update(path.relative_to(root).as_posix().encode())
            digest.update(path.read_bytes())
