"""Each way up is found where it is, is not found where it is not, and names a way out."""

import pathlib

import pytest
import yaml

from components.governance.rbac import paths, reading
from components.governance.rbac.paths import Finding
from components.governance.rbac.rights import Access

STOCK = pathlib.Path(__file__).with_name("stock.yaml").read_text()
GROUPS = {
    "roles": "rbac.authorization.k8s.io",
    "clusterroles": "rbac.authorization.k8s.io",
    "networkpolicies": "networking.k8s.io",
    "validatingadmissionpolicies": "admissionregistration.k8s.io",
    "mutatingwebhookconfigurations": "admissionregistration.k8s.io",
    "certificatesigningrequests/approval": "certificates.k8s.io",
    "signers": "certificates.k8s.io",
    "inferenceservices": "serving.kserve.io",
    "workflows": "argoproj.io",
    "trainjobs": "trainer.kubeflow.org",
    "notebooks": "kubeflow.org",
    "runs": "pipelines.kubeflow.org",
    "deployments": "apps",
    "jobs": "batch",
}


def held(verb: str, resource: str, *, cluster: bool, names: str = "") -> str:
    """Manifests by which somebody holds one right, and nothing else is there."""
    kind, place = ("ClusterRole", {}) if cluster else ("Role", {"namespace": "a"})
    rule = {"apiGroups": [GROUPS.get(resource, "")], "resources": [resource], "verbs": [verb]}
    if names:
        rule["resourceNames"] = names.split()
    role = {"kind": kind, "metadata": {"name": "r", **place}, "rules": [rule]}
    binding = {
        "kind": f"{kind}Binding",
        "metadata": {"name": "b", **place},
        "roleRef": {"kind": kind, "name": "r"},
        "subjects": [{"kind": "User", "name": "zayed"}],
    }
    return yaml.safe_dump_all([role, binding])


def found(*texts: str) -> list[Finding]:
    return paths.find(Access.of(reading.read(("a text", text) for text in texts)))


def ways(*texts: str) -> set[tuple[str, str]]:
    return {(str(one.identity), one.path) for one in found(*texts)}


@pytest.mark.parametrize(
    ("verb", "resource", "path"),
    [
        ("impersonate", "serviceaccounts", "impersonate"),
        ("bind", "roles", "bind"),
        ("bind", "clusterroles", "bind"),
        ("escalate", "roles", "escalate"),
        ("create", "serviceaccounts/token", "token"),
        ("get", "secrets", "secrets"),
        ("list", "secrets", "secrets"),
        ("watch", "secrets", "secrets"),
        ("create", "pods/exec", "shell"),
        ("get", "pods/exec", "shell"),  # a web socket is opened by GET
        ("create", "pods/attach", "shell"),
        ("patch", "pods/ephemeralcontainers", "shell"),
        ("delete", "networkpolicies", "network"),
        ("create", "networkpolicies", "network"),
        ("*", "configmaps", "wildcard"),
        ("get", "*", "wildcard"),
        ("create", "pods", "pods"),
        ("patch", "deployments", "pods"),
        ("create", "jobs", "pods"),
        ("create", "inferenceservices", "pods"),
        ("create", "workflows", "pods"),
        ("create", "trainjobs", "pods"),
        ("create", "notebooks", "pods"),
        ("create", "runs", "pods"),
    ],
)
@pytest.mark.parametrize("cluster", [False, True], ids=["in a namespace", "in the cluster"])
def test_finds_a_way_up(verb: str, resource: str, path: str, cluster: bool) -> None:
    assert ("User zayed", path) in ways(held(verb, resource, cluster=cluster))


@pytest.mark.parametrize(
    ("verb", "resource", "path"),
    [
        ("get", "nodes/proxy", "nodes"),
        ("update", "certificatesigningrequests/approval", "certificates"),
        ("approve", "signers", "certificates"),
        ("patch", "validatingadmissionpolicies", "admission"),
        ("create", "mutatingwebhookconfigurations", "admission"),
        ("create", "persistentvolumes", "volumes"),
        ("patch", "namespaces", "namespaces"),
        ("impersonate", "users", "impersonate"),
    ],
)
def test_finds_a_way_up_that_only_the_cluster_has(verb: str, resource: str, path: str) -> None:
    assert ways(held(verb, resource, cluster=True)) == {("User zayed", path)}


@pytest.mark.parametrize("resource", ["nodes/proxy", "persistentvolumes", "namespaces"])
def test_a_right_without_a_namespace_is_none_in_one(resource: str) -> None:
    assert ways(held("create", resource, cluster=False)) == set()


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("get", "pods"),
        ("list", "inferenceservices"),
        ("delete", "pods"),
        ("create", "services"),  # of the core; those of Knative become pods
        ("create", "roles"),  # held by Kubernetes to what its author may do
        ("get", "pods/log"),
        ("get", "networkpolicies"),
    ],
)
def test_finds_nothing_where_nothing_is(verb: str, resource: str) -> None:
    assert ways(held(verb, resource, cluster=True)) == set()


def test_a_secret_by_name_is_no_way_up_and_a_role_by_name_is_one() -> None:
    assert ways(held("get", "secrets", cluster=False, names="mine")) == set()
    assert ways(held("bind", "roles", cluster=False, names="mine")) == {("User zayed", "bind")}


def test_a_binding_to_a_role_that_was_not_read_is_a_finding() -> None:
    binding = held("get", "pods", cluster=False).split("---")[1]

    [finding] = found(binding)

    assert (finding.path, finding.by) == ("unread", ("Role a/r",))


# pods next to something stronger

_ACCOUNT = """
kind: ServiceAccount
metadata: {name: robot, namespace: a}
---
kind: Role
metadata: {name: robot, namespace: a}
rules: [{apiGroups: [""], resources: [%s], verbs: [get]}]
---
kind: RoleBinding
metadata: {name: robot, namespace: a}
roleRef: {kind: Role, name: robot}
subjects: [{kind: ServiceAccount, name: robot, namespace: a}]
"""


def test_pods_reach_a_stronger_account_and_the_secrets_of_their_namespace() -> None:
    [finding] = found(held("create", "pods", cluster=False), _ACCOUNT % "configmaps")

    assert finding.gains == ("ServiceAccount a/robot", "Secrets of a")


def test_pods_of_the_cluster_reach_accounts_of_every_namespace() -> None:
    other = _ACCOUNT.replace("namespace: a", "namespace: b") % "configmaps"

    [finding] = found(held("create", "pods", cluster=True), _ACCOUNT % "configmaps", other)

    assert set(finding.gains) == {
        *("ServiceAccount a/robot", "Secrets of a"),
        *("ServiceAccount b/robot", "Secrets of b"),
    }


def test_pods_reach_nothing_new_where_their_author_may_as_much() -> None:
    everything = held("*", "*", cluster=True).replace("- ''", "- '*'")

    assert ways(everything, _ACCOUNT % "configmaps") == {("User zayed", "wildcard")}


def test_an_account_without_rights_is_not_stronger() -> None:
    bare = "kind: ServiceAccount\nmetadata: {name: bare, namespace: a}\n"

    [finding] = found(held("create", "pods", cluster=False), bare)

    assert finding.gains == ("Secrets of a",)


def test_what_a_wildcard_gives_is_only_met_by_a_wildcard() -> None:
    strong = (_ACCOUNT % "configmaps").replace("[get]", "['*']")
    several = held("create", "pods", cluster=False).replace("- pods", "- pods\n  - configmaps")
    every = several.replace("- create", "- create\n  - get\n  - '*'")

    [listed] = [one for one in found(several, strong) if "zayed" in str(one.identity)]
    wild = [one for one in found(every, strong) if "zayed" in str(one.identity)]

    assert "ServiceAccount a/robot" in listed.gains
    assert [one.gains for one in wild if one.path == "pods"] == [("Secrets of a",)]


def test_says_what_a_stronger_account_may_do_with_the_gravest_first() -> None:
    access = Access.of(
        reading.read(
            [("x", held("create", "pods", cluster=False)), ("y", _ACCOUNT % "pods, secrets")]
        )
    )
    finding = next(one for one in paths.find(access) if one.path == "pods")

    told = list(paths.reached(access, finding))

    assert told == ["ServiceAccount a/robot may also get secrets, get pods", "Secrets of a"]


# a stock Kubeflow

EDITOR, OWNER = "ServiceAccount team/default-editor", "User owner@team.example"


def test_finds_what_is_known_of_a_stock_kubeflow() -> None:
    grave = {"secrets", "shell", "network", "wildcard"}

    assert ways(STOCK) == {
        *((EDITOR, path) for path in grave),
        *((OWNER, path) for path in grave),
        ("User guest@team.example", "pods"),
        ("ServiceAccount kubeflow/profile-controller", "wildcard"),
    }


def test_a_notebook_of_a_guest_acts_as_the_editor() -> None:
    [guest] = [one for one in found(STOCK) if "guest" in str(one.identity)]

    assert guest.by == ("create notebooks.kubeflow.org",)
    assert guest.gains == (EDITOR, "ServiceAccount team/default-viewer", "Secrets of team")


def test_a_step_as_the_editor_may_open_the_network() -> None:
    [network] = [o for o in found(STOCK) if o.path == "network" and str(o.identity) == EDITOR]

    assert "delete networkpolicies.networking.k8s.io" in network.by


def test_the_roles_of_a_stock_kubeflow_are_judged_before_anybody_is_bound() -> None:
    roles = "---".join(part for part in STOCK.split("---") if "Binding" not in part)
    access = Access.of(reading.read([("roles", roles)])).with_unbound()

    grave = {(str(one.identity), one.path) for one in paths.find(access)}

    assert ("ClusterRole kubeflow-edit", "secrets") in grave
    assert ("ClusterRole kubeflow-admin", "secrets") in grave
    assert not [one for one in grave if one[0] == "ClusterRole kubeflow-view"]


def test_every_way_has_a_reason_and_a_way_out() -> None:
    for finding in found(STOCK):
        assert finding.why
        assert finding.way_out
        assert "{" not in finding.why + finding.way_out


# size


def _teams(count: int) -> Access:
    parts = STOCK.split("---")
    team = "---".join(part for part in parts if "namespace: team" in part)
    roles = "---".join(part for part in parts if "namespace: team" not in part)
    copies = [(f"{n}", team.replace("team", f"team-{n}")) for n in range(count)]
    return Access.of(reading.read([("roles", roles), *copies]))


def test_twice_the_teams_are_twice_the_findings_and_no_more_looks_at_a_role() -> None:
    """Time is not asserted; how often a role is walked through is."""
    access = _teams(50)
    paths._met.cache_clear()
    paths._missing.cache_clear()

    assert len(paths.find(access)) == 50 * 9 + 1
    looked = paths._met.cache_info().misses

    paths._met.cache_clear()
    assert len(paths.find(_teams(100))) == 100 * 9 + 1
    assert paths._met.cache_info().misses - looked == 50  # one role more for each team: its own
