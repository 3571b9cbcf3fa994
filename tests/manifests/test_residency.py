"""The manifests of residency are what the rules give; an installation passes its own policies."""

import pathlib
from typing import Any

import pytest
import yaml

from components.governance.residency import checking, definition, policies, reading, rendering
from components.governance.residency.rules import policies as rules
from tests.manifests.conftest import ROOT
from tests.manifests.features import base_with
from tests.manifests.teams import one, teams

Thing = dict[str, Any]
MANIFESTS = ROOT / "manifests"
THERE = [
    f"{folder}/{path.name}"
    for folder in (rendering.FOLDER, rendering.DEFINITIONS)
    for path in sorted((MANIFESTS / folder).glob("*.yaml"))
]
NAMES = sorted(policies.name(policy) for policy in rules())


@pytest.fixture(scope="module")
def rendered() -> dict[str, str]:
    return rendering.files()


@pytest.mark.parametrize("path", THERE)
def test_a_file_is_what_its_rule_gives(path: str, rendered: dict[str, str]) -> None:
    """Otherwise: `falaj residency render --write manifests`."""
    assert (MANIFESTS / path).read_text() == rendered.get(path), "the rule gives another, or none"


def test_each_rule_has_its_files(rendered: dict[str, str]) -> None:
    assert rendered.keys() - set(THERE) == set()


def test_every_object_of_an_installation_passes_its_own_policies(things: list[Thing]) -> None:
    given = [reading.Given("overlay", thing) for thing in things]

    assert checking.hold(given, reading.Laws.of(given)) > 5


def test_every_policy_has_a_profile_wherever_it_asks(things: list[Thing]) -> None:
    """By name, and denying where there is none: a selector would find none and ask nothing."""
    profiles = {t["metadata"]["name"] for t in things if t["kind"] == "ResidencyProfile"}
    refs = [spec["paramRef"] for _, spec in _bound(things)]

    assert {ref["name"] for ref in refs} <= profiles
    assert {ref["parameterNotFoundAction"] for ref in refs} == {"Deny"}
    assert profiles == set(definition.NAMES)


def test_every_policy_is_bound_for_the_sites_law_and_for_whoever_names_another(
    things: list[Thing],
) -> None:
    law = teams(things)[0].site["FALAJ_RESIDENCY"]
    bound = dict(_bound(things))

    assert sorted(bound) == sorted([*NAMES, *(f"{name}-unlabelled" for name in NAMES)])
    for name in NAMES:
        assert _asked_of(bound[name]) == {"matchLabels": {reading.LABEL: law}}
        others, spared = _asked_of(bound[f"{name}-unlabelled"])["matchExpressions"]
        assert others == {"key": reading.LABEL, "operator": "NotIn", "values": [law]}
        assert spared["values"] == list(policies.EXEMPT)


def test_a_refusal_denies_and_is_written_down(things: list[Thing]) -> None:
    assert {tuple(spec["validationActions"]) for _, spec in _bound(things)} == {("Deny", "Audit")}


def test_where_it_warns_every_binding_does_and_only_residencys(tmp_path: pathlib.Path) -> None:
    built = base_with(tmp_path, "residency", "residency/warn", "breakglass")
    other = [t for t in built if t["kind"] == "ValidatingAdmissionPolicyBinding"]

    assert {tuple(spec["validationActions"]) for _, spec in _bound(built)} == {("Warn", "Audit")}
    deny = {t["metadata"]["name"] for t in other if "Deny" in t["spec"]["validationActions"]}
    assert deny == {"falaj-law", "falaj-breakglass"}


def test_what_a_site_declares_is_at_home_in_every_profile(things: list[Thing]) -> None:
    site = teams(things)[0].site
    declared = {name: value for name, value in site.items() if name.endswith(("_HOST", "_DOMAIN"))}

    for profile in (t["spec"] for t in things if t["kind"] == "ResidencyProfile"):
        assert set(declared.values()) <= set(profile["hosts"])
        assert f".{site['FALAJ_DOMAIN']}" == profile["suffixes"][0]
        for url in ("AWS_ENDPOINT_URL", "FALAJ_ISSUER", "FALAJ_JWKS", "PROMETHEUS_URL"):
            assert site[url].split("/")[2] in profile["hosts"]
        assert site["FALAJ_REGISTRY"].split("/")[0] in profile["hosts"]


def test_the_static_form_takes_no_parameter_and_its_name_is_reserved(tmp_path: Any) -> None:
    profile = reading.Laws.of([], "health").holding({})

    rendering.write_static(tmp_path, profile)

    things = [t for path in tmp_path.iterdir() for t in yaml.safe_load_all(path.read_text())]
    assert len(things) == 2 * len(NAMES)
    for thing in things:
        assert thing["metadata"]["name"].endswith(".static.k8s.io")
        assert not {"paramKind", "paramRef"} & thing["spec"].keys()
    assert "params." not in yaml.safe_dump_all(things)


def test_nobody_but_who_answers_for_residency_changes_a_profile(things: list[Thing]) -> None:
    rules = [(t["metadata"]["name"], rule) for t in things for rule in t.get("rules", [])]
    writes = {
        name
        for name, rule in rules
        if "residencyprofiles" in rule["resources"]
        and set(rule["verbs"]) - {"get", "list", "watch"}
    }

    assert writes == {"falaj-residency-admin"}
    role = one(things, "ClusterRole", "falaj-residency-admin")
    [names] = [rule["resourceNames"] for rule in role["rules"] if "resourceNames" in rule]
    assert set(names) == set(definition.NAMES)


def _bound(things: list[Thing]) -> list[tuple[str, Thing]]:
    found = [t for t in things if t["kind"] == "ValidatingAdmissionPolicyBinding"]
    return [
        (t["metadata"]["name"], t["spec"])
        for t in found
        if t["metadata"]["name"].startswith("falaj-residency-")
    ]


def _asked_of(spec: Thing) -> Thing:
    selector: Thing = spec["matchResources"]["namespaceSelector"]
    return selector
