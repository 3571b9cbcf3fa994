"""Nodes: where their provider says they are, against what their labels say.

A node may write `topology.kubernetes.io/...` of itself; it may not write a label under
`node-restriction.kubernetes.io`, nor change its provider's id once it is set.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from components.foundation.residency import places
from components.foundation.residency.places import Region
from components.governance.attest_residency.listing import Listing, Thing
from components.governance.attest_residency.observation import (
    Observation,
    Standing,
    gathered,
    located,
    unknown,
)

COUNTRY = "residency.falaj.example.node-restriction.kubernetes.io/country"
_PROTECTED = re.compile(r"([a-z0-9.-]+\.)?node-restriction\.kubernetes\.io/country")
_REGION = "topology.kubernetes.io/region"
_IDS = (  # ids that tell a region, or a zone: a region and a letter
    ("aws", re.compile(r"aws:///?(?P<region>[a-z]+(-[a-z]+)+-\d+)[a-z]/[\w-]+")),
    ("google", re.compile(r"gce://[^/]+/(?P<region>[a-z]+-[a-z]+\d+)-[a-z]/.+")),
    ("alibaba", re.compile(r"(alicloud://)?(?P<region>[a-z]{2}-[a-z0-9-]+)\.i-\w+")),
    ("oracle", re.compile(r"(oci://)?ocid1\.instance\.oc\d+\.(?P<region>[a-z0-9-]+)\..+")),
)


@dataclass(frozen=True)
class Nodes:
    """Says of every node where it is."""

    listing: Listing
    country: str

    def __call__(self) -> Iterator[Observation]:
        yield from gathered("nodes", (of(one, self.country) for one in all_of(self.listing)))


def all_of(listing: Listing) -> Iterable[Thing]:
    served = listing.of("", "nodes")
    return listing.all(served, "") if served else []


def of(node: Thing, country: str) -> Observation:
    """Say where a node is, as far as it could not have made that up itself."""
    name, labels = node["metadata"]["name"], node["metadata"].get("labels") or {}
    entry = region(node.get("spec", {}).get("providerID", ""))
    label = _protected(labels)
    said = labels.get(_REGION, "")
    if entry is not None and said and said != entry.region:
        because = f"its label says {said}, its provider's id {entry.region}"
        return _broken(name, because, "see who labelled it")
    if entry is not None and label and label != entry.country:
        because = f"its protected label says {label}, its provider's id is in {entry.country}"
        return _broken(name, because, "see who labelled it")
    if entry is not None:
        return located("node", name, entry, "its provider's id", country=country)
    if label:
        return _labelled(name, label, country)
    because = "its provider's id tells no region, and its other labels it may have written itself"
    return unknown("node", name, because, f"label it {COUNTRY}, as somebody who may")


def region(id: str) -> Region | None:
    """Return the region that a provider's id tells, or None."""
    for provider, pattern in _IDS:
        if found := pattern.fullmatch(id):
            return places.registry().get((provider, found["region"]))
    return None


def _protected(labels: Mapping[str, Any]) -> str:
    return next((str(v) for k, v in sorted(labels.items()) if _PROTECTED.fullmatch(k)), "")


def _labelled(name: str, label: str, country: str) -> Observation:
    because = f"its label says {label}, which it cannot write itself"
    if label == country:
        return Observation("node", Standing.HOME, name, because)
    place = f"{places.ON_PREMISES}/{label}"
    return Observation("node", Standing.ABROAD, name, because, f"move it to {country}", place)


def _broken(name: str, because: str, way_out: str) -> Observation:
    return replace(unknown("node", name, because, way_out), standing=Standing.BROKEN)
