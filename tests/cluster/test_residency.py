"""A real API server judges the whole corpus as `falaj residency check` does, by the same text."""

import functools
import itertools
import json
import re
from collections.abc import Iterator

import pytest

from components.governance.residency import checking, policies, profiles, rules
from components.governance.residency.rules import Policy
from tests.cluster.ground.clients import Access
from tests.cluster.residency import court
from tests.cluster.residency.asking import Answer
from tests.cluster.residency.court import ROOT, Court, Thing, until
from tests.components.governance.residency import corpus
from tests.components.governance.residency.corpus import Case

CASES = corpus.cases()
LAWS = sorted({case.profile for case in CASES})
PROFILES = profiles.all_by_name()
# What an API server takes away unless a feature of it is on.
DROPPED = {"storage.claim-of-another-namespace-abroad": "hospital"}
# Refused on both sides, for one more reason or one less: which key of a map comes first is chance.
BY_CHANCE = {"monitoring.logs-of-fluentd-abroad3", "monitoring.logs-of-fluent-bit-abroad1"}
_BY_A_POLICY = " denied request: "
_TYPED = "-typed"
WITHOUT_PARAMETERS = [
    rules.policy(name) for name in ("inferenceservices", "pods", "storageclasses")
]
_STATIC = "static"  # in the place of a law: what is held to the files for an API server


@pytest.fixture(scope="module")
def room(ground: Access) -> Iterator[str]:
    """A namespace for this file; nothing is kept in it."""
    name = "residency-corpus"
    ground.kubectl("create", "namespace", name)
    until(lambda: "default" in ground.kubectl("-n", name, "get", "sa").stdout, "it has an account")
    yield name
    ground.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def bench(ground: Access, room: str) -> Iterator[Court]:
    """All policies in force for what carries a label of this file."""
    with court.in_session(ground, room, LAWS) as found:
        for policy in rules.policies():
            found.make(_in_named_versions(found, policy))
        for thing in itertools.chain(*(_static(found, one) for one in WITHOUT_PARAMETERS)):
            found.make(thing)
        asked = list(itertools.product(LAWS, rules.policies()))
        for law, policy in [*asked, *((_STATIC, one) for one in WITHOUT_PARAMETERS)]:
            refused = functools.partial(_denied, found, _one_of(policy), law)
            until(refused, f"{policy.name} is in force for {law}")
        yield found


def _denied(bench: Court, case: Case, law: str) -> bool:
    return _BY_A_POLICY in bench.judge(case.thing, law).said


def _one_of(policy: Policy) -> Case:
    """Return something that a policy refuses under whatever law."""
    return next(case for case in CASES if case.refused and policy.covers(case.thing))


@pytest.mark.parametrize("case", [one for one in CASES if str(one) not in DROPPED], ids=str)
def test_the_api_server_decides_as_we_do_without_it_and_says_the_same(
    bench: Court, case: Case
) -> None:
    answer = bench.judge(case.thing, case.profile)

    assert answer.taken != case.refused, answer.said
    if case.refused and str(case) not in BY_CHANCE:
        said = answer.said.partition(_BY_A_POLICY)[2]
        assert _words(said) in [_words(one) for one in _offline(bench, case, answer)]


@pytest.mark.parametrize("case", [one for one in CASES if str(one) in DROPPED], ids=str)
def test_a_field_that_the_api_server_drops_leads_nowhere(bench: Court, case: Case) -> None:
    """Without the gate of a feature; with it, the policy sees the field."""
    answer = bench.judge(case.thing, case.profile)

    assert answer.taken
    assert DROPPED[str(case)] not in json.dumps(answer.body)


@pytest.mark.parametrize("policy", WITHOUT_PARAMETERS, ids=policies.name)
def test_without_parameters_the_same_is_refused_and_allowed(bench: Court, policy: Policy) -> None:
    """As files of the API server would: this release takes none, so they are created here."""
    for case in (one for one in CASES if policy.covers(one.thing)):
        answer = bench.judge(case.thing, _STATIC)
        assert answer.taken != case.refused, f"{case}: {answer.said}"


def _static(bench: Court, policy: Policy) -> list[Thing]:
    """Return the files' policy and its binding, without the ending that is reserved for files."""
    found = policies.static(policy, PROFILES["health"])
    found["metadata"]["name"] = f"{policies.name(policy)}-{bench.label}-{_STATIC}"
    bound = bench.bind(policy, _STATIC)
    bound["spec"]["policyName"] = found["metadata"]["name"]
    del bound["spec"]["paramRef"]
    return [found, bound]


def _offline(bench: Court, case: Case, answer: Answer) -> list[str]:
    """Judge here; of an object without a name, under the one that the API server made up."""
    thing = bench.held(case.thing, case.profile)
    name = answer.said.partition(_BY_A_POLICY)[2].split(" ")[1].rstrip(":")
    thing["metadata"].setdefault("name", name)
    judged = checking.judge(thing, PROFILES[case.profile])
    return [one.message for one in judged if one.findings]


def _words(text: str) -> list[str]:
    """Return the words of a sentence; maps are gone through in whatever order."""
    return sorted(re.split("[ ,.;]+|: ", text))


def test_no_expression_has_a_warning_when_the_api_server_checks_its_types(bench: Court) -> None:
    warned = {policy.name: _warnings(bench, policy) for policy in rules.policies()}

    assert {name: said for name, said in warned.items() if said} == {}


def _in_named_versions(bench: Court, policy: Policy) -> Thing:
    """Return a policy that names versions that are served: types are checked in those alone."""
    found = bench.own(policies.admission(policy), _TYPED)
    for rule in found["spec"]["matchConstraints"]["resourceRules"]:
        plural = rule["resources"][0].partition("/")[0]
        rule["apiVersions"] = bench.server.versions(rule["apiGroups"][0], plural) or ["v1"]
    return found


def _warnings(bench: Court, policy: Policy) -> list[str]:
    name = bench.own(policies.admission(policy), _TYPED)["metadata"]["name"]

    def checked() -> Thing | None:
        status = bench.server.send("GET", f"{ROOT}/validatingadmissionpolicies/{name}").body
        found: Thing | None = status.get("status", {}).get("typeChecking")
        return found

    found = until(checked, f"{name} is checked")
    return [f"{one['fieldRef']}: {one['warning']}" for one in found.get("expressionWarnings", [])]
