"""The feature `residency/warn` on a real API server: what would be refused passes, and is told."""

import contextlib
from collections.abc import Iterator

import pytest

from components.governance.residency import checking, policies, profiles, rules
from tests.cluster.ground.clients import Access
from tests.cluster.residency import court
from tests.cluster.residency.court import Court, Thing, until
from tests.manifests.features import base_with, one

NAME, LAW = "residency-warn", "health"
POLICY = rules.policy("services")
ABROAD: Thing = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "out"},
    "spec": {"type": "ExternalName", "externalName": "s3.eu-west-1.amazonaws.com"},
}


@pytest.fixture(scope="module")
def actions(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What a binding does in an installation that names the feature."""
    built = base_with(tmp_path_factory.mktemp("overlay"), "residency", "residency/warn")
    bound = one(built, "ValidatingAdmissionPolicyBinding", policies.name(POLICY))
    found: list[str] = bound["spec"]["validationActions"]
    return found


@pytest.fixture(scope="module")
def bench(ground: Access, actions: list[str]) -> Iterator[Court]:
    """One policy in force three times: it refuses, it warns, it warns and its profile is gone."""
    ground.kubectl("create", "namespace", NAME)
    with contextlib.ExitStack() as stack:
        stack.callback(ground.kubectl, "delete", "namespace", NAME, "--wait=false")
        found = stack.enter_context(court.in_session(ground, NAME, [LAW], [POLICY]))
        for label, profile in (("warn", LAW), ("lost", "nobody-made-it")):
            bound = found.bind(POLICY, label)
            bound["spec"]["validationActions"] = actions
            bound["spec"]["paramRef"]["name"] = profile
            found.make(bound)
        until(lambda: not found.judge(ABROAD, LAW).taken, "the policy refuses")
        until(lambda: found.judge(ABROAD, "warn").warned, "the policy warns")
        until(lambda: not found.judge(ABROAD, "lost").taken, "the policy misses its profile")
        yield found


def sentence(bench: Court, label: str) -> str:
    [found] = checking.judge(bench.held(ABROAD, label), profiles.all_by_name()[LAW])
    return found.message


def test_what_would_be_refused_passes_with_the_same_sentence_as_a_warning(bench: Court) -> None:
    refused, warned = bench.judge(ABROAD, LAW), bench.judge(ABROAD, "warn")

    assert refused.said.endswith(sentence(bench, LAW))
    assert warned.taken
    [warning] = warned.warned
    assert warning.endswith(sentence(bench, "warn"))


def test_a_policy_without_its_profile_refuses_all_the_same(bench: Court) -> None:
    assert "no params found" in bench.judge(ABROAD, "lost").said
