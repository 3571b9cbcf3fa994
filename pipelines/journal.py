"""A job of several stages, written down while it goes on."""

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from pipelines.plain import plain
from pipelines.records import JobRecord, Records, StageRecord, new_id, now

_TOLD_BY_RUNS = {"run", "outputs", "steps", "seconds"}


@dataclass
class Journal:
    """A job being written down, stage by stage."""

    records: Records
    job: JobRecord
    began: float

    @classmethod
    def begin(cls, records: Records, name: str, title: str) -> Self:
        """Open the file of a new job."""
        job = JobRecord(new_id(name), title, now())
        records.jobs.write(job)
        return cls(records, job, time.monotonic())

    def add(self, title: str, result: Mapping[str, Any], *, seconds: float, skipped: bool) -> None:
        """Write down a stage that has ended.

        Args:
            title: what people read.
            result: `run`, the id of the stage's run if it had one, and facts.
            seconds: how long it took, in whichever job did it.
            skipped: whether an earlier job did it.
        """
        runs = (str(result["run"]),) if result.get("run") else ()
        facts = {name: plain(v) for name, v in result.items() if name not in _TOLD_BY_RUNS}
        stage = StageRecord(title, runs, round(seconds, 3), skipped, facts)
        self.job = dataclasses.replace(
            self.job,
            seconds=round(time.monotonic() - self.began, 3),
            stages=(*self.job.stages, stage),
        )
        self.records.jobs.write(self.job)
