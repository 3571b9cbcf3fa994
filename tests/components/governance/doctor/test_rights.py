"""What tasks need is what the Roles of manifests/rbac grant, no more and no less for steps."""

import pathlib
from collections.abc import Iterator

import pytest
import yaml

from components.governance.doctor.checks import rights
from components.governance.doctor.checks.rights import Task
from components.governance.doctor.interface import Right
from pipelines.commands import doctor

RBAC = pathlib.Path(__file__).parents[4] / "manifests/rbac"


def granted(role: str) -> Iterator[Right]:
    for rule in yaml.safe_load((RBAC / f"role-{role}.yaml").read_text())["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    for name in rule.get("resourceNames", [""]):
                        yield Right(verb, group, resource, name)


def needed(*tasks: Task) -> set[Right]:
    return {right for task in tasks for right in task.rights}


def test_steps_need_all_that_their_role_grants_and_no_more() -> None:
    assert needed(*rights.STEPS) == set(granted("falaj-runner"))


@pytest.mark.parametrize(
    "task", [rights.UPLOAD, rights.RUN, rights.SCHEDULE, rights.TRAIN], ids=lambda task: task.name
)
def test_an_ml_engineer_may_do_what_an_ml_engineer_does(task: Task) -> None:
    assert needed(task) <= set(granted("falaj-ml-engineer"))


def test_a_person_may_be_asked_of_every_task_that_is_not_a_pods() -> None:
    assert set(doctor.TASKS) == {task.name for task in rights.OWN}


def test_rights_on_one_kind_are_told_together() -> None:
    lacking = list(rights.ROLL_OUT.rights[:3])

    assert rights._not(lacking) == (
        "may not get, patch inferenceservices.serving.kserve.io; "
        "nor get httproutes.gateway.networking.k8s.io"
    )
