"""Who reaches whom, by the policies as a network reads them, against the table of the docs."""

import copy
import functools
import pathlib
from collections.abc import Callable, Collection, Mapping
from typing import Any

import pytest
import yaml

from components.deployment import slots
from components.deployment.slots import Capacity, Version
from components.foundation.sealing.uri import ReleaseUri
from tests.manifests.conftest import OVERLAYS, ROOT, built
from tests.manifests.features import overlay_with
from tests.manifests.reach import table
from tests.manifests.reach.policies import Party, Policy
from tests.manifests.reach.roles import Role, named_in, of_knative, roles_of
from tests.manifests.reach.table import Compared

Thing = dict[str, Any]
PAGE = (ROOT / "docs/network.md").read_text()
ALONE, KNATIVE = "manifests/network", "manifests/network-knative"
POLICIES, KNATIVES = (
    sorted(path.stem for path in (ROOT / folder).glob("networkpolicy-*.yaml"))
    for folder in (ALONE, KNATIVE)
)
MORE = [
    {"ipBlock": {"cidr": "0.0.0.0/0"}},
    {"podSelector": {"matchLabels": {"app": "stranger"}}},
    {"namespaceSelector": {"matchLabels": {"team": "friends"}}},
]

FEATURES = {  # what has a table of its own, by an object that tells it
    table.IN_A_MESH: ("PeerAuthentication", "falaj"),
    table.BREAKGLASS: ("CronJob", "falaj-breakglass"),
    table.ATTESTOR: ("CronJob", "falaj-residency-attestor"),
    table.KNATIVE: ("NetworkPolicy", "falaj-queues-from-callers"),
}
TEMPLATES: Mapping[str, Callable[[Thing], dict[str, str]]] = {
    "Deployment": lambda spec: spec["template"]["metadata"]["labels"],
    "Job": lambda spec: spec["template"]["metadata"]["labels"],
    "CronJob": lambda spec: spec["jobTemplate"]["spec"]["template"]["metadata"]["labels"],
}


def served(component: str) -> Mapping[str, str]:
    """The labels of a model's pods: KServe copies those of its InferenceService."""
    release = ReleaseUri("falaj-models", "delays", "0123456789ab")
    service = slots.manifest(Version("a", release), Capacity())
    labels: dict[str, str] = service["metadata"]["labels"]
    return {
        "app.kubernetes.io/part-of": labels["app.kubernetes.io/part-of"],
        "component": component,
    }


@functools.cache
def build(folder: str) -> tuple[Thing, ...]:
    return tuple(yaml.safe_load_all(built(folder)))


def site() -> Mapping[str, str]:
    text = (ROOT / "manifests/storage/configmap-falaj-site.yaml").read_text()
    found: Mapping[str, str] = yaml.safe_load(text)["data"]
    return found


def roles(at: Mapping[str, str], home: str) -> list[Role]:
    pods = {"servers": served("predictor"), "transformers": served("transformer")}
    return named_in(at, home, pods)


def compared(
    things: list[Thing], at: Mapping[str, str], home: str, tables: Collection[str] = ()
) -> Compared:
    """Hold the policies of one namespace against tables: else those for what is there."""
    tables = tables or headings(things)
    found = [Policy.parse(t) for t in things if t["kind"] == "NetworkPolicy"]
    ours = [policy for policy in found if policy.namespace == home]
    flows = table.read(PAGE, at, tables)
    who = roles(at, home) + (of_knative() if table.KNATIVE in tables else [])
    return table.compare(flows, ours, who, home)


def headings(things: list[Thing]) -> set[str]:
    kinds = {(t["kind"], t["metadata"]["name"]) for t in things}
    return {table.ALWAYS} | {name for name, thing in FEATURES.items() if thing in kinds}


def alone(name: str = POLICIES[0]) -> list[Thing]:
    """The policies of the feature, with Knative's beside them if one of those is meant."""
    return copy.deepcopy([*build(ALONE), *(build(KNATIVE) if name in KNATIVES else ())])


def held(things: list[Thing], name: str = POLICIES[0]) -> Compared:
    tables = {table.ALWAYS, *([table.KNATIVE] if name in KNATIVES else [])}
    return compared(things, site(), "falaj", tables)


def named(things: list[Thing], name: str) -> Thing:
    [found] = [t for t in things if f"networkpolicy-{t['metadata']['name']}" == name]
    spec: Thing = found["spec"]
    return spec


def test_the_flows_are_those_of_the_table_and_no_others() -> None:
    seen = held(alone())

    assert sorted(seen.unlisted) == []
    assert sorted(seen.missing) == []
    assert seen.listed > 400


def test_knative_adds_the_flows_of_its_table_and_no_others() -> None:
    seen = held(alone(KNATIVES[0]), KNATIVES[0])

    assert sorted(seen.unlisted) == []
    assert sorted(seen.missing) == []


def test_named_together_in_one_overlay_they_have_both_tables_flows(tmp_path: pathlib.Path) -> None:
    """As the page says to name them, in another namespace and with gateways elsewhere."""
    elsewhere = {"FALAJ_NAMESPACE": "bank", "FALAJ_GATEWAY_NAMESPACE": "gateways"}
    things = overlay_with(tmp_path, elsewhere, "network", "knative", "network/knative")
    seen = compared(things, {**site(), **elsewhere}, "bank")

    assert headings(things) == {table.ALWAYS, table.KNATIVE}
    assert sorted(seen.unlisted) == []
    assert sorted(seen.missing) == []


def test_without_knatives_flows_its_queues_are_shut() -> None:
    missing = "\n".join(held(alone(), KNATIVES[0]).missing)

    assert all(f" {port}/TCP" in missing for port in (8012, 8081, 8112, 9090))


@pytest.mark.parametrize("name", [*POLICIES, *KNATIVES])
def test_a_rule_for_anybody_leaves_the_table(name: str) -> None:
    things = alone(name)
    policy = named(things, name)
    for way in policy["policyTypes"]:
        policy.setdefault(way.lower(), []).append({})

    assert held(things, name).unlisted


@pytest.mark.parametrize("name", [*POLICIES, *KNATIVES])
def test_one_more_peer_leaves_the_table(name: str) -> None:
    """Also a pod beside it, whose own side is shut: half a path is a door."""
    things = alone(name)
    policy = named(things, name)
    for way, side in (("Ingress", "from"), ("Egress", "to")):
        if way in policy["policyTypes"]:
            rule = {"ports": [{"port": 8080, "protocol": "TCP"}], side: MORE}
            policy.setdefault(way.lower(), []).append(rule)

    unlisted = "\n".join(held(things, name).unlisted)

    assert "falaj/app=stranger" in unlisted
    assert "elsewhere/no labels" in unlisted
    assert "255.255.255.255" in unlisted


def test_without_the_denial_whoever_has_no_flow_is_open() -> None:
    things = [t for t in alone() if t["metadata"]["name"] != "falaj-deny"]

    unlisted = held(things).unlisted

    assert "elsewhere/no labels -> falaj/no labels 22/TCP" in unlisted


@pytest.mark.parametrize("name", sorted({*POLICIES, *KNATIVES} - {"networkpolicy-falaj-deny"}))
def test_a_flow_that_is_gone_is_missed(name: str) -> None:
    things = [t for t in alone(name) if f"networkpolicy-{t['metadata']['name']}" != name]

    assert held(things, name).missing


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_has_the_flows_of_the_table_where_its_site_is(overlay: str) -> None:
    things = list(build(f"kustomize/overlays/{overlay}"))
    sites = [t for t in things if (t["kind"], t["metadata"]["name"]) == ("ConfigMap", "falaj-site")]

    assert sites
    for one in sites:
        seen = compared(things, one["data"], one["metadata"]["namespace"])
        assert sorted(seen.unlisted) == []
        assert sorted(seen.missing) == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_of_an_overlay_has_a_name_in_the_table(overlay: str) -> None:
    for thing in build(f"kustomize/overlays/{overlay}"):
        if thing["kind"] in TEMPLATES:
            home = thing["metadata"]["namespace"]
            pod = Party(home, "10.0.0.9", TEMPLATES[thing["kind"]](thing["spec"]), home)
            assert len(roles_of(pod, roles(site(), home), home)) > 1, thing["metadata"]["name"]
