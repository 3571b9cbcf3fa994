"""One schedule of a name, as it is wanted; a time means to KFP what it means to people."""

from dataclasses import replace

import pytest

from components.foundation.errors import InfrastructureError, UserError
from pipelines.kubeflow import running, scheduling, timing, uploading
from pipelines.kubeflow.client import Client
from pipelines.kubeflow.scheduling import Made
from pipelines.kubeflow.uploading import Uploaded
from pipelines.kubeflow.values import Schedule
from tests.pipelines.kubeflow.conftest import COMPILED
from tests.pipelines.kubeflow.standin import Fault, Standin


def uploaded(client: Client) -> Uploaded:
    return uploading.upload(client, COMPILED, project="flights")


def wanted(client: Client) -> Schedule:
    there = uploaded(client)
    return Schedule(
        name="collection",
        pipeline=there.pipeline.id,
        version=there.version.id,
        every=3600,
        parameters={"source": "s3://x/y", "limit": 7},
        concurrency=2,
        root="s3://falaj-runs/pipelines",
        experiment=running.experiment_of(client, "falaj"),
    )


def test_a_pinned_schedule_names_its_version_and_catches_nothing_up(
    kfp: Standin, client: Client
) -> None:
    schedule = wanted(client)

    kept = scheduling.keep(client, schedule)

    (made,) = kfp.things["recurringruns"]
    assert kept.made is Made.NEW
    assert made["pipeline_version_reference"]["pipeline_version_id"] == schedule.version
    assert made["trigger"] == {"periodic_schedule": {"interval_second": "3600"}}
    assert made["max_concurrency"] == "2"
    assert made["no_catchup"] is True
    assert kept.scheduled.schedule == schedule


def test_a_floating_schedule_names_no_version(kfp: Standin, client: Client) -> None:
    scheduling.keep(client, replace(wanted(client), version=""))

    (made,) = kfp.things["recurringruns"]
    assert set(made["pipeline_version_reference"]) == {"pipeline_id"}


def test_the_same_schedule_again_makes_nothing(kfp: Standin, client: Client) -> None:
    first = scheduling.keep(client, wanted(client))
    second = scheduling.keep(client, wanted(client))

    assert second.made is Made.SAME
    assert second.scheduled.id == first.scheduled.id
    assert kfp.seen["POST /apis/v2beta1/recurringruns"] == 1


CHANGES = {
    "time": {"every": 60},
    "cron": {"every": 0, "cron": "0 30 6 * * *"},
    "version": {"version": ""},
    "parameters": {"parameters": {"source": "s3://x/z"}},
    "concurrency": {"concurrency": 1},
    "root": {"root": "s3://falaj-runs/other"},
    "identity": {"service_account": "falaj-runner"},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_another_schedule_of_that_name_takes_the_place_of_the_first(
    change: dict[str, object], kfp: Standin, client: Client
) -> None:
    first = scheduling.keep(client, wanted(client))
    other = replace(wanted(client), **change)  # type: ignore[arg-type]  # a field each

    second = scheduling.keep(client, other)

    assert second.made is Made.CHANGED
    assert second.scheduled.id != first.scheduled.id
    assert [one.schedule for one in client.schedules("collection")] == [other]


def test_schedules_of_other_names_stay(kfp: Standin, client: Client) -> None:
    scheduling.keep(client, replace(wanted(client), name="collection-of-others"))
    scheduling.keep(client, wanted(client))
    scheduling.keep(client, replace(wanted(client), every=60))

    assert len(client.schedules()) == 2


def test_who_was_killed_between_new_and_old_is_put_right_by_the_next_call(
    kfp: Standin, client: Client
) -> None:
    scheduling.keep(client, wanted(client))
    new = replace(wanted(client), every=60)
    (first,) = client.schedules("collection")
    kfp.faults = [Fault("DELETE", first.id, status=500)]
    with pytest.raises(InfrastructureError):
        scheduling.keep(client, new)
    assert len(client.schedules("collection")) == 2, "none is missing meanwhile"

    kept = scheduling.keep(client, new)

    assert kept.made is Made.SAME
    assert [one.schedule for one in client.schedules("collection")] == [new]
    assert kfp.seen["POST /apis/v2beta1/recurringruns"] == 2


@pytest.mark.parametrize("status", [0, 503], ids=["cut", "503"])
def test_a_schedule_that_was_made_though_no_answer_came_is_found(
    status: int, kfp: Standin, client: Client
) -> None:
    kfp.faults = [Fault("POST", "/recurringruns", status=status, after=True)]

    kept = scheduling.keep(client, wanted(client))

    assert [one.id for one in client.schedules("collection")] == [kept.scheduled.id]


def test_a_schedule_that_may_have_been_made_is_not_made_twice(kfp: Standin, client: Client) -> None:
    kfp.faults = [Fault("POST", "/recurringruns", status=503)]

    with pytest.raises(InfrastructureError, match="cannot be known"):
        scheduling.keep(client, wanted(client))
    assert not kfp.things["recurringruns"]


def test_a_schedule_that_somebody_disabled_stays_so(kfp: Standin, client: Client) -> None:
    client.disable(scheduling.keep(client, wanted(client)).scheduled)

    assert scheduling.keep(client, wanted(client)).made is Made.PAUSED
    (kept,) = client.schedules("collection")
    assert not kept.enabled

    client.enable(kept)
    assert scheduling.keep(client, wanted(client)).made is Made.SAME


def test_a_disabled_schedule_that_is_made_anew_stays_disabled(kfp: Standin, client: Client) -> None:
    """Every upload makes another version: who stopped a schedule would find it running again."""
    client.disable(scheduling.keep(client, wanted(client)).scheduled)

    kept = scheduling.keep(client, replace(wanted(client), every=60))

    assert kept.made is Made.CHANGED_PAUSED
    (one,) = client.schedules("collection")
    assert (one.enabled, one.schedule.every) == (False, 60)


def test_one_that_is_enabled_beside_a_disabled_one_is_made_anew_enabled(
    kfp: Standin, client: Client
) -> None:
    first = scheduling.keep(client, wanted(client)).scheduled
    client.create_schedule(replace(wanted(client), every=60), enabled=True)
    client.disable(first)

    assert scheduling.keep(client, replace(wanted(client), every=30)).made is Made.CHANGED
    (one,) = client.schedules("collection")
    assert one.enabled


def test_a_schedule_that_somebody_deleted_meanwhile_is_deleted(
    kfp: Standin, client: Client
) -> None:
    kept = scheduling.keep(client, wanted(client)).scheduled
    client.delete(kept)

    client.delete(kept)

    assert not kfp.things["recurringruns"]


def test_a_schedule_is_pinned_by_the_name_of_a_version_or_its_id(client: Client) -> None:
    there = uploaded(client)

    for name in (there.version.name, there.version.id):
        assert scheduling.pinned(client, there.pipeline.name, name) == there.version


def test_a_version_that_is_not_there_is_answered_with_the_nearest(client: Client) -> None:
    there = uploaded(client)

    with pytest.raises(UserError, match=f"did you mean '{there.version.name}'"):
        scheduling.pinned(client, there.pipeline.name, there.version.name[:-1])


def test_a_schedule_that_is_not_there_is_answered_with_the_nearest(client: Client) -> None:
    scheduling.keep(client, wanted(client))

    with pytest.raises(UserError, match="did you mean 'collection'"):
        scheduling.named(client, "colection")


@pytest.mark.parametrize(
    ("text", "six"),
    [
        ("30 6 * * *", "0 30 6 * * *"),
        ("*/5 8-18 * * 1-5", "0 */5 8-18 * * 1-5"),
        ("0 0 1 JAN ?", "0 0 0 1 JAN ?"),
        ("15 30 6 * * *", "15 30 6 * * *"),
        ("@daily", "@daily"),
    ],
)
def test_five_fields_of_cron_are_given_seconds(text: str, six: str) -> None:
    """KFP reads seconds first, so five fields would start a run each hour, not each day."""
    assert timing.cron(text) == six


@pytest.mark.parametrize("text", ["", "6 * * *", "a b c d e f g", "30 6 * * $", "@often"])
def test_what_is_no_line_of_cron_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="--cron"):
        timing.cron(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("90m", 5400), ("6h", 21_600), ("1d", 86_400)]
)
def test_an_interval_is_told_as_it_is_written(text: str, seconds: int) -> None:
    assert timing.every(text) == seconds
    assert timing.told("", seconds) == f"every {text}"


@pytest.mark.parametrize("text", ["", "0h", "6", "h", "1.5h", "-1h", "1w"])
def test_what_is_no_interval_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="--every"):
        timing.every(text)
