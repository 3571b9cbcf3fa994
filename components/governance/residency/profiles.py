"""Write each profile down as an object that policies take as their parameter."""

import functools
from typing import Any

from components.foundation.residency import places
from components.foundation.residency.places import UAE, Region
from components.foundation.site import Profile, Site

API_VERSION, KIND = "falaj.example/v1", "ResidencyProfile"
# Private by RFC 1918, DNS on the node, and what documentation may name, where nobody listens. That
# an address is private proves no country: a site may declare narrower ones.
NETWORKS = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.20.10/32", "192.0.2.0/24")
STRICTEST = "unlabelled"  # what holds where nobody says under which law data are


def all_by_name() -> dict[str, dict[str, Any]]:
    """Return every profile that ships, the strictest among them."""
    known = {str(name): profile(name) for name in Profile}
    unlabelled = profile(Profile.HEALTH)
    law = "No profile is named here, so only the UAE is allowed; label the namespace"
    unlabelled["metadata"] = {"name": STRICTEST}
    unlabelled["spec"] |= {"law": f"{law} falaj.example/residency"}
    return {**known, STRICTEST: unlabelled}


def of_site(site: Site) -> dict[str, Any]:
    """Return the profile that a site has, with the hosts that it declares."""
    found = profile(site.residency.profile)
    found["spec"] |= {"hosts": list(site.residency.hosts)}
    return found


def profile(name: Profile) -> dict[str, Any]:
    """Return the ResidencyProfile of a law: what is in the country, and what is known abroad."""
    regime = places.regimes()[name]
    allows = (
        "keeps data in the UAE" if name.hard_local else "asks for a recorded basis of a transfer"
    )
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": str(name)},
        "spec": {
            "law": f"Profile {name} {allows}: {regime}",
            "hardLocal": name.hard_local,
            "country": UAE,
            "hosts": [],
            "networks": list(NETWORKS),
            "suffixes": [end for end, one in places.suffixes().items() if one.country == UAE],
            "places": [*_regions(), *places.zones()],
            "elsewhere": "".join(f"{name} = {place}\n" for name, place in _abroad().items()),
            "bases": [],
        },
    }


def _regions() -> list[str]:
    return [_called(one) for one in places.registry().values() if one.country == UAE]


@functools.cache
def _abroad() -> dict[str, str]:
    """Tell regions abroad by what they are called, and why some hosts tell none.

    A region is called by provider and name, or by how hosts end there.
    """
    called = {_called(one): one for one in places.registry().values()} | dict(places.suffixes())
    abroad = {name: str(one) for name, one in called.items() if one.country != UAE}
    return abroad | {end: one.why for end, one in places.silences().items()}


def _called(one: Region) -> str:
    return f"{one.provider}/{one.region}"
