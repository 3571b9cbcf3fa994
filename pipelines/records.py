"""What runs leave on a laptop: one JSON file a pipeline run, one a job of several stages.

Below `<state>/runs`: `records/<run_id>.json` is written whole when a run ends, well or not;
`begun/<run_id>.json` is there until then, with the steps so far, so that a run that was killed
shows too; `jobs/<job_id>.json` is written after every stage, for the same reason.
"""

import contextlib
import dataclasses
import datetime
import json
import os
import pathlib
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, Self, TypeVar

from components.foundation.errors import FalajError, Refused, UserError, nearest
from pipelines.plain import plain, public, without_secrets

SUCCEEDED, FAILED, REFUSED, INTERRUPTED = "succeeded", "failed", "refused", "interrupted"
RUNNING = "running"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a run did not end well; `code` is one of components/foundation/errors.yaml."""

    message: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step: how long it took, what it cost, what it gave.

    Attributes:
        name: of the task, unique in its run.
        title: as the dashboard shows it.
        seconds: wall time.
        cached: whether an earlier run's outputs were taken.
        cost: rows, bytes, seconds and peak memory, as far as they were measured.
        outputs: JSON values; an artifact is its metadata and `path`.
    """

    name: str
    title: str
    seconds: float
    cached: bool
    cost: dict[str, float] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run of one pipeline; `RunRecord.from_json(r.to_json()) == r`.

    Attributes:
        run_id: its name everywhere: here, in lineage, in the audit log.
        job: id of the job that it was a part of; empty for a run by itself.
        title: as the dashboard shows the pipeline.
        pipeline: which pipeline, e.g. "deployment".
        project: whose, e.g. "flights".
        code: digest of the code that ran.
        parameters: what the run was started with, without passwords.
        started: RFC 3339 in UTC.
        seconds: wall time.
        state: succeeded, failed, refused or interrupted; running, until it ends.
        error: why, unless it succeeded.
        steps: those that ended, in that order.
    """

    run_id: str
    pipeline: str
    started: str
    job: str = ""
    title: str = ""
    project: str = ""
    code: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    state: str = SUCCEEDED
    error: Failure | None = None
    steps: tuple[StepRecord, ...] = ()

    @property
    def id(self) -> str:
        return self.run_id

    @property
    def outputs(self) -> dict[str, dict[str, Any]]:
        """Return step -> output -> value."""
        return {step.name: step.outputs for step in self.steps}

    def to_json(self) -> str:
        return _to_json(self)

    @classmethod
    def from_json(cls, text: str) -> Self:
        return _from_json(cls, text)


@dataclass(frozen=True, slots=True)
class StageRecord:
    """One stage of a job: its runs, and facts that no run knows, such as what clients saw."""

    title: str
    run_ids: tuple[str, ...] = ()
    seconds: float = 0.0
    skipped: bool = False
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobRecord:
    """Several stages, one after the other; `JobRecord.from_json(j.to_json()) == j`."""

    id: str
    title: str
    started: str
    seconds: float = 0.0
    stages: tuple[StageRecord, ...] = ()

    def to_json(self) -> str:
        return _to_json(self)

    @classmethod
    def from_json(cls, text: str) -> Self:
        return _from_json(cls, text)


class _Record(Protocol):
    @property
    def id(self) -> str: ...

    @property
    def started(self) -> str: ...

    def to_json(self) -> str: ...

    @classmethod
    def from_json(cls, text: str) -> Self: ...


_R = TypeVar("_R", bound=_Record)


@dataclass(frozen=True)
class Shelf(Generic[_R]):
    """Records of one kind in one folder, a file each."""

    folder: pathlib.Path
    kind: type[_R]
    noun: str

    def write(self, record: _R) -> None:
        """Write a record whole, in the place of the one with its id."""
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / f".{record.id}.{secrets.token_hex(4)}"
        partial.write_text(record.to_json(), encoding="utf-8")
        os.replace(partial, self._place(record.id))

    def read(self, id: str) -> _R:
        """Read a record by its whole id.

        Raises:
            UserError: there is none, or its file is not a record.
        """
        path = self._place(id)
        if id not in self.ids():
            raise self._unknown(id)
        try:
            return self.kind.from_json(path.read_text(encoding="utf-8"))
        except UserError as error:
            raise UserError(f"{path}: {error}", code=error.code) from error

    def remove(self, id: str) -> None:
        """Remove a record if it is there."""
        self._place(id).unlink(missing_ok=True)

    def ids(self) -> list[str]:
        return sorted(p.stem for p in self.folder.glob("*.json") if not p.name.startswith("."))

    def list(self) -> "list[_R]":
        """Return every record, the oldest first."""
        return sorted((self.read(id) for id in self.ids()), key=lambda r: (r.started, r.id))

    def latest(self) -> _R:
        """Return the newest record.

        Raises:
            UserError: nothing has run yet.
        """
        if found := self.list():
            return found[-1]
        raise UserError(
            f"{self.folder}: there is no {self.noun} yet; `make run` makes one",
            code="run-unknown",
        )

    def find(self, prefix: str) -> _R:
        """Return the record whose id begins so.

        Raises:
            UserError: none does, with the nearest; or several do, with all of them.
        """
        return self.read(_chosen(prefix, self.ids(), self.noun))

    def _place(self, id: str) -> pathlib.Path:
        return self.folder / f"{id}.json"

    def _unknown(self, id: str) -> UserError:
        return _unknown(id, self.ids(), self.noun)


@dataclass(frozen=True)
class Records:
    """All that runs left below `<state>/runs`."""

    folder: pathlib.Path

    @property
    def runs(self) -> Shelf[RunRecord]:
        return Shelf(self.folder / "records", RunRecord, "run")

    @property
    def begun(self) -> Shelf[RunRecord]:
        """Runs that have not ended: under way, or killed."""
        return Shelf(self.folder / "begun", RunRecord, "run")

    @property
    def jobs(self) -> Shelf[JobRecord]:
        return Shelf(self.folder / "jobs", JobRecord, "job")

    def find(self, prefix: str) -> RunRecord | JobRecord:
        """Return the job or the run whose id begins so; raises UserError as `Shelf.find`."""
        jobs, runs = self.jobs.ids(), self.runs.ids()
        id = _chosen(prefix, [*jobs, *runs], "job or run")
        return self.jobs.read(id) if id in jobs else self.runs.read(id)

    @contextlib.contextmanager
    def recording(self, begun: RunRecord, steps: Sequence["Ended"]) -> Iterator[Callable[[], None]]:
        """Write a run's record when the block ends, however it ends.

        Yields what keeps its steps so far, for the case that it is killed.
        """
        began = time.monotonic()

        def so_far(state: str, failure: Failure | None = None) -> RunRecord:
            return dataclasses.replace(
                begun,
                parameters=without_secrets(begun.parameters),
                seconds=round(time.monotonic() - began, 3),
                state=state,
                error=failure,
                steps=tuple(map(_step, steps)),
            )

        def keep() -> None:
            self.begun.write(so_far(RUNNING))

        keep()
        ending: tuple[str, Failure | None] = (SUCCEEDED, None)
        try:
            yield keep
        except BaseException as error:
            ending = _ending(error)
            raise
        finally:
            self.runs.write(so_far(*ending))
            self.begun.remove(begun.run_id)

    def settle(self) -> None:
        """Record as interrupted what was killed; to be called while nothing runs here."""
        for killed in self.begun.list():
            if killed.id not in self.runs.ids():
                why = Failure("killed before it could say how it ended")
                self.runs.write(dataclasses.replace(killed, state=INTERRUPTED, error=why))
            self.begun.remove(killed.id)


class Ended(Protocol):
    """A step that has ended, as `pipelines.laptop.watch` tells it."""

    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def seconds(self) -> float: ...

    @property
    def cached(self) -> bool: ...

    @property
    def outputs(self) -> Mapping[str, Any]: ...


def begin(pipeline: Any, *, project: str = "", **facts: Any) -> RunRecord:
    """Give a run of a compiled pipeline its id and what is known before it starts."""
    info = pipeline.pipeline_spec.pipeline_info
    return RunRecord(
        run_id=new_id(info.name),
        pipeline=info.name.removeprefix(f"{project}-") if project else info.name,
        started=now(),
        title=info.display_name or info.name,
        project=project,
        **facts,
    )


def new_id(name: str) -> str:
    """Name a run or a job by what it is and when; never twice the same."""
    return f"{name}-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"


def now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


def _step(step: Ended) -> StepRecord:
    cost = dict(getattr(step, "cost", None) or {})
    seconds, outputs = round(step.seconds, 3), plain(step.outputs)
    return StepRecord(step.name, step.title, seconds, step.cached, cost, outputs)


def _ending(error: BaseException) -> tuple[str, Failure]:
    """Say how a run ended by what ended it."""
    message = public(str(error))
    match error:
        case Refused():
            return REFUSED, Failure(message, error.code)
        case FalajError():
            return FAILED, Failure(message, error.code)
        case KeyboardInterrupt() | SystemExit() | GeneratorExit():
            return INTERRUPTED, Failure("interrupted")
    return FAILED, Failure(f"{type(error).__name__}: {message}")


def _chosen(prefix: str, ids: Sequence[str], noun: str) -> str:
    if prefix in ids:
        return prefix
    found = [id for id in ids if id.startswith(prefix)]
    if len(found) > 1:
        raise UserError(
            f"{noun} {prefix!r}: {len(found)} begin so: {', '.join(found[:5])}"
            f"{', ...' if len(found) > 5 else ''}; give more of the id",
            code="run-ambiguous",
        )
    if not found:
        raise _unknown(prefix, ids, noun)
    return found[0]


def _unknown(id: str, ids: Sequence[str], noun: str) -> UserError:
    hint = nearest(id, list(ids)) if ids else "nothing has run here yet; `make run` does"
    return UserError(f"{noun} {id!r}: there is none; {hint}", code="run-unknown")


def _to_json(record: RunRecord | JobRecord) -> str:
    value = plain(dataclasses.asdict(record))
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def _from_json(kind: "type[_R]", text: str) -> _R:
    import pydantic

    try:
        return pydantic.TypeAdapter(kind).validate_json(text)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise UserError(
            f"record: {where}: {first['msg']}; written by other code, or cut? Remove it",
            code="record-invalid",
        ) from error
