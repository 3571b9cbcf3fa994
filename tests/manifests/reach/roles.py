"""Who there is on a network: the roles of the table, and parties that try every rule of a build."""

import dataclasses
import ipaddress
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from tests.manifests.reach.policies import Labels, Party, Peer, Policy, Selector

NAME = "kubernetes.io/metadata.name"
ELSEWHERE = "elsewhere"  # a namespace that nobody named
_KNATIVE = "knative-serving"


@dataclass(frozen=True, slots=True)
class Role:
    """What the table calls a party: pods with some labels in a namespace, or addresses."""

    name: str
    namespace: str = ""
    labels: Labels = field(default_factory=dict)
    addresses: str = ""

    def has(self, party: Party) -> bool:
        if party.namespace:
            return party.namespace == self.namespace and self.labels.items() <= party.labels.items()
        return bool(self.addresses) and ipaddress.ip_address(party.address) in ipaddress.ip_network(
            self.addresses
        )


def roles_of(party: Party, roles: Iterable[Role], home: str) -> frozenset[str]:
    """Return all that the table calls a party; where it is says one of two names."""
    where = "whoever is in the namespace" if party.namespace == home else "whoever is outside"
    return frozenset(role.name for role in roles if role.has(party)) | {where}


def parties(policies: Iterable[Policy], roles: Iterable[Role], home: str) -> list[Party]:
    """Return a party for every role, and for every selector and block one that it takes.

    Each is also put where it does not belong, so that a rule that forgets the namespace shows.
    """
    policies, roles = list(policies), list(roles)
    labelled = [*_labels(policies, roles), {}]
    namespaces = [*_namespaces(policies, roles, home), {NAME: ELSEWHERE}]
    pods = [_pod(*one) for one in itertools.product(_unique(labelled), _unique(namespaces))]
    return [*_numbered(pods), *(Party(one, one) for one in sorted(_addresses(policies, roles)))]


def _labels(policies: list[Policy], roles: list[Role]) -> Iterator[Labels]:
    yield from (role.labels for role in roles if role.namespace)
    for policy in policies:
        yield from _witnesses(policy.pods)
    for peer in _peers(policies):
        yield from _witnesses(peer.pods) if peer.pods else ()


def _namespaces(policies: list[Policy], roles: list[Role], home: str) -> Iterator[Labels]:
    yield {NAME: home}
    yield from ({NAME: role.namespace} for role in roles if role.namespace)
    for peer in _peers(policies):
        for labels in _witnesses(peer.namespaces) if peer.namespaces else ():
            yield {NAME: ELSEWHERE, **labels}


def _addresses(policies: list[Policy], roles: list[Role]) -> set[str]:
    """The ends of every block and of what it leaves out, and some that nobody should reach."""
    blocks = [ipaddress.ip_network(role.addresses) for role in roles if role.addresses]
    for peer in _peers(policies):
        blocks += [peer.block.inside, *peer.block.without] if peer.block else []
    ends = {str(end) for block in blocks for end in (block[0], block[-1])}
    return ends | {"198.51.100.7", "169.254.169.254", "10.0.0.1"}


def _peers(policies: Iterable[Policy]) -> Iterator[Peer]:
    for policy in policies:
        for rule in (*(policy.ingress or ()), *(policy.egress or ())):
            yield from rule.peers


def _witnesses(selector: Selector) -> Iterator[dict[str, str]]:
    """Labels that a selector takes: one set for each value that it allows."""
    expressions = selector.expressions
    choices = [
        [(one["key"], value) for value in one.get("values", ["some"])]
        for one in expressions
        if one["operator"] in {"In", "Exists"}
    ]
    for chosen in itertools.product(*choices):
        yield {**selector.wanted, **dict(chosen)}


def _unique(all_labels: Iterable[Labels]) -> list[Labels]:
    return [dict(one) for one in dict.fromkeys(tuple(sorted(o.items())) for o in all_labels)]


def _pod(labels: Labels, namespace: Labels) -> Party:
    words = ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "no labels"
    name = f"{namespace[NAME]}/{words}"
    return Party(name, "", labels, namespace[NAME], namespace)


def _numbered(pods: Iterable[Party]) -> Iterator[Party]:
    """Give each an address of its own, out of a range that no site has."""
    for number, pod in enumerate(pods):
        yield dataclasses.replace(pod, address=str(ipaddress.ip_address("100.64.0.1") + number))


def named_in(site: Mapping[str, str], home: str, served: Mapping[str, Labels]) -> list[Role]:
    """Return the roles of an installation, as its site says where they are."""
    inside = {
        **served,
        "steps": {"pipelines.kubeflow.org/v2_component": "true"},
        "the Gateway": {"gateway.networking.k8s.io/gateway-name": "falaj"},
        "the router": {"app.kubernetes.io/name": "falaj-router"},
        "the buckets' job": {"app.kubernetes.io/name": "falaj-buckets"},
        "the end of breakglass": {"app.kubernetes.io/name": "falaj-breakglass"},
        "the attestor": {"app.kubernetes.io/name": "falaj-residency-attestor"},
        "training": {"app.kubernetes.io/name": "falaj-training"},
    }
    return [
        *(Role(name, home, labels) for name, labels in inside.items()),
        *_outside(site),
        Role("names", "kube-system", {"k8s-app": "kube-dns"}),
        Role("names", addresses="169.254.20.10/32"),
        Role("Istio", "istio-system", {"app": "istiod"}),
        Role("KFP's API", site["FALAJ_PIPELINES_NAMESPACE"], {"app": "ml-pipeline"}),
        Role("Prometheus", site["FALAJ_METRICS_NAMESPACE"]),
        Role("other gateways", site["FALAJ_GATEWAY_NAMESPACE"]),
        Role("the Kubernetes API", addresses=site["FALAJ_API_ADDRESSES"]),
    ]


def of_knative() -> list[Role]:
    """Return the roles that only an installation with Knative has."""
    return [Role(f"the {name}", _KNATIVE, {"app": name}) for name in ("activator", "autoscaler")]


def _outside(site: Mapping[str, str]) -> Iterator[Role]:
    for name, key in (
        ("the object store", "STORE"),
        ("the keeper", "KEEPER"),
        ("the online store", "ONLINE"),
        ("sources", "SOURCES"),
    ):
        yield Role(name, site[f"FALAJ_{key}_NAMESPACE"])
        yield Role(name, addresses=site[f"FALAJ_{key}_ADDRESSES"])
