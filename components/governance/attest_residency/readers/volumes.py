"""Volumes: the zones, regions and nodes that they are bound to."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from components.foundation.residency import places
from components.governance.attest_residency.listing import Listing, Thing
from components.governance.attest_residency.observation import (
    Observation,
    Standing,
    gathered,
    located,
    unknown,
)
from components.governance.attest_residency.readers import nodes

_HOSTNAME = "kubernetes.io/hostname"
_WAY_OUT = "make it by a StorageClass whose allowedTopologies name zones or a country"
_GRAVEST = (Standing.BROKEN, Standing.ABROAD, Standing.UNKNOWN, Standing.DECLARED, Standing.HOME)


@dataclass(frozen=True)
class Volumes:
    """Says of every volume that is bound in a namespace where it is."""

    listing: Listing
    namespace: str
    country: str

    def __call__(self) -> Iterator[Observation]:
        what = f"volumes of namespace {self.namespace}"
        found = [self.of(one) for one in self._all if _claimed(one)[0] == self.namespace]
        yield from gathered(what, found)
        if not found:
            yield Observation(what, Standing.HOME, "none", "no volume is bound there")

    def claimed(self, claim: str) -> Observation:
        """Say where the volume of a claim is."""
        wanted = (self.namespace, claim)
        volume = next((one for one in self._all if _claimed(one) == wanted), None)
        if volume is None:
            return unknown("volume", claim, "no volume is bound to it", "see that it is bound")
        return self.of(volume)

    def of(self, volume: Thing) -> Observation:
        """Say where a volume is: any of its terms may hold, so the gravest counts."""
        name, spec = volume["metadata"]["name"], volume["spec"]
        driver = (spec.get("csi") or {}).get("driver", "")
        required = (spec.get("nodeAffinity") or {}).get("required") or {}
        terms = required.get("nodeSelectorTerms") or []
        found = [self._term(name, driver, one.get("matchExpressions") or []) for one in terms]
        if not found:
            because = f"nothing says where {driver or 'its server'} keeps it"
            return unknown("volume", name, because, _WAY_OUT)
        return _gravest(found)

    def _term(
        self, name: str, driver: str, expressions: Sequence[Mapping[str, Any]]
    ) -> Observation:
        """Say where a term holds it: by all its expressions at once, so one that tells will do."""
        told = [
            _gravest([self._value(name, driver, one["key"], value) for value in one["values"]])
            for one in expressions
            if one.get("operator") == "In" and one.get("values")
        ]
        known = [one for one in told if one.standing is not Standing.UNKNOWN]
        if known:
            return _gravest(known)
        because = "its node affinity names no zone, region, country or node that tells"
        return told[0] if told else unknown("volume", name, because, _WAY_OUT)

    def _value(self, name: str, driver: str, key: str, value: str) -> Observation:
        if key == _HOSTNAME:
            return self._on_node(name, value)
        match key.rpartition("/")[2]:
            case "zone" | "zone-id":
                return self._in_zone(name, driver, value)
            case "region":
                entry = places.registry().get((_providers().get(driver, ""), value))
                if entry is not None:
                    return located("volume", name, entry, "its region", country=self.country)
            case "country":
                return self._in_country(name, value)
        because = f"{key} = {value} tells no country"
        return unknown("volume", name, because, _WAY_OUT)

    def _in_zone(self, name: str, driver: str, zone: str) -> Observation:
        entry = places.zones().get(f"{driver}/{zone}")
        provider = _providers().get(driver, "")
        if entry is None:  # those abroad are not listed; their names begin with their region's
            regions = [one for (who, _), one in places.registry().items() if who == provider]
            begun = [one for one in regions if zone.startswith(one.region)]
            entry = max(begun, key=lambda one: len(one.region), default=None)
            if entry is not None and entry.country == self.country:
                entry = None
        if entry is None:
            because = f"the registry knows no zone {zone} of {driver or 'its driver'}"
            return unknown("volume", name, because, "have the zone written into the registry")
        return located("volume", name, entry, "its zone", country=self.country)

    def _in_country(self, name: str, country: str) -> Observation:
        because = f"its node affinity says {country}, which its driver took from nodes"
        if country == self.country:
            return Observation("volume", Standing.HOME, name, because)
        place = f"{places.ON_PREMISES}/{country}"
        way_out = f"move it to {self.country}"
        return Observation("volume", Standing.ABROAD, name, because, way_out, place)

    def _on_node(self, name: str, node: str) -> Observation:
        if node not in self._nodes:
            because = f"it is on node {node}, which is not there"
            return unknown("volume", name, because, "see where that node is")
        found = self._nodes[node]
        return replace(found, what="volume", value=name, because=f"on node {node}: {found.because}")

    @cached_property
    def _all(self) -> list[Thing]:
        served = self.listing.of("", "persistentvolumes")
        return list(self.listing.all(served, "")) if served else []

    @cached_property
    def _nodes(self) -> Mapping[str, Observation]:
        found = nodes.all_of(self.listing)
        return {
            (one["metadata"].get("labels") or {}).get(_HOSTNAME, one["metadata"]["name"]): nodes.of(
                one, self.country
            )
            for one in found
        }


def _claimed(volume: Thing) -> tuple[str, str]:
    claim = volume["spec"].get("claimRef") or {}
    return claim.get("namespace", ""), claim.get("name", "")


def _gravest(found: Iterable[Observation]) -> Observation:
    return min(found, key=lambda one: _GRAVEST.index(one.standing))


def _providers() -> Mapping[str, str]:
    """Return whose driver it is, of those whose zones the registry has."""
    return {key.partition("/")[0]: entry.provider for key, entry in places.zones().items()}
