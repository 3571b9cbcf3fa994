"""The table of flows in the docs, and the paths that a build has."""

import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from tests.manifests.reach.policies import Party, Passage, Policy, Port
from tests.manifests.reach.roles import Role, parties, roles_of

# Headings.
ALWAYS, IN_A_MESH, BREAKGLASS = "Who reaches whom", "In a mesh", "Breakglass"
KNATIVE, ATTESTOR = "Where Knative serves", "The attestor"
_HEADER = "| From | To | Port | Why |"
_ALWAYS = ((1, "TCP"), (22, "TCP"), (443, "UDP"), (65535, "TCP"), (80, "SCTP"))


@dataclass(frozen=True, slots=True)
class Flow:
    """A row: who may open a connection to whom, on which ports."""

    source: str
    target: str
    first: int
    last: int
    protocol: str

    def holds(self, port: Port) -> bool:
        return self.protocol == port[1] and self.first <= port[0] <= self.last


def read(text: str, site: Mapping[str, str], headings: Collection[str] = (ALWAYS,)) -> list[Flow]:
    """Read the tables below some headings; a port may be the name of one of the site's."""
    parts = (part.partition("\n") for part in re.split(r"^#+ ", text, flags=re.MULTILINE))
    found = [body for heading, _, body in parts if heading in headings]
    tables = [body.split(_HEADER)[1].splitlines()[2:] for body in found]
    rows = [row for one in tables for row in itertools.takewhile(_is_row, one)]
    return [flow for row in rows for flow in _flows(row, site)]


def _is_row(line: str) -> bool:
    return line.startswith("|")


def _flows(row: str, site: Mapping[str, str]) -> Iterator[Flow]:
    source, target, ports = (cell.strip() for cell in row.split("|")[1:4])
    for word in ports.split(", "):
        number, _, protocol = word.partition("/")
        first, _, last = site.get(number.strip("`"), number).partition("-")
        yield Flow(source, target, int(first), int(last or first), protocol or "TCP")


@dataclass(frozen=True, slots=True)
class Compared:
    """Where policies and a table differ.

    Attributes:
        unlisted: paths that are not in the table and are open, or that a rule opens on one side:
            in a shut namespace that alone lets nobody through, but it is a door.
        missing: paths of the table that are shut.
        listed: how many paths the table allows.
    """

    unlisted: frozenset[str]
    missing: frozenset[str]
    listed: int


def compare(
    flows: Iterable[Flow], policies: Iterable[Policy], roles: Iterable[Role], home: str
) -> Compared:
    """Hold every path into, out of and within a namespace against a table.

    A rule's answer changes only at the ends of a range of ports, so those, and their neighbours,
    stand for all ports.
    """
    flows, policies, roles = list(flows), list(policies), list(roles)
    ports, found = _ports(policies, flows), parties(policies, roles, home)
    names = {party.name: roles_of(party, roles, home) for party in found}
    bound = {party.name: [p for p in policies if p.selects(party)] for party in found}
    unlisted, missing, listed = set[str](), set[str](), set[str]()
    for source, target in itertools.product(found, found):
        if home not in (source.namespace, target.namespace):
            continue
        means = [f for f in flows if _means(f, names[source.name], names[target.name])]
        allowed = {port for port in ports if any(flow.holds(port) for flow in means)}
        passage = Passage.between(bound[source.name] + bound[target.name], source, target)
        open_ = passage.open(ports)
        unlisted |= _told(source, target, (open_ | passage.doors(ports)) - allowed)
        missing |= _told(source, target, allowed - open_)
        listed |= _told(source, target, allowed)
    return Compared(frozenset(unlisted), frozenset(missing), len(listed))


def _told(source: Party, target: Party, ports: Iterable[Port]) -> set[str]:
    return {f"{source.name} -> {target.name} {number}/{protocol}" for number, protocol in ports}


def _means(flow: Flow, sources: frozenset[str], targets: frozenset[str]) -> bool:
    return flow.source in sources and flow.target in targets


def _ports(policies: Iterable[Policy], flows: Iterable[Flow]) -> list[Port]:
    ends = {(end, flow.protocol) for flow in flows for end in (flow.first, flow.last)}
    for policy in policies:
        for rule in (*(policy.ingress or ()), *(policy.egress or ())):
            ends |= {(end, one.protocol) for one in rule.ports for end in one.ends}
    near = {(end + step, protocol) for end, protocol in ends for step in (-1, 0, 1)}
    return sorted(port for port in near | set(_ALWAYS) if 0 < port[0] < 65536)
