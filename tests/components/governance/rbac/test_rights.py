"""Answers are those of the API server's authorizer; tests/cluster compares them with a real one."""

import pytest

from components.foundation.errors import UserError
from components.governance.rbac.grants import (
    ALL,
    Binding,
    Grant,
    Identity,
    Kind,
    Manifests,
    Question,
    Role,
    Rule,
    Selector,
)
from components.governance.rbac.rights import Access, Rights, expand

ROBOT = Identity(Kind.ACCOUNT, "robot", "a")


def rule(verbs: str, resources: str, group: str = "", names: str = "") -> Rule:
    words = (frozenset(text.split()) for text in (resources, verbs, names))
    return Rule(frozenset({group}), *words)


def asked(
    verb: str, resource: str, group: str = "", namespace: str = "a", name: str = ""
) -> Question:
    return Question(verb, group, resource, namespace, name)


@pytest.mark.parametrize(
    ("one", "question", "expected"),
    [
        (rule("get", "pods"), asked("get", "pods"), True),
        (rule("get", "pods"), asked("list", "pods"), False),
        (rule("get", "pods"), asked("get", "pods", "apps"), False),
        (rule("get", "pods"), asked("get", "pods/log"), False),
        (rule("get", "pods"), asked("get", "pods", namespace="b"), False),
        (rule("get", "pods/log"), asked("get", "pods/log"), True),
        (rule("get", "*/log"), asked("get", "pods/log"), True),
        (rule("get", "*/log"), asked("get", "pods"), False),
        (rule("get", ALL), asked("get", "pods/log"), True),
        (rule(ALL, "pods"), asked("impersonate", "pods"), True),
        (rule("get", "pods", ALL), asked("get", "pods", "apps"), True),
        (rule("get", "secrets", names="x"), asked("get", "secrets", name="x"), True),
        (rule("get", "secrets", names="x"), asked("get", "secrets", name="y"), False),
        (rule("list", "secrets", names="x"), asked("list", "secrets"), False),
    ],
)
def test_a_rule_allows_what_it_says(one: Rule, question: Question, expected: bool) -> None:
    rights = Rights((Grant(Role("r", (one,), "a"), "a"),))

    assert rights.allows(question) is expected


def test_what_is_bound_for_the_cluster_counts_in_every_namespace() -> None:
    rights = Rights((Grant(Role("r", (rule("get", "pods"),)), ""),))

    assert rights.allows(asked("get", "pods", namespace="b"))
    assert rights.allows(asked("get", "pods", namespace=""))


def test_what_is_bound_in_a_namespace_does_not_count_for_the_cluster() -> None:
    rights = Rights((Grant(Role("r", (rule("get", "nodes"),)), "a"),))

    assert not rights.allows(asked("get", "nodes", namespace=""))


def test_a_service_account_has_what_its_groups_have() -> None:
    role = Role("r", (rule("get", "pods"),))
    groups = ("system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated")

    for name in groups:
        group = Identity(Kind.GROUP, name)
        access = Access.of(Manifests((role,), (Binding("b", "", role.identity, (group,)),)))
        assert access.rights(ROBOT).allows(asked("get", "pods")), name

    stranger = Identity(Kind.USER, "system:anonymous")
    assert not access.rights(stranger).allows(asked("get", "pods"))


def test_a_binding_to_a_role_that_was_not_read_is_said() -> None:
    lost = Identity(Kind.CLUSTER_ROLE, "admin")

    access = Access.of(Manifests(bindings=(Binding("b", "a", lost, (ROBOT,)),)))

    assert access.unknown == ((ROBOT, lost, "a"),)


def test_cluster_admin_is_known_without_being_read() -> None:
    admin = Identity(Kind.CLUSTER_ROLE, "cluster-admin")

    access = Access.of(Manifests(bindings=(Binding("b", "", admin, (ROBOT,)),)))

    assert access.rights(ROBOT).allows(asked("delete", "nodes", namespace=""))


def test_a_role_that_nobody_holds_is_held_by_a_stand_in_when_asked_for() -> None:
    role = Role("r", (rule("get", "pods"),), "a")
    access = Access.of(Manifests((role,)))

    assert role.identity not in access.held
    assert access.with_unbound().rights(role.identity).allows(asked("get", "pods"))


# aggregation


def part(name: str, label: str, one: Rule) -> Role:
    return Role(name, (one,), labels={"joins": label})


def whole(name: str, label: str, own: str = "") -> Role:
    return Role(name, (), labels={"joins": own}, selectors=(Selector((("joins", label),)),))


def test_an_aggregate_has_the_rules_of_its_parts_and_of_theirs() -> None:
    view, edit = rule("get", "pods"), rule("create", "pods")
    roles = [whole("admin", "admin"), whole("edit", "edit", own="admin"), part("e", "edit", edit)]
    roles += [whole("view", "view", own="edit"), part("v", "view", view)]

    by_name = {role.name: set(role.rules) for role in expand(roles)}

    assert by_name["view"] == {view}
    assert by_name["admin"] == by_name["edit"] == {view, edit}


def test_aggregates_that_are_part_of_each_other_end() -> None:
    one = rule("get", "pods")
    roles = [whole("a", "b", own="a"), whole("b", "a", own="b"), part("p", "a", one)]

    assert {role.rules for role in expand(roles)} == {(one,)}


def test_a_role_of_a_namespace_joins_no_aggregate() -> None:
    lure = Role("lure", (rule(ALL, ALL),), "a", {"joins": "view"})

    [view, _] = expand([whole("view", "view"), lure])

    assert view.rules == ()


@pytest.mark.parametrize(
    ("operator", "values", "chosen"),
    [
        ("In", "x y", True),
        ("In", "y", False),
        ("NotIn", "y", True),
        ("NotIn", "x", False),
        ("Exists", "", True),
        ("DoesNotExist", "", False),
    ],
)
def test_a_selector_chooses_by_expressions(operator: str, values: str, chosen: bool) -> None:
    selector = Selector((), (("k", operator, frozenset(values.split())),))

    assert selector.chooses({"k": "x"}) is chosen


def test_refuses_an_operator_that_there_is_not() -> None:
    with pytest.raises(UserError, match="known: DoesNotExist, Exists, In, NotIn"):
        Selector((), (("k", "Is", frozenset()),)).chooses({})
