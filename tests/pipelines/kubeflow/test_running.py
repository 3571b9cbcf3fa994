"""A run is started once, followed to its end, and its failure names the step that failed."""

from typing import Any

import pytest

from components.foundation.errors import FalajError, InfrastructureError, Refused, UserError
from components.foundation.site import Site
from pipelines.kubeflow import running, uploading
from pipelines.kubeflow.client import Client
from pipelines.kubeflow.failures import Unsettled
from pipelines.kubeflow.running import Started
from pipelines.kubeflow.values import Run, Task
from tests.pipelines.kubeflow.conftest import CLUSTER, COMPILED
from tests.pipelines.kubeflow.standin import Fault, Standin

SITE = Site.parse(CLUSTER.replace(": falaj-runner", ": trainer"))


def start(client: Client, name: str = "one", **parameters: Any) -> Started:
    version = uploading.upload(client, COMPILED, project="flights").version
    return running.start(
        client, version, name=name, experiment="falaj", parameters=parameters, site=SITE
    )


def task(id: str, name: str, state: str, parent: str = "", said: str = "") -> dict[str, Any]:
    """What KFP tells of a task."""
    error = {"error": {"code": 2, "message": said}} if said else {}
    told = {"run_id": "r", "task_id": id, "display_name": name, "state": state, **error}
    return {
        **told,
        "parent_task_id": parent,
        "start_time": "2026-01-02T03:04:05Z",
        "end_time": "2026-01-02T03:04:15.500Z",
    }


def at(state: str, *tasks: dict[str, Any], said: str = "") -> dict[str, Any]:
    """What KFP tells of a run."""
    error = {"error": {"code": 2, "message": said}} if said else {}
    return {"state": state, "run_details": {"task_details": list(tasks)}, **error}


def follow(client: Client, run: Run) -> tuple[Run, list[Task]]:
    told: list[Task] = []
    return running.follow(client, run, told=told.append), told


def test_a_run_is_of_the_version_with_parameters_root_and_identity_of_the_site(
    kfp: Standin, client: Client
) -> None:
    started = start(client, source="s3://x/y", limit=7, parts=[1, 2])

    (run,), (version,) = kfp.things["runs"], kfp.things["versions"]
    assert run["pipeline_version_reference"] == {
        "pipeline_id": version["pipeline_id"],
        "pipeline_version_id": version["pipeline_version_id"],
    }
    assert run["runtime_config"] == {
        "parameters": {"source": "s3://x/y", "limit": 7, "parts": [1, 2]},
        "pipeline_root": SITE.pipeline_root,
    }
    assert run["service_account"] == "trainer"
    assert started.new
    assert started.link == f"{client.link}/#/runs/details/{run['run_id']}"


def test_an_experiment_is_made_once_and_found_after(kfp: Standin, client: Client) -> None:
    start(client, "one")
    start(client, "two")

    assert [one["display_name"] for one in kfp.things["experiments"]] == ["falaj"]
    assert len({one["experiment_id"] for one in kfp.things["runs"]}) == 1


def test_an_experiment_that_is_archived_is_named(kfp: Standin, client: Client) -> None:
    start(client, "one")
    kfp.things["experiments"][0]["storage_state"] = "ARCHIVED"

    with pytest.raises(UserError, match="experiment falaj: is archived") as refused:
        start(client, "two")
    assert refused.value.code == "kfp-experiment-archived"


def test_a_run_of_that_name_is_found_and_not_started_again(kfp: Standin, client: Client) -> None:
    first = start(client, "nightly")
    second = start(client, "nightly")

    assert (second.new, second.run.id) == (False, first.run.id)
    assert len(kfp.things["runs"]) == 1


@pytest.mark.parametrize("status", [0, 503], ids=["cut", "503"])
def test_a_run_that_was_started_though_no_answer_came_is_found(
    status: int, kfp: Standin, client: Client
) -> None:
    kfp.faults = [Fault("POST", "/runs", status=status, after=True)]

    started = start(client)

    assert [one["run_id"] for one in kfp.things["runs"]] == [started.run.id]


@pytest.mark.parametrize("status", [0, 503], ids=["cut", "503"])
def test_a_run_that_may_have_been_started_is_not_started_twice(
    status: int, kfp: Standin, client: Client
) -> None:
    """KFP lets two runs have one name, so a second request could make a second run."""
    kfp.faults = [Fault("POST", "/runs", status=status)]

    with pytest.raises(Unsettled, match="--name one") as unsettled:
        start(client)
    assert unsettled.value.exit_code == InfrastructureError.exit_code
    assert kfp.seen["POST /apis/v2beta1/runs"] == 0

    assert start(client).new


def test_a_run_is_followed_and_each_step_told_once(kfp: Standin, client: Client) -> None:
    done = task("1", "ingest-objects", "SUCCEEDED")
    kfp.script = [
        at("PENDING"),
        at("RUNNING", task("0", "root", "RUNNING"), done),
        at("RUNNING", task("0", "root", "RUNNING"), done, task("2", "validate", "RUNNING")),
        at(
            "SUCCEEDED",
            task("0", "root", "SUCCEEDED"),
            done,
            task("3", "validate-driver", "SUCCEEDED"),
            task("2", "validate", "SKIPPED"),
        ),
    ]

    run, told = follow(client, start(client).run)

    assert run.state == "SUCCEEDED"
    assert [(one.name, one.state) for one in told] == [
        ("ingest-objects", "SUCCEEDED"),
        ("validate", "SKIPPED"),
    ]
    assert told[0].seconds == 10.5
    running.judge(run, link="there")


def test_a_run_is_followed_through_what_passes(kfp: Standin, client: Client) -> None:
    started = start(client)
    kfp.script = [at("RUNNING"), at("SUCCEEDED")]
    kfp.faults = [
        Fault("GET", started.run.id, status=503, times=2),
        Fault("GET", started.run.id, status=0),
        Fault("GET", started.run.id, status=429, headers={"Retry-After": "0"}),
    ]

    run, _ = follow(client, started.run)

    assert run.state == "SUCCEEDED"
    assert all(fault.times == 0 for fault in kfp.faults)


def test_who_cannot_follow_any_longer_says_so(kfp: Standin, client: Client) -> None:
    started = start(client)
    kfp.faults = [Fault("GET", started.run.id, status=503, times=99)]

    with pytest.raises(InfrastructureError, match=r"KFP failed \(503\): no healthy upstream"):
        follow(client, started.run)


GATE = "Error (exit code 3): seal: not blessed"
FAILURES = {
    "refused": (GATE, Refused, "run-refused"),
    "user": ("Error (exit code 2)", UserError, "run-failed"),
    "infrastructure": ("Error (exit code 75)", InfrastructureError, "run-interrupted"),
    "crash": ("Error (exit code 1)", UserError, "run-failed"),
    "killed": ("OOMKilled (exit code 137)", UserError, "run-failed"),
    "pod": ("ImagePullBackOff", UserError, "run-failed"),
}


@pytest.mark.parametrize(("said", "kind", "code"), FAILURES.values(), ids=FAILURES)
def test_a_failed_run_names_the_step_and_ends_as_the_step_did(
    said: str, kind: type[FalajError], code: str, kfp: Standin, client: Client
) -> None:
    kfp.script = [
        at(
            "FAILED",
            task("0", "root", "FAILED"),
            task("1", "gate", "FAILED", parent="0"),
            task("2", "executor", "FAILED", parent="1", said=said),
            task("3", "register", "SKIPPED", parent="0"),
        )
    ]
    run, _ = follow(client, start(client).run)

    with pytest.raises(kind) as failed:
        running.judge(run, link="https://there")

    assert f"run one: step gate failed: {said}; look at https://there" in str(failed.value)
    assert (failed.value.code, type(failed.value)) == (code, kind)


def test_a_run_that_failed_before_any_step_says_what_kfp_says(kfp: Standin, client: Client) -> None:
    kfp.script = [at("FAILED", said="workflow is too large")]
    run, _ = follow(client, start(client).run)

    with pytest.raises(UserError, match="it failed: workflow is too large"):
        running.judge(run, link="there")


def test_a_run_that_somebody_stopped_is_no_success(kfp: Standin, client: Client) -> None:
    kfp.script = [at("CANCELING"), at("CANCELED")]
    run, _ = follow(client, start(client).run)

    with pytest.raises(Refused, match="somebody stopped it") as stopped:
        running.judge(run, link="there")
    assert stopped.value.code == "run-canceled"


def test_no_two_runs_are_given_one_name() -> None:
    assert len({running.fresh_name("x") for _ in range(50)}) == 50


def test_a_run_of_that_name_with_other_parameters_or_of_another_version_is_not_followed(
    kfp: Standin, client: Client
) -> None:
    """A run of last night that went well says nothing of what is asked for today."""
    start(client, "nightly", source="s3://x/monday")
    assert not start(client, "nightly", source="s3://x/monday").new

    with pytest.raises(UserError, match="run nightly: is there already, with other parameters"):
        start(client, "nightly", source="s3://x/tuesday")

    kfp.things["runs"][0]["pipeline_version_reference"]["pipeline_version_id"] = "other"
    with pytest.raises(UserError, match="of another version; give this one another --name") as told:
        start(client, "nightly", source="s3://x/monday")
    assert told.value.code == "run-differs"
    assert len(kfp.things["runs"]) == 1
