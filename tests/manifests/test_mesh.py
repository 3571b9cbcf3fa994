"""The mesh and Cilium say of callers and hosts what the policies say of pods and addresses."""

import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.manifests.conftest import OVERLAYS, ROOT, built
from tests.manifests.reach import table
from tests.manifests.test_network import PAGE, build, compared, site

Thing = dict[str, Any]
NOWHERE = "kube-node-lease"  # a namespace without pods: the site named none
CALLERS = {  # as whom each party of the table comes
    "the Gateway": "falaj-istio",
    "other gateways": NOWHERE,
    "the router": "falaj-router",
    "transformers": "falaj-serving",
    "steps": "falaj-runner",
    "Prometheus": "monitoring/prometheus-k8s",
    "training": "falaj-training",
}
LISTENERS = {
    "servers": "falaj-predictors",
    "transformers": "falaj-transformers",
    "the router": "falaj-router",
    "training": "falaj-training",
}
STRANGERS = {"falaj-istio", NOWHERE}  # who brings requests of others


def mesh(kind: str, name: str) -> Thing:
    """The spec of an object of the mesh."""
    return one("manifests/mesh", kind, name)


def one(folder: str, kind: str, name: str) -> Thing:
    [found] = [t for t in build(folder) if (t["kind"], t["metadata"]["name"]) == (kind, name)]
    spec: Thing = found["spec"]
    return spec


def callers(rule: Thing) -> set[str]:
    sources = [one["source"] for one in rule["from"]]
    return {who for s in sources for who in s.get("serviceAccounts", s.get("namespaces"))}


def accounts() -> Iterator[str]:
    for path in (ROOT / "manifests").rglob("serviceaccount-*.yaml"):
        yield yaml.safe_load(path.read_text())["metadata"]["name"]


def test_nothing_is_taken_without_a_certificate_and_a_rule() -> None:
    assert mesh("PeerAuthentication", "falaj")["mtls"] == {"mode": "STRICT"}
    assert mesh("AuthorizationPolicy", "falaj-deny") == {}


@pytest.mark.parametrize("target", LISTENERS)
def test_who_may_ask_is_who_may_connect(target: str) -> None:
    rules = mesh("AuthorizationPolicy", LISTENERS[target])["rules"]
    connects = {f.source for f in table.read(PAGE, site()) if f.target == target}

    assert {who for rule in rules for who in callers(rule)} == {CALLERS[one] for one in connects}


@pytest.mark.parametrize("target", ["servers", "transformers", "the router"])
def test_requests_of_others_need_a_token_of_theirs(target: str) -> None:
    for rule in mesh("AuthorizationPolicy", LISTENERS[target])["rules"]:
        demanded = {when["key"]: when["values"] for when in rule.get("when", [])}
        assert (demanded != {}) == bool(callers(rule) & STRANGERS)
        assert demanded in (
            {},
            {
                "request.auth.claims[iss]": [site()["FALAJ_ISSUER"]],
                "request.auth.claims[scope]": ["falaj:infer"],
            },
        )


@pytest.mark.parametrize("target", ["servers", "transformers", "the router"])
def test_only_prometheus_reads_metrics_and_nothing_else(target: str) -> None:
    for rule in mesh("AuthorizationPolicy", LISTENERS[target])["rules"]:
        [to] = [one["operation"] for one in rule["to"]]
        prometheus = callers(rule) == {CALLERS["Prometheus"]}
        assert ("/metrics" in to["paths"]) is prometheus
        assert not prometheus or to["paths"] == ["/metrics"]
        assert to["ports"] == ["8080"]


def test_the_gateway_asks_for_the_token_that_the_models_ask_for() -> None:
    [rule] = mesh("AuthorizationPolicy", "falaj-gateway")["rules"]
    theirs = mesh("AuthorizationPolicy", "falaj-predictors")["rules"][0]
    [token] = mesh("RequestAuthentication", "falaj")["jwtRules"]

    assert rule["when"] == theirs["when"]
    assert token["issuer"] == rule["when"][0]["values"][0]
    assert token["forwardOriginalToken"] is True


def test_every_account_of_ours_that_may_ask_exists() -> None:
    ours = {who for who in CALLERS.values() if who.startswith("falaj-")} - {"falaj-istio"}

    assert ours <= set(accounts())


def test_our_gateways_account_is_named_as_istio_names_it() -> None:
    gateway = one("manifests/gateway", "Gateway", "falaj")

    assert CALLERS["the Gateway"] == f"falaj-{gateway['gatewayClassName']}"


def test_pods_know_the_namespaces_that_the_table_names_and_no_others() -> None:
    [egress] = mesh("Sidecar", "falaj")["egress"]
    at = site()
    named = {key for key in at if key.endswith("_NAMESPACE")} - {"FALAJ_NAMESPACE"}
    theirs = {f"{at[key]}/*" for key in named - {"FALAJ_GATEWAY_NAMESPACE"}}

    assert mesh("Sidecar", "falaj")["outboundTrafficPolicy"] == {"mode": "REGISTRY_ONLY"}
    own = {"./*", "istio-system/*", "default/kubernetes.default.svc.cluster.local"}
    assert set(egress["hosts"]) == theirs | own


def test_the_mesh_adds_the_flow_to_istio_and_no_other() -> None:
    things = [*build("manifests/network"), *build("manifests/mesh")]
    unsaid = [thing for thing in things if thing["kind"] == "NetworkPolicy"]

    seen = compared(things, site(), "falaj")

    assert (sorted(seen.unlisted), sorted(seen.missing)) == ([], [])
    assert compared(unsaid, site(), "falaj").unlisted


@pytest.mark.parametrize("concern", ["attestor", "breakglass"])
def test_a_concern_adds_its_flows_and_no_other(concern: str) -> None:
    things = [*build("manifests/network"), *build(f"manifests/{concern}")]

    seen = compared(things, site(), "falaj")

    assert (sorted(seen.unlisted), sorted(seen.missing)) == ([], [])


def test_cilium_opens_no_flow_that_the_policies_do_not() -> None:
    concerns = ("network", "breakglass", "attestor")
    things = [thing for concern in concerns for thing in build(f"manifests/{concern}")]
    flows = {t["metadata"]["name"]: t["spec"] for t in things if t["kind"] == "NetworkPolicy"}

    for thing in build("manifests/cilium"):
        theirs, ours = thing["spec"], flows[thing["metadata"]["name"]]
        [rule], [port] = theirs["egress"], theirs["egress"][0]["toPorts"][0]["ports"]
        assert theirs["endpointSelector"] == ours["podSelector"]
        assert int(port["port"]) in {one["port"] for one in ours["egress"][0]["ports"]}
        assert rule.keys() - {"toPorts"} <= {"toFQDNs", "toEntities", "toEndpoints"}


@pytest.mark.parametrize("party", ["STORE", "KEEPER", "ONLINE", "SOURCES"])
def test_a_host_outside_is_the_sites_for_both(party: str) -> None:
    host, port = (site()[f"FALAJ_{party}_{what}"] for what in ("HOST", "PORT"))

    entry = mesh("ServiceEntry", f"falaj-{party.lower()}")
    assert (entry["hosts"], entry["ports"][0]["number"]) == ([host], int(port))
    for thing in build("manifests/cilium"):
        if thing["metadata"]["name"].endswith(f"-to-{party.lower()}"):
            [rule] = thing["spec"]["egress"]
            assert rule["toFQDNs"] == [{"matchName": host}]
            assert rule["toPorts"][0]["ports"][0]["port"] == port


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_network_and_the_steps_are_told_of_the_same_store(overlay: str) -> None:
    for thing in yaml.safe_load_all(built(f"kustomize/overlays/{overlay}")):
        if (thing["kind"], thing["metadata"]["name"]) == ("ConfigMap", "falaj-site"):
            at = thing["data"]
            host = urllib.parse.urlsplit(at["AWS_ENDPOINT_URL"]).hostname or ""
            inside = host.endswith(f".{at['FALAJ_STORE_NAMESPACE']}.svc")
            assert inside or host == at["FALAJ_STORE_HOST"]
