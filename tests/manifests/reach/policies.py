"""NetworkPolicies as a network reads them: who a set of policies lets reach whom.

The meaning is that of networking.k8s.io/v1. A pod that no policy selects for a direction is open in
it; one that is selected is open to what any rule of any such policy allows. A connection passes if
the source's side and the target's side both allow it. What the standard leaves to each network is
left out: pods on their node's network, traffic from a pod's own node (kubelet probes pass), and
whether an address is compared before or after a Service has rewritten it (here: after, so a rule
means pods and their ports).
"""

import ipaddress
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self, assert_never

Labels = Mapping[str, str]
Spec = Mapping[str, Any]
Way = Literal["ingress", "egress"]
Port = tuple[int, str]  # number and protocol


@dataclass(frozen=True, slots=True)
class Party:
    """A pod, or, without a namespace, an address outside the cluster.

    Attributes:
        ports: the container's ports that have names, by protocol and name.
    """

    name: str
    address: str
    labels: Labels = field(default_factory=dict)
    namespace: str = ""
    namespace_labels: Labels = field(default_factory=dict)
    ports: Mapping[tuple[str, str], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Selector:
    """Labels that have to be there; an empty one takes everything."""

    wanted: Labels
    expressions: tuple[Spec, ...]

    @classmethod
    def parse(cls, spec: Spec) -> Self:
        _known(spec, {"matchLabels", "matchExpressions"})
        return cls(spec.get("matchLabels") or {}, tuple(spec.get("matchExpressions") or ()))

    def takes(self, labels: Labels) -> bool:
        return self.wanted.items() <= labels.items() and all(
            _holds(one, labels) for one in self.expressions
        )


def _holds(expression: Spec, labels: Labels) -> bool:
    value = labels.get(expression["key"])
    match expression["operator"]:
        case "In":
            return value in expression["values"]
        case "NotIn":  # also holds where there is no such label
            return value not in expression["values"]
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case other:
            raise ValueError(f"operator {other}: expected In, NotIn, Exists or DoesNotExist")


@dataclass(frozen=True, slots=True)
class Block:
    """Addresses, without some of them."""

    inside: ipaddress.IPv4Network | ipaddress.IPv6Network
    without: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]

    @classmethod
    def parse(cls, spec: Spec) -> Self:
        _known(spec, {"cidr", "except"})
        without = tuple(ipaddress.ip_network(one) for one in spec.get("except") or ())
        return cls(ipaddress.ip_network(spec["cidr"]), without)

    def takes(self, address: str) -> bool:
        found = ipaddress.ip_address(address)
        return found in self.inside and not any(found in one for one in self.without)


@dataclass(frozen=True, slots=True)
class Peer:
    """The other side: pods by labels of theirs and of their namespace, or addresses."""

    pods: Selector | None
    namespaces: Selector | None
    block: Block | None

    @classmethod
    def parse(cls, spec: Spec) -> Self:
        _known(spec, {"podSelector", "namespaceSelector", "ipBlock"})
        return cls(
            Selector.parse(spec["podSelector"]) if "podSelector" in spec else None,
            Selector.parse(spec["namespaceSelector"]) if "namespaceSelector" in spec else None,
            Block.parse(spec["ipBlock"]) if "ipBlock" in spec else None,
        )

    def takes(self, other: Party, *, home: str) -> bool:
        """Say whether it means a party, read in a policy of the namespace `home`."""
        if self.block is not None:
            return self.block.takes(other.address)
        if not other.namespace:
            return False
        if self.namespaces is None:
            near = other.namespace == home
        else:
            near = self.namespaces.takes(other.namespace_labels)
        return near and (self.pods is None or self.pods.takes(other.labels))


@dataclass(frozen=True, slots=True)
class Ports:
    """One port, by number or name, or a range; without a port, all of the protocol."""

    protocol: str
    port: int | str | None
    end: int | None

    @classmethod
    def parse(cls, spec: Spec) -> Self:
        _known(spec, {"protocol", "port", "endPort"})
        return cls(spec.get("protocol", "TCP"), spec.get("port"), spec.get("endPort"))

    @property
    def ends(self) -> tuple[int, ...]:
        """Return the first and the last port, where numbers say them."""
        return (self.port, self.end or self.port) if isinstance(self.port, int) else ()

    def take(self, target: Party, wanted: Port) -> bool:
        port, protocol = wanted
        if protocol != self.protocol:
            return False
        match self.port:
            case None:
                return True
            case str(name):
                return target.ports.get((protocol, name)) == port
            case int(first):
                return first <= port <= (self.end or first)
            case unreachable:
                assert_never(unreachable)


@dataclass(frozen=True, slots=True)
class Rule:
    """Peers and ports; without peers everybody, without ports all of them."""

    peers: tuple[Peer, ...]
    ports: tuple[Ports, ...]

    @classmethod
    def parse(cls, spec: Spec, side: str) -> Self:
        _known(spec, {"ports", side})
        peers = tuple(Peer.parse(one) for one in spec.get(side) or ())
        return cls(peers, tuple(Ports.parse(one) for one in spec.get("ports") or ()))

    def means(self, other: Party, *, home: str) -> bool:
        return not self.peers or any(peer.takes(other, home=home) for peer in self.peers)

    def lets(self, target: Party, port: Port) -> bool:
        return not self.ports or any(one.take(target, port) for one in self.ports)


@dataclass(frozen=True, slots=True)
class Policy:
    """A NetworkPolicy; a direction that it does not bind is None, not empty."""

    name: str
    namespace: str
    pods: Selector
    ingress: tuple[Rule, ...] | None
    egress: tuple[Rule, ...] | None

    @classmethod
    def parse(cls, thing: Spec) -> Self:
        spec, meta = thing["spec"], thing["metadata"]
        _known(spec, {"podSelector", "policyTypes", "ingress", "egress"})
        types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
        rules: dict[str, tuple[Rule, ...] | None] = {
            way: tuple(Rule.parse(one, side) for one in spec.get(way) or ())
            if way.capitalize() in types
            else None
            for way, side in (("ingress", "from"), ("egress", "to"))
        }
        pods = Selector.parse(spec.get("podSelector") or {})
        return cls(meta["name"], meta["namespace"], pods, rules["ingress"], rules["egress"])

    def selects(self, pod: Party) -> bool:
        return self.namespace == pod.namespace and self.pods.takes(pod.labels)

    def rules(self, way: Way, pod: Party) -> tuple[Rule, ...] | None:
        """Return what it says of a pod in a direction; None when it says nothing."""
        if not self.selects(pod):
            return None
        return self.ingress if way == "ingress" else self.egress


@dataclass(frozen=True, slots=True)
class Passage:
    """What lies between two parties: the rules on either side that mean the other.

    A side without any policy is None: it is open.
    """

    target: Party
    out: tuple[Rule, ...] | None
    into: tuple[Rule, ...] | None

    @classmethod
    def between(cls, policies: Iterable[Policy], source: Party, target: Party) -> Self:
        found = tuple(policies)
        out = _meaning(found, "egress", source, target)
        return cls(target, out, _meaning(found, "ingress", target, source))

    def open(self, ports: Collection[Port]) -> set[Port]:
        """Return the ports on which a connection passes: out of the source, into the target."""
        return set(ports).intersection(*(self._lets(rules, ports) for rules in self._sides()))

    def doors(self, ports: Collection[Port]) -> set[Port]:
        """Return the ports that a rule on either side opens to the other by name."""
        named = (tuple(rule for rule in rules if rule.peers) for rules in self._sides())
        return set[Port]().union(*(self._lets(rules, ports) for rules in named))

    def _sides(self) -> list[tuple[Rule, ...]]:
        return [rules for rules in (self.out, self.into) if rules is not None]

    def _lets(self, rules: tuple[Rule, ...], ports: Collection[Port]) -> set[Port]:
        if not rules:
            return set()
        return {one for one in ports if any(rule.lets(self.target, one) for rule in rules)}


def _meaning(
    policies: Iterable[Policy], way: Way, pod: Party, other: Party
) -> tuple[Rule, ...] | None:
    said = [(p, rules) for p in policies if (rules := p.rules(way, pod)) is not None]
    if not said:
        return None
    return tuple(r for p, rules in said for r in rules if r.means(other, home=p.namespace))


def _known(spec: Spec, fields: set[str]) -> None:
    """Refuse what this reading does not know: skipping it would be a lie about the network."""
    if unknown := spec.keys() - fields:
        raise ValueError(f"fields {sorted(unknown)}: expected {sorted(fields)}")
