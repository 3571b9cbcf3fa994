"""Keep one schedule of a name, as it is wanted."""

import enum
import time
from collections.abc import Sequence
from dataclasses import dataclass

from components.foundation.errors import UserError, nearest
from pipelines.kubeflow import settling
from pipelines.kubeflow.client import Client
from pipelines.kubeflow.failures import Unsettled
from pipelines.kubeflow.values import Schedule, Scheduled, Version


class Made(enum.StrEnum):
    """What had to be done for a schedule."""

    NEW = "made"
    SAME = "was there already"
    CHANGED = "made anew"
    CHANGED_PAUSED = "made anew, and is disabled as the one before"
    PAUSED = "was there already, and is disabled"


@dataclass(frozen=True, slots=True)
class Kept:
    """The one schedule of its name."""

    scheduled: Scheduled
    made: Made


def keep(client: Client, wanted: Schedule) -> Kept:
    """Leave one schedule of that name, as wanted; one that is disabled stays so.

    KFP has no way to change one: the new is made before the old are deleted, so none is missing
    at any moment, and who is killed between the two is put right by the next call.
    """
    found = client.schedules(wanted.name)
    same = [one for one in found if one.schedule == wanted]
    paused = bool(found) and not any(one.enabled for one in found)
    kept = same[0] if same else _make(client, wanted, found, enabled=not paused)
    for other in found:
        if other.id != kept.id:
            client.delete(other)
    return Kept(kept, _made(same, found, enabled=kept.enabled))


def _made(same: Sequence[Scheduled], found: Sequence[Scheduled], *, enabled: bool) -> Made:
    if same:
        return Made.SAME if enabled else Made.PAUSED
    if found:
        return Made.CHANGED if enabled else Made.CHANGED_PAUSED
    return Made.NEW


def pinned(client: Client, pipeline: str, name: str) -> Version:
    """Find the version of a pipeline that a schedule is to stay with."""
    there = client.pipeline(pipeline)
    versions = client.versions(there) if there else []
    for one in versions:
        if name in (one.name, one.id):
            return one
    known = [one.name for one in versions]
    do = nearest(name, known) if known else "it has none; `falaj upload` makes one"
    raise UserError(
        f"--pin {name}: {pipeline} has no such version; {do}", code="kfp-version-unknown"
    )


def named(client: Client, name: str) -> list[Scheduled]:
    """Find the schedules of a name; more than one is what a killed change leaves."""
    found = client.schedules(name)
    if not found:
        known = sorted({one.schedule.name for one in client.schedules()})
        raise UserError(
            f"schedule {name}: no such schedule; {nearest(name, known)}", code="schedule-unknown"
        )
    return found


def _make(
    client: Client, wanted: Schedule, found: Sequence[Scheduled], *, enabled: bool
) -> Scheduled:
    """Create a schedule; where no answer came, look for it rather than create it twice."""
    before = {one.id for one in found}
    try:
        return client.create_schedule(wanted, enabled=enabled)
    except Unsettled:
        for pause in settling.PAUSES:
            time.sleep(pause)
            for one in client.schedules(wanted.name):
                if one.id not in before and one.schedule == wanted:
                    return one
        raise
