"""Each list of a rule is needed: an object of the corpus shows what only it refuses."""

import functools
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from components.foundation.site import Profile
from components.governance.residency import cel, profiles, rules
from tests.components.governance.residency.corpus import Case, cases

FOLDER = pathlib.Path(rules.__file__).parent
FILES = {file.stem: file for file in sorted((FOLDER / "rules").glob("*.yaml"))}
RULES: dict[str, dict[str, Any]] = {name: yaml.safe_load(FILES[name].read_text()) for name in FILES}
SAID = ("uris", "ends", "hosts", "images", "networks", "ids", "places")


def lists(rule: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield what a rule says, and what it refuses by number."""
    yield from ((name, 0) for name in SAID if name in rule)
    yield from (("refuses", number) for number, _ in enumerate(rule.get("refuses", [])))


def without(rule: Mapping[str, Any], name: str, number: int) -> dict[str, Any]:
    """Return the rule with one list emptied."""
    if name != "refuses":
        return {**rule, name: "[]"}
    rows = list(rule["refuses"])
    rows[number] = {**rows[number], "items": "[]"}
    return {**rule, "refuses": rows}


@pytest.mark.parametrize(
    ("rule", "name", "number"), [(rule, *one) for rule in RULES for one in lists(RULES[rule])]
)
def test_no_list_of_a_rule_can_be_emptied_unseen(rule: str, name: str, number: int) -> None:
    changed = rules.put_together(rule, "", without(RULES[rule], name, number), rules.shared())

    assert any(judged(changed, case) != findings for case, findings in refused(rule))


@pytest.mark.parametrize(
    ("part", "name", "number"),
    [(part, *one) for part, rule in rules.shared().items() for one in lists(rule)],
)
def test_no_list_that_rules_share_can_be_emptied_unseen(part: str, name: str, number: int) -> None:
    common = rules.shared()
    parts = {**common, part: without(common[part], name, number)}
    users = [rule for rule in RULES if part in RULES[rule]]
    changed = {rule: rules.put_together(rule, "", RULES[rule], parts) for rule in users}

    assert any(
        judged(changed[rule], case) != findings
        for rule in sorted(users, key=lambda rule: rule != part)
        for case, findings in refused(rule)
    )


@functools.cache
def refused(rule: str) -> list[tuple[Case, tuple[str, ...]]]:
    """Return the objects that a rule is about and that are refused, with what it says of them."""
    policy = rules.policy(rule)
    abroad = (case for case in cases() if case.refused and policy.covers(case.thing))
    return [(case, judged(policy, case)) for case in abroad]


def judged(policy: rules.Policy, case: Case) -> tuple[str, ...]:
    return tuple(cel.evaluate(policy, case.thing, law(case.profile))["findings"])


@functools.cache
def law(name: str) -> dict[str, Any]:
    """Return a profile that knows no other country by name: it says less, and refuses as much."""
    profile = profiles.profile(Profile(name))
    return profile | {"spec": profile["spec"] | {"elsewhere": ""}}


def pod(**spec: Any) -> dict[str, Any]:
    metadata = {"name": "reader"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def findings(thing: dict[str, Any]) -> str:
    return " ".join(cel.evaluate(rules.policy("pods"), thing, law("health"))["findings"])


def test_a_container_that_is_added_to_a_pod_is_judged() -> None:
    added = pod(containers=[], ephemeralContainers=[{"name": "shell", "image": "busybox"}])

    assert "spec.containers[shell].image = busybox" in findings(added)


def test_an_image_that_is_mounted_is_judged() -> None:
    mounted = pod(volumes=[{"name": "model", "image": {"reference": "quay.io/models/x"}}])

    assert "spec.volumes[model].image.reference = quay.io/models/x" in findings(mounted)


def test_refuses_more_addresses_than_an_api_server_has_time_for() -> None:
    few, many = (
        pod(containers=[{"name": "main", "args": ["http://store.falaj.svc/x\n" * number]}])
        for number in (200, 201)
    )

    assert not findings(few)
    assert "more than 200 addresses" in findings(many)


def test_a_long_text_without_addresses_is_read_at_once() -> None:
    embedded = pod(containers=[{"name": "main", "args": ["A//B" * 50_000]}])

    assert not findings(embedded)


@pytest.mark.parametrize("name", ["profile", "own", "named"])
def test_no_variable_has_the_name_of_another(name: str) -> None:
    """One of those before a rule's own, one that is its own and a part's, one of those after."""
    part = {"twice": "[]", "lets": {"own": "[]", "hidden": "variables.own"}}
    rule = {"matches": [], "twice": "[]", "lets": {name: "[]"}}

    with pytest.raises(ValueError, match=f"^{name}: named twice"):
        rules.put_together("a", "", rule, {"twice": part})


@pytest.mark.parametrize("text", ["variables.own", "variables.later", "size(variables.findings)"])
def test_no_variable_reads_itself_or_one_that_comes_later(text: str) -> None:
    """The API server evaluates one that reads itself until its whole process ends."""
    rule = {"matches": [], "lets": {"own": text, "later": "[]"}}

    with pytest.raises(ValueError, match=r"^own: .*reads \['(own|later|findings)'\] before"):
        rules.put_together("a", "", rule, {})
