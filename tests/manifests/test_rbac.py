"""Roles as they are built: nothing dangerous, everybody bound to one role, told as it is."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from components.governance.breakglass import ending
from components.governance.rbac import accepted, paths, reading
from components.governance.rbac.grants import Identity
from components.governance.rbac.rights import Access
from tests.manifests.conftest import ROOT, built

Thing = dict[str, Any]
PAGE = (ROOT / "docs/rbac.md").read_text()
CONCERNS = ("rbac", "breakglass")


def things(concern: str) -> list[Thing]:
    return list(yaml.safe_load_all(built(f"manifests/{concern}")))


def of_kind(*kinds: str) -> Iterator[Thing]:
    yield from (one for concern in CONCERNS for one in things(concern) if one["kind"] in kinds)


def access(text: str) -> Access:
    return Access.of(reading.read([("built", text)]))


@pytest.fixture
def policy() -> Thing:
    [found] = of_kind("ValidatingAdmissionPolicy")
    return found


def test_an_overlay_opens_no_way_up_that_is_not_accepted(text: str) -> None:
    acceptances = accepted.parse((ROOT / "docs/rbac-accepted.yaml").read_text())

    done = accepted.sort(paths.find(access(text)), acceptances)

    assert done.open == ()
    assert done.accepted


@pytest.mark.parametrize("concern", CONCERNS)
def test_no_role_holds_a_right_that_leads_to_others_even_before_it_is_bound(concern: str) -> None:
    """What makes pods is accepted by name; who answers for residency edits one policy."""
    found = paths.find(access(built(f"manifests/{concern}")).with_unbound())
    meant = Identity.parse("Group falaj:residency-admin"), "admission"

    others = [(one.identity, one.path) for one in found if one.path != "pods"]

    assert others == ([meant] if concern == "rbac" else [])


def test_every_person_has_one_role_of_the_same_name() -> None:
    for binding in of_kind("RoleBinding", "ClusterRoleBinding"):
        role, name = binding["roleRef"]["name"], binding["metadata"]["name"]
        [subject] = binding["subjects"]
        assert role == name
        assert subject["name"].replace(":", "-") == name


def test_no_role_in_a_namespace_is_borrowed_from_the_cluster() -> None:
    assert {one["roleRef"]["kind"] for one in of_kind("RoleBinding")} == {"Role"}


def test_nobody_is_bound_to_breakglass() -> None:
    roles = [one["roleRef"]["name"] for one in of_kind("RoleBinding", "ClusterRoleBinding")]

    assert roles
    assert ending.NAME not in roles


def test_the_page_names_every_group_and_every_service_account() -> None:
    subjects = [one["subjects"][0] for one in of_kind("RoleBinding", "ClusterRoleBinding")]

    assert len(subjects) > 10
    assert [one["name"] for one in subjects if f"`{one['name']}`" not in PAGE] == []


def test_the_policy_the_job_and_the_page_mean_the_same_binding(policy: Thing) -> None:
    [condition] = policy["spec"]["matchConditions"]
    [closer] = [one for one in of_kind("Role") if one["metadata"]["name"].endswith("-closer")]
    [rule] = closer["rules"]

    assert f"object.roleRef.name == '{ending.NAME}'" in condition["expression"]
    assert f"[?'{ending.EXPIRES}']" in str(policy["spec"]["variables"])
    assert rule["resourceNames"] == [ending.NAME]
    assert f"    {ending.EXPIRES}: " in PAGE


def test_the_policy_fails_closed_and_is_told_to_the_audit_log(policy: Thing) -> None:
    [binding] = of_kind("ValidatingAdmissionPolicyBinding")

    assert policy["spec"]["failurePolicy"] == "Fail"
    assert binding["spec"]["validationActions"] == ["Deny", "Audit"]
    assert "paramKind" not in policy["spec"]  # kubernetes/kubernetes#130887


def test_the_job_is_a_program_of_ours_with_a_token_of_its_own() -> None:
    [job] = of_kind("CronJob")
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    [container] = pod["containers"]

    module = container["command"][-1].replace(".", "/")
    assert (ROOT / module / "__main__.py").exists()
    assert pod["automountServiceAccountToken"] is True
    assert pod["serviceAccountName"] == "falaj-breakglass-closer"


def test_who_uses_no_token_gets_none() -> None:
    accounts = list(of_kind("ServiceAccount"))

    runner = "falaj-runner"  # KFP and Argo ask for its token by the account's default
    mounted = [
        a["metadata"]["name"] for a in accounts if a.get("automountServiceAccountToken", True)
    ]
    assert mounted == [runner]
