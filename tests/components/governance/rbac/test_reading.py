"""Manifests are read as people have them; what the API server would refuse is refused."""

import pytest

from components.foundation.errors import UserError
from components.governance.rbac import reading
from components.governance.rbac.grants import Identity, Kind, Manifests

ROLE = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: a}
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]
"""
BINDING = """
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: a}
roleRef: {kind: Role, name: reader}
subjects:
  - {kind: ServiceAccount, name: robot}
  - {kind: User, name: "system:serviceaccount:b:other"}
  - {kind: Group, name: "falaj:auditor"}
"""


def read(*texts: str) -> Manifests:
    return reading.read((f"file {number}", text) for number, text in enumerate(texts))


def test_reads_documents_of_several_files() -> None:
    found = read(f"{ROLE}---\n---\n{BINDING}", "kind: ConfigMap\nmetadata: {name: x}")

    assert [role.name for role in found.roles] == ["reader"]
    assert [binding.name for binding in found.bindings] == ["reader"]


def test_a_list_as_kubectl_prints_it_is_its_items() -> None:
    typed = "kind: RoleList\nitems:\n- metadata: {name: reader, namespace: a}\n"

    assert [role.name for role in read(typed).roles] == ["reader"]
    assert read("kind: List\nitems: [{kind: ConfigMap}]\n") == Manifests()


def test_a_subject_is_who_the_api_server_takes_it_for() -> None:
    [binding] = read(BINDING).bindings

    assert binding.subjects == (
        Identity(Kind.ACCOUNT, "robot", "a"),  # in the binding's own namespace
        Identity(Kind.ACCOUNT, "other", "b"),  # by the name of its user
        Identity(Kind.GROUP, "falaj:auditor"),
    )


def test_an_object_read_twice_counts_once() -> None:
    assert read(BINDING, BINDING) == read(BINDING)


def test_what_names_no_namespace_is_in_the_default_one() -> None:
    [role] = read(ROLE.replace(", namespace: a", "")).roles

    assert role.namespace == "default"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (ROLE.replace("[get]", "get"), "verbs is a str, expected a list"),
        (ROLE.replace("[get]", "[1]"), "verbs holds 1, expected words"),
        (ROLE.replace("name: reader, ", ""), "name is None"),
        (ROLE.replace("{name: reader, namespace: a}", "x"), "metadata is a str"),
        (BINDING.replace("kind: Group", "kind: Robot"), "a subject of kind 'Robot'"),
        (BINDING.replace("{kind: Role, name: reader}", "[]"), "kind is None"),
    ],
)
def test_refuses_what_the_api_server_would(text: str, says: str) -> None:
    with pytest.raises(UserError) as refusal:
        read(text)

    assert says in str(refusal.value)
    assert refusal.value.code == "rbac-malformed"


@pytest.mark.parametrize("text", ["ServiceAccount a/b", "Group system:masters", "Role a/b"])
def test_an_identity_is_read_back_as_it_was_written(text: str) -> None:
    assert str(Identity.parse(text)) == text


def test_refuses_an_identity_without_a_kind() -> None:
    with pytest.raises(UserError, match="expected a kind"):
        Identity.parse("falaj-runner")
