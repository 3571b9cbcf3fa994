"""What KFP's API tells of, as values of ours: fields that we read, parsed once."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from pipelines.kubeflow.failures import unreadable

ENDED = {"SUCCEEDED", "SKIPPED", "FAILED", "CANCELED"}
WELL = {"SUCCEEDED", "SKIPPED"}


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A name that versions are uploaded under."""

    id: str
    name: str

    @classmethod
    def of(cls, given: Any) -> Self:
        return cls(_told(given.pipeline_id, "pipeline_id"), given.name or given.display_name)


@dataclass(frozen=True, slots=True)
class Version:
    """One compiled pipeline that was uploaded; nothing changes it."""

    id: str
    pipeline: str
    name: str
    tags: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, given: Any) -> Self:
        return cls(
            _told(given.pipeline_version_id, "pipeline_version_id"),
            _told(given.pipeline_id, "pipeline_id"),
            given.name or given.display_name or "",
            dict(given.tags or {}),
        )


@dataclass(frozen=True, slots=True)
class Task:
    """A step of a run, or what KFP itself starts around one."""

    id: str
    name: str
    state: str
    message: str = ""
    parent: str = ""
    seconds: float = 0.0

    @classmethod
    def of(cls, given: Any) -> Self:
        told = given.error.message if given.error else ""
        times = (given.start_time or given.create_time, given.end_time)
        return cls(
            id=given.task_id or "",
            name=given.display_name or "",
            state=given.state or "",
            message=" ".join((told or "").split()),
            parent=given.parent_task_id or "",
            seconds=_between(*times),
        )


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a version.

    Attributes:
        version: id of the version; empty where KFP does not tell.
        parameters: what it was given, without defaults.
    """

    id: str
    name: str
    state: str
    message: str = ""
    tasks: tuple[Task, ...] = ()
    version: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, given: Any) -> Self:
        told = given.error.message if given.error else ""
        details = given.run_details.task_details if given.run_details else None
        tasks = tuple(Task.of(one) for one in details or ())
        refers, config = given.pipeline_version_reference, given.runtime_config
        return cls(
            id=_told(given.run_id, "run_id"),
            name=given.display_name or "",
            state=given.state or "",
            message=told or "",
            tasks=tasks,
            version=(refers.pipeline_version_id if refers else "") or "",
            parameters=dict((config.parameters if config else None) or {}),
        )

    @property
    def ended(self) -> bool:
        return self.state in ENDED


@dataclass(frozen=True, slots=True)
class Schedule:
    """A recurring run: when, what with which parameters, and how many at once.

    Attributes:
        version: id of the version it is pinned to; empty means the latest at each start.
        cron: six fields, seconds first, as KFP reads them; empty where `every` says when.
        every: seconds between starts; 0 where `cron` says when.
    """

    name: str
    pipeline: str
    version: str = ""
    cron: str = ""
    every: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)
    concurrency: int = 1
    root: str = ""
    service_account: str = ""
    experiment: str = ""

    @classmethod
    def of(cls, given: Any) -> Self:
        refers, trigger, config = (
            given.pipeline_version_reference,
            given.trigger,
            given.runtime_config,
        )
        cron = trigger.cron_schedule if trigger else None
        periodic = trigger.periodic_schedule if trigger else None
        return cls(
            name=given.display_name or "",
            pipeline=(refers.pipeline_id if refers else "") or "",
            version=(refers.pipeline_version_id if refers else "") or "",
            cron=(cron.cron if cron else "") or "",
            every=int((periodic.interval_second if periodic else 0) or 0),
            parameters=dict((config.parameters if config else None) or {}),
            concurrency=int(given.max_concurrency or 1),
            root=(config.pipeline_root if config else "") or "",
            service_account=given.service_account or "",
            experiment=given.experiment_id or "",
        )


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A schedule that KFP holds, and whether it starts runs now."""

    id: str
    schedule: Schedule
    enabled: bool

    @classmethod
    def of(cls, given: Any) -> Self:
        id = _told(given.recurring_run_id, "recurring_run_id")
        return cls(id, Schedule.of(given), given.status != "DISABLED")


def _told(id: str | None, field: str) -> str:
    """Return an id; an object without one is not KFP's, whatever answered."""
    if not id:
        raise unreadable("an object", f"without {field}")
    return id


def _between(start: datetime.datetime | None, end: datetime.datetime | None) -> float:
    """Return seconds between two moments; KFP writes the year 1970 for one that never was."""
    if start is None or end is None or end < start:
        return 0.0
    return (end - start).total_seconds()
