"""Where the endpoint of the object store leads: every address that its name has now."""

import ipaddress
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from components.foundation.residency import places
from components.foundation.residency.places import Region
from components.governance.attest_residency.declared import Declared
from components.governance.attest_residency.observation import (
    Observation,
    Standing,
    located,
    unknown,
)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_DECLARE = "declare the store's addresses in FALAJ_STORE_ADDRESSES and the country, or use a host"


def resolve(host: str) -> list[str]:
    """Return every address of a host, IPv4 and IPv6; raises OSError where it has none."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return sorted({str(one[4][0]).partition("%")[0] for one in found})


@dataclass(frozen=True)
class Endpoint:
    """Looks the host up, and says of each address what can be known of it."""

    declared: Declared
    country: str
    resolve: Callable[[str], list[str]] = resolve

    def __call__(self) -> Iterator[Observation]:
        host = self.declared.host
        for text in self.resolve(host):
            yield self._address(f"endpoint {host} address", text)

    def _address(self, what: str, text: str) -> Observation:
        address = _plain(text)
        entry = places.whereabouts(self.declared.host)
        if entry is not None:
            return self._regional(what, address, entry)
        if self.declared.service is not None:
            return _in_cluster(what, address)
        if (owner := places.owner(self.declared.host)) is not None:
            because = f"the host is one of {owner}'s that tells no region"
            return unknown(what, text, because, "use the provider's regional address")
        return self._ones_own(what, address)

    def _regional(self, what: str, address: Address, entry: Region) -> Observation:
        if address.is_loopback or address.is_link_local or address.is_unspecified:
            because = f"a name of {entry.provider} leads to this machine: somebody else answers"
            return unknown(what, str(address), because, "see who changed what the name resolves to")
        return located(what, str(address), entry, "the host's name", country=self.country)

    def _ones_own(self, what: str, address: Address) -> Observation:
        near = next((one for one in self.declared.ranges() if address in one), None)
        kind = "public" if address.is_global else "private"
        if near is None or not self.declared.own:
            because = f"a {kind} address tells no country"
            return unknown(what, str(address), because, f"{_DECLARE} that tells its region")
        if self.declared.country != self.country:
            because = f"the site declares that it stands in {self.declared.country or 'no country'}"
            return _declared_elsewhere(what, str(address), because, self.declared.country)
        because = f"the site declares {near} and {self.declared.country}"
        return Observation(what, Standing.DECLARED, str(address), because)


def _in_cluster(what: str, address: Address) -> Observation:
    if address.is_global:
        because = "a Service of the cluster has a public address: somebody else answers"
        return unknown(what, str(address), because, "see who changed what the name resolves to")
    because = "it is a Service of the cluster; its data are on its volumes"
    return Observation(what, Standing.FOLLOWS, str(address), because)


def _declared_elsewhere(what: str, value: str, because: str, country: str) -> Observation:
    if not country:
        return unknown(what, value, because, "declare FALAJ_COUNTRY")
    place = f"{places.ON_PREMISES}/{country}"
    return Observation(what, Standing.ABROAD, value, because, "move the data home", place)


def _plain(text: str) -> Address:
    """Read an address; one of IPv4 in the clothes of IPv6 is the one of IPv4."""
    address = ipaddress.ip_address(text)
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped if isinstance(mapped, ipaddress.IPv4Address) else address
