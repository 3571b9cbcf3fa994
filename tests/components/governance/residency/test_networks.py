"""A range of addresses is at home only where it lies within one that the profile declares."""

import ipaddress
import random

from components.foundation.site import Profile
from components.governance.residency import checking, policies, profiles, rules

RANGES = [ipaddress.IPv4Network(one) for one in profiles.NETWORKS]


def refused(ranges: list[str]) -> set[str]:
    """Return those of the ranges that a policy of egress may not name."""
    to = [{"ipBlock": {"cidr": one}} for one in ranges]
    thing = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "out"},
        "spec": {"podSelector": {}, "egress": [{"to": to}]},
    }
    (judged,) = checking.judge(thing, profiles.profile(Profile.HEALTH))
    return {finding.split(" = ")[1].split(": ")[0] for finding in judged.findings}


def near(rng: random.Random) -> ipaddress.IPv4Network:
    """Return a range that is, or nearly is, within one that is declared."""
    home = rng.choice(RANGES)
    address = int(home.network_address) ^ (1 << rng.randrange(32)) * rng.randrange(2)
    return ipaddress.IPv4Network((address, rng.randrange(33)), strict=False)


def test_a_range_is_judged_as_arithmetic_on_addresses_would() -> None:
    rng = random.Random(8)  # noqa: S311 - nothing secret
    ranges = {near(rng) for _ in range(400)}
    outside = {one for one in ranges if not any(map(one.subnet_of, RANGES))}

    assert 50 < len(outside) < len(ranges) - 50
    assert refused([str(one) for one in ranges]) == {str(one) for one in outside}


def test_an_address_in_another_notation_is_refused() -> None:
    spelled = ["010.0.0.1", "0x0a000001", "167772161", "10.1", "10.0.0.1/33", "10.0.0.256.1"]
    spelled += ["::ffff:10.0.0.1", "10.0.0.1 ", "\uff11\uff10.0.0.1"]

    assert refused(spelled) == set(spelled)


def test_an_address_of_another_family_is_at_home_where_it_is_declared() -> None:
    thing = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "store"},
        "spec": {"externalIPs": ["fd00::7"]},
    }
    profile = profiles.profile(Profile.HEALTH)
    declared = profile | {"spec": profile["spec"] | {"networks": ["fd00::7"]}}

    assert [bool(one.findings) for one in checking.judge(thing, profile)] == [True]
    assert [bool(one.findings) for one in checking.judge(thing, declared)] == [False]


def test_kubernetes_itself_may_write_the_addresses_of_pods() -> None:
    (condition,) = policies.admission(rules.policy("endpoints"))["spec"]["matchConditions"]

    assert "system:serviceaccount:kube-system:endpointslice-controller" in condition["expression"]
    assert condition["expression"].startswith("!(request.userInfo.username in ")


def test_a_field_that_is_null_is_as_good_as_absent() -> None:
    thing = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "store", "annotations": None},
        "spec": {"ports": [{"port": 80}], "externalIPs": None},
    }

    (judged,) = checking.judge(thing, profiles.profile(Profile.HEALTH))

    assert not judged.findings
