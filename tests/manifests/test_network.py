"""Who may open a connection to what serves, by the policies as a network would read them."""

from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from components.deployment import slots
from components.deployment.slots import Capacity, Version
from components.foundation.sealing.uri import ReleaseUri
from tests.manifests.conftest import ROOT, built

Labels = Mapping[str, str]
Thing = dict[str, Any]
OURS, ELSEWHERE = {"kubernetes.io/metadata.name": "falaj"}, {"kubernetes.io/metadata.name": "x"}
ADMITTED = {**ELSEWHERE, "falaj.example/reaches-models": "true"}
DNS = {"kubernetes.io/metadata.name": "kube-system"}
STEP = {"pipelines.kubeflow.org/v2_component": "true"}


def served(component: str) -> Labels:
    """The labels of a model's pods: KServe copies those of its InferenceService."""
    release = ReleaseUri("falaj-models", "delays", "0123456789ab")
    service = slots.manifest(Version("a", release), Capacity())
    return {**service["metadata"]["labels"], "component": component}


def gateway() -> Labels:
    """The labels of a Gateway's own pods."""
    path = ROOT / "manifests/gateway/gateway-falaj.yaml"
    name = yaml.safe_load(path.read_text())["metadata"]["name"]
    return {"gateway.networking.k8s.io/gateway-name": name}


def router() -> Labels:
    found = yaml.safe_load((ROOT / "manifests/router/deployment-falaj-router.yaml").read_text())
    labels: Labels = found["spec"]["template"]["metadata"]["labels"]
    return labels


def policies() -> list[Thing]:
    folders = ("manifests/network", "manifests/router")
    things = [thing for folder in folders for thing in yaml.safe_load_all(built(folder))]
    return [thing["spec"] for thing in things if thing["kind"] == "NetworkPolicy"]


def passes(way: str, pod: Labels, other: Labels, namespace: Labels, port: int) -> bool:
    """Say whether a pod's policies let a connection through: "ingress" from, "egress" to."""
    ours = [p for p in policies() if selects(p["podSelector"], pod)]
    binding = [p for p in ours if way.capitalize() in p["policyTypes"]]
    assert binding or way == "egress", f"nothing holds {pod}"
    side = "from" if way == "ingress" else "to"
    rules = [rule for policy in binding for rule in policy.get(way, [])]
    return not binding or any(
        port in {p["port"] for p in rule["ports"]}
        and any(_peer(peer, other, namespace) for peer in rule[side])
        for rule in rules
    )


def selects(selector: Thing, labels: Labels) -> bool:
    assert selector.keys() <= {"matchLabels", "matchExpressions"}
    assert all(e["operator"] == "In" for e in selector.get("matchExpressions", []))
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        labels.get(e["key"]) in e["values"] for e in selector.get("matchExpressions", [])
    )


def _peer(peer: Thing, labels: Labels, namespace: Labels) -> bool:
    if "namespaceSelector" not in peer and namespace != OURS:
        return False
    return selects(peer.get("podSelector", {}), labels) and selects(
        peer.get("namespaceSelector", {}), namespace
    )


@pytest.mark.parametrize("component", ["predictor", "transformer"])
@pytest.mark.parametrize(
    ("other", "namespace", "admitted"),
    [
        pytest.param(gateway(), OURS, True, id="our gateway"),
        pytest.param(router(), OURS, True, id="the router"),
        pytest.param(STEP, OURS, True, id="a pipeline's step"),
        pytest.param({"app": "prometheus"}, ADMITTED, True, id="a namespace that was admitted"),
        pytest.param({}, OURS, False, id="a stranger beside it"),
        pytest.param({}, ELSEWHERE, False, id="a stranger elsewhere"),
        pytest.param(gateway(), ELSEWHERE, False, id="a gateway's labels elsewhere"),
        pytest.param(router(), ELSEWHERE, False, id="the router's labels elsewhere"),
    ],
)
def test_a_model_is_reached_by_those_who_have_to(
    component: str, other: Labels, namespace: Labels, admitted: bool
) -> None:
    assert passes("ingress", served(component), other, namespace, 8080) is admitted


def test_a_server_is_reached_by_transformers_and_not_the_other_way() -> None:
    server, transformer = served("predictor"), served("transformer")

    assert passes("ingress", server, transformer, OURS, 8080)
    assert not passes("ingress", transformer, server, OURS, 8080)


def test_only_the_port_of_inference_is_open() -> None:
    assert not passes("ingress", served("predictor"), gateway(), OURS, 9000)


@pytest.mark.parametrize(
    ("other", "namespace", "port", "admitted"),
    [
        pytest.param(served("predictor"), OURS, 8080, True, id="a server"),
        pytest.param(served("transformer"), OURS, 8080, True, id="a transformer"),
        pytest.param({}, DNS, 53, True, id="names"),
        pytest.param({}, DNS, 443, False, id="another service there"),
        pytest.param({}, OURS, 8080, False, id="a stranger"),
        pytest.param({}, ELSEWHERE, 443, False, id="the world"),
    ],
)
def test_the_router_reaches_names_and_models_only(
    other: Labels, namespace: Labels, port: int, admitted: bool
) -> None:
    assert passes("egress", router(), other, namespace, port) is admitted
