"""The attestor as it is built: reads what rules cover, writes nothing, opens no Secret."""

import functools
from typing import Any

import pytest

from components.governance.attest_residency import roles
from components.governance.rbac import paths, reading
from components.governance.rbac.rights import Access
from tests.manifests.conftest import ROOT, built
from tests.manifests.features import base_with, objects, one

Thing = dict[str, Any]
NAME = roles.NAME


@functools.cache
def things() -> dict[tuple[str, str], Thing]:
    return objects("attestor")


def pod() -> Thing:
    found: Thing = things()["CronJob", NAME]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return found


@pytest.mark.parametrize("name", roles.files())
def test_its_roles_are_what_the_rules_cover(name: str) -> None:
    """If not: python -m components.governance.attest_residency.roles."""
    assert (ROOT / "manifests/attestor" / name).read_text() == roles.files()[name]


def test_it_reads_and_nothing_else_and_no_secret() -> None:
    rules = [
        r for (kind, _), one in things().items() if "Role" in kind for r in one.get("rules", [])
    ]

    assert {verb for rule in rules for verb in rule["verbs"]} == {"get", "list"}
    named = {resource for rule in rules for resource in rule["resources"]}
    assert not named & {"secrets", "*", "pods/log", "pods/exec"}
    assert all(rule["apiGroups"] != ["*"] for rule in rules)


def test_no_right_of_it_leads_to_others() -> None:
    assert list(paths.find(Access.of(reading.read([("built", built("manifests/attestor"))])))) == []


def test_what_is_in_a_namespace_it_reads_in_one_alone() -> None:
    wide = {r for rule in roles.cluster_role() for r in rule["resources"]}

    assert not wide & {"configmaps", "pods", "services", "persistentvolumeclaims", "workflows"}
    assert {"nodes", "persistentvolumes", "storageclasses", "residencyprofiles"} <= wide


def test_nobody_is_bound_to_what_a_store_shows() -> None:
    bound = {t["roleRef"]["name"] for (kind, _), t in things().items() if kind.endswith("Binding")}

    assert bound == {NAME}
    assert f"--clusterrole={NAME}-store" in (ROOT / "docs/attestation.md").read_text()


def test_the_job_is_a_program_of_ours_with_a_token_and_keys_of_its_own() -> None:
    [container] = pod()["containers"]

    assert (ROOT / container["command"][-1].replace(".", "/") / "__main__.py").exists()
    assert pod()["automountServiceAccountToken"] is True
    secrets = [s["secretRef"]["name"] for s in container["envFrom"] if "secretRef" in s]
    secrets += [v["secret"]["secretName"] for v in pod()["volumes"] if "secret" in v]
    page = (ROOT / "manifests/storage/README.md").read_text()
    assert secrets == ["falaj-attestor", "falaj-attestor-keys"]
    assert [name for name in secrets if f"| `{name}` |" not in page] == []


def test_a_refusal_is_final_and_silence_is_tried_again() -> None:
    job = things()["CronJob", NAME]["spec"]["jobTemplate"]["spec"]
    [rule] = job["podFailurePolicy"]["rules"]

    assert (rule["action"], rule["onExitCodes"]["values"]) == ("FailJob", [2, 3])
    assert job["backoffLimit"] > 0


def test_it_reaches_the_store_the_api_the_keeper_and_names_alone() -> None:
    policies = [t for (kind, _), t in things().items() if kind == "NetworkPolicy"]
    labels = {"app.kubernetes.io/name": NAME}

    assert {t["metadata"]["name"].rpartition("-")[2] for t in policies} == {
        "kubernetes",
        "store",
        "keeper",
        "names",
    }
    assert all(t["spec"]["podSelector"] == {"matchLabels": labels} for t in policies)
    assert all(peer for t in policies for rule in t["spec"]["egress"] for peer in rule["to"])


def test_as_a_feature_it_adds_what_its_folder_has(tmp_path: Any) -> None:
    built_ = base_with(tmp_path, "attestor")

    assert one(built_, "CronJob", NAME)["metadata"]["namespace"] == "falaj"
