"""What the reading of NetworkPolicies means, case by case, and against a second reading of it."""

import ipaddress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.manifests.reach.policies import Party, Passage, Policy, Port

Spec = dict[str, Any]
POD = Party("pod", "10.0.0.1", {"app": "a"}, "n", {"team": "t"}, {("TCP", "web"): 80})
OTHER = Party("other", "10.0.0.2", {"app": "b"}, "n", {"team": "t"})
AWAY = Party("away", "10.0.1.3", {"app": "a"}, "m", {"team": "u"})
WORLD = Party("world", "192.0.2.9")
ALL = (POD, OTHER, AWAY, WORLD)
PORTS: tuple[Port, ...] = ((80, "TCP"), (81, "TCP"), (90, "TCP"), (80, "UDP"))


def policy(spec: Spec, namespace: str = "n") -> Spec:
    return {"metadata": {"name": "p", "namespace": namespace}, "spec": spec}


def passes(specs: list[Spec], source: Party, target: Party, port: Port = (80, "TCP")) -> bool:
    found = [Policy.parse(policy(spec)) for spec in specs]
    return port in Passage.between(found, source, target).open([port])


def into(*peers: Spec, ports: list[Spec] | None = None) -> Spec:
    """A policy on POD that lets these in."""
    rule: Spec = {"from": list(peers), "ports": ports or []}
    return {"podSelector": {"matchLabels": {"app": "a"}}, "ingress": [rule]}


def test_a_pod_that_no_policy_selects_is_open() -> None:
    assert passes([], WORLD, POD)
    assert passes([into()], POD, OTHER)
    assert passes([into({"podSelector": {}})], WORLD, OTHER)


def test_a_policy_without_rules_shuts() -> None:
    shut = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}

    assert not passes([shut], OTHER, POD)
    assert not passes([shut], POD, WORLD)


def test_rules_for_the_way_out_bind_it_without_being_asked() -> None:
    spec: Spec = {"podSelector": {}, "egress": [{"to": [{"podSelector": {}}]}]}

    assert passes([{**spec, "policyTypes": ["Egress"]}], WORLD, POD)
    assert not passes([spec], POD, WORLD)
    assert not passes([spec], WORLD, POD)  # the way in is bound unless it is left out


def test_both_sides_have_to_allow() -> None:
    out = {"podSelector": {"matchLabels": {"app": "b"}}, "policyTypes": ["Egress"]}

    assert not passes([into({"podSelector": {}}), out], OTHER, POD)
    assert passes([into({"podSelector": {}}), {**out, "egress": [{}]}], OTHER, POD)


def test_policies_add_up() -> None:
    nobody = into({"podSelector": {"matchLabels": {"app": "nobody"}}})

    assert not passes([nobody], OTHER, POD)
    assert passes([nobody, into({"podSelector": {}})], OTHER, POD)


@pytest.mark.parametrize(
    ("peers", "who"),
    [
        pytest.param([], {"pod", "other", "away", "world"}, id="no peers are everybody"),
        pytest.param([{"podSelector": {}}], {"pod", "other"}, id="pods alone are those beside it"),
        pytest.param([{"namespaceSelector": {}}], {"pod", "other", "away"}, id="all namespaces"),
        pytest.param(
            [{"namespaceSelector": {"matchLabels": {"team": "u"}}}], {"away"}, id="one namespace"
        ),
        pytest.param(
            [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "a"}}}],
            {"pod", "away"},
            id="both at once narrow",
        ),
        pytest.param(
            [{"namespaceSelector": {"matchLabels": {"team": "u"}}}, {"podSelector": {}}],
            {"pod", "other", "away"},
            id="one after the other widen",
        ),
        pytest.param(
            [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/24"]}}],
            {"away", "world"},
            id="addresses but some",
        ),
        pytest.param(
            [{"namespaceSelector": {"matchExpressions": [
                {"key": "team", "operator": "NotIn", "values": ["t"]}]}}],
            {"away"},
            id="not in",
        ),
        pytest.param(
            [{"podSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}}],
            {"pod", "other"},
            id="exists",
        ),
        pytest.param(
            [{"podSelector": {"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]}}],
            {"pod", "other"},
            id="does not exist",
        ),
    ],
)  # fmt: skip
def test_a_rule_means(peers: list[Spec], who: set[str]) -> None:
    assert {one.name for one in ALL if passes([into(*peers)], one, POD)} == who


@pytest.mark.parametrize(
    ("ports", "open_"),
    [
        pytest.param([], set(PORTS), id="no ports are all"),
        pytest.param([{"port": 80}], {(80, "TCP")}, id="the protocol is TCP unless said"),
        pytest.param([{"protocol": "UDP"}], {(80, "UDP")}, id="a protocol is all its ports"),
        pytest.param(
            [{"port": 80, "endPort": 81}], {(80, "TCP"), (81, "TCP")}, id="a range has its ends"
        ),
        pytest.param([{"port": "web"}], {(80, "TCP")}, id="a name is the target's"),
        pytest.param([{"port": "web", "protocol": "UDP"}], set(), id="a name has a protocol"),
        pytest.param([{"port": "admin"}], set(), id="a name that the target lacks"),
    ],
)
def test_a_rule_opens(ports: list[Spec], open_: set[Port]) -> None:
    assert {one for one in PORTS if passes([into(ports=ports)], OTHER, POD, one)} == open_


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"podSelector": {}, "ingres": []}, id="a policy"),
        pytest.param(into({"podselector": {}}), id="a peer"),
        pytest.param(into(ports=[{"prt": 1}]), id="a port"),
    ],
)
def test_refuses_what_it_does_not_know(spec: Spec) -> None:
    with pytest.raises(ValueError, match="expected"):
        Policy.parse(policy(spec))


LABELS = st.dictionaries(st.sampled_from(["app", "team"]), st.sampled_from(["a", "b", "t"]))
EXPRESSION = st.one_of(
    st.fixed_dictionaries(
        {
            "key": st.sampled_from(["app", "team"]),
            "operator": st.sampled_from(["In", "NotIn"]),
            "values": st.lists(st.sampled_from(["a", "b", "t", "u"]), min_size=1),
        }
    ),
    st.fixed_dictionaries(
        {
            "key": st.sampled_from(["app", "x"]),
            "operator": st.sampled_from(["Exists", "DoesNotExist"]),
        }
    ),
)
SELECTOR = st.fixed_dictionaries(
    {}, optional={"matchLabels": LABELS, "matchExpressions": st.lists(EXPRESSION, max_size=2)}
)
BLOCK = st.sampled_from(
    [
        {"cidr": "10.0.0.0/23"},
        {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/24"]},
        {"cidr": "192.0.2.9/32"},
    ]
)
PEER = st.one_of(
    st.fixed_dictionaries({"ipBlock": BLOCK}),
    st.fixed_dictionaries({"podSelector": SELECTOR}),
    st.fixed_dictionaries({"namespaceSelector": SELECTOR}, optional={"podSelector": SELECTOR}),
)
PORT = st.sampled_from(
    [
        {"port": 80},
        {"port": 80, "endPort": 81},
        {"port": "web"},
        {"protocol": "UDP"},
        {"port": 90, "protocol": "TCP"},
    ]
)


def rules(side: str) -> st.SearchStrategy[list[Spec]]:
    peers, ports = st.lists(PEER, max_size=2), st.lists(PORT, max_size=2)
    return st.lists(st.fixed_dictionaries({}, optional={side: peers, "ports": ports}), max_size=2)


SPEC = st.fixed_dictionaries(
    {"podSelector": SELECTOR},
    optional={
        "policyTypes": st.sampled_from([["Ingress"], ["Egress"], ["Ingress", "Egress"]]),
        "ingress": rules("from"),
        "egress": rules("to"),
    },
)
POLICIES = st.lists(st.builds(policy, SPEC, st.sampled_from(["n", "m"])), max_size=4)


@settings(max_examples=300, deadline=None)
@given(POLICIES, st.sampled_from(ALL), st.sampled_from(ALL))
def test_agrees_with_a_second_reading(things: list[Spec], source: Party, target: Party) -> None:
    found = Passage.between([Policy.parse(one) for one in things], source, target).open(PORTS)

    assert found == {port for port in PORTS if naive(things, source, target, port)}


def naive(things: list[Spec], source: Party, target: Party, port: Port) -> bool:
    """The second reading: a verdict of each side, one policy and one rule after the other."""
    for way, side, pod, other in (("Egress", "to", source, target), ("Ingress", "from", target,
                                                                     source)):  # fmt: skip
        isolated = allowed = False
        for thing in things:
            spec = thing["spec"]
            types = spec.get("policyTypes")
            if types is None:
                types = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]
            if way not in types or thing["metadata"]["namespace"] != pod.namespace:
                continue
            if not chosen(spec["podSelector"], dict(pod.labels)):
                continue
            isolated = True
            for rule in spec.get(way.lower(), []):
                if meant(rule.get(side), other, thing) and opened(rule.get("ports"), target, port):
                    allowed = True
        if isolated and not allowed:
            return False
    return True


def chosen(selector: Spec, labels: dict[str, str]) -> bool:
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for one in selector.get("matchExpressions", []):
        inside = one["key"] in labels and labels[one["key"]] in one.get("values", labels.values())
        if inside != (one["operator"] in ("In", "Exists")):
            return False
    return True


def meant(peers: list[Spec] | None, other: Party, thing: Spec) -> bool:
    for peer in peers or []:
        if "ipBlock" in peer:
            address = ipaddress.ip_address(other.address)
            blocks = [peer["ipBlock"]["cidr"], *peer["ipBlock"].get("except", [])]
            first, *rest = [address in ipaddress.ip_network(one) for one in blocks]
            if first and not any(rest):
                return True
        elif other.namespace:
            near = other.namespace == thing["metadata"]["namespace"]
            if "namespaceSelector" in peer:
                near = chosen(peer["namespaceSelector"], dict(other.namespace_labels))
            if near and chosen(peer.get("podSelector", {}), dict(other.labels)):
                return True
    return not peers


def opened(ports: list[Spec] | None, target: Party, port: Port) -> bool:
    for one in ports or []:
        first: int = one.get("port", 0)
        if one.get("port") == "web":
            first = 80 if target is POD and one.get("protocol", "TCP") == "TCP" else -1
        last: int = one.get("endPort", first) if "port" in one else 65535
        if one.get("protocol", "TCP") == port[1] and first <= port[0] <= last:
            return True
    return not ports
