"""The form without parameters, with a profile in its text, decides as the one with parameters."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import pytest

from components.foundation.site import Profile
from components.governance.residency import checking, policies, profiles, rules
from components.governance.residency.rules import Policy
from tests.components.governance.residency.corpus import Case, cases

BASIS = {
    "id": "t-1",
    "article": "Article 23(1)(a) of the bank's own 'list'",
    "places": ["s3.eu-west-1.amazonaws.com"],
    "recordedBy": "dpo@bank.example",
    "recordedOn": "2026-11-02",
}
_NO_PARAMETERS = {"spec": {"law": ""}}  # whatever reads params finds nothing


def static(policy: Policy, profile: Mapping[str, Any]) -> Policy:
    """Return a policy with the expressions that its file has."""
    rows = policies.static(policy, profile)["spec"]["variables"]
    texts = tuple((row["name"], row["expression"]) for row in rows)
    return dataclasses.replace(policy, variables=texts)


@pytest.fixture(scope="module")
def strict() -> tuple[Policy, ...]:
    profile = profiles.profile(Profile.HEALTH)
    return tuple(static(policy, profile) for policy in rules.policies())


@functools.cache
def by_file() -> Mapping[str, list[Case]]:
    found: dict[str, list[Case]] = {}
    for case in cases():
        found.setdefault(case.name.partition(".")[0], []).append(case)
    return found


@pytest.mark.parametrize("name", by_file())
def test_it_decides_of_every_object_as_with_a_parameter(
    strict: tuple[Policy, ...], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "policies", lambda: strict)
    strange = []

    for case in by_file()[name]:
        refused = any(one.findings for one in checking.judge(case.thing, _NO_PARAMETERS))
        if refused != case.refused:
            strange.append(str(case))

    assert strange == []


def test_every_policy_has_objects_in_the_corpus_that_it_refuses() -> None:
    refused = [case for case in cases() if case.refused]
    covered = {p.name for p in rules.policies() if any(p.covers(one.thing) for one in refused)}

    assert covered == {policy.name for policy in rules.policies()}


@pytest.mark.parametrize(
    ("basis", "expected"), [("t-1", "a transfer"), ("t-2", "refused"), ("", "refused")]
)
def test_a_recorded_basis_is_in_the_file(
    basis: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = profiles.profile(Profile.PDPL)
    profile["spec"] |= {"bases": [BASIS]}
    thing = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "out", "annotations": {"falaj.example/transfer-basis": basis}},
        "spec": {"type": "ExternalName", "externalName": "s3.eu-west-1.amazonaws.com"},
    }
    one = static(rules.policy("services"), profile)
    monkeypatch.setattr(checking, "policies", lambda: (one,))

    [judged] = checking.judge(thing, _NO_PARAMETERS)

    assert bool(judged.findings) is (expected == "refused")
    assert bool(judged.transfers) is (expected == "a transfer")
