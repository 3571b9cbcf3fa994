"""What an installation declares of itself: the facts that observations are held against."""

import ipaddress
import urllib.parse
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from components.foundation import digests
from components.foundation.buckets.names import VARIABLE as BUCKETS
from components.foundation.buckets.names import Names
from components.foundation.digests import Digest
from components.foundation.errors import UserError, nearest
from components.foundation.residency import places
from components.foundation.site import Profile

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_CLUSTER = (".svc", ".svc.cluster.local")


@dataclass(frozen=True, slots=True)
class Declared:
    """What `falaj-site` says.

    Attributes:
        namespace: of the installation.
        profile: the law.
        provider: who runs the object store; a region means nothing without it.
        region: where it is there.
        country: where hardware of one's own stands; nothing, if nobody says it.
        endpoint: address of the object store.
        networks: from where the store answers, if it is no cloud's.
        buckets: what they are called on the store.
    """

    namespace: str
    profile: Profile
    provider: str
    region: str
    country: str
    endpoint: str
    networks: tuple[str, ...] = ()
    buckets: Names = field(default_factory=Names)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the names that `falaj-site` has; raises UserError for what is missing or wrong."""
        provider = _known("FALAJ_PROVIDER", environment, places.providers())
        profile = _known("FALAJ_RESIDENCY", environment, list(map(str, Profile)))
        networks = environment.get("FALAJ_STORE_ADDRESSES", "").replace(" ", "").split(",")
        declared = cls(
            environment.get("FALAJ_NAMESPACE", "default"),
            Profile(profile),
            provider,
            environment.get("AWS_REGION", ""),
            environment.get("FALAJ_COUNTRY", ""),
            environment.get("AWS_ENDPOINT_URL", ""),
            tuple(filter(None, networks)),
            Names.parse(environment.get(BUCKETS, "")),
        )
        declared.ranges()
        return declared

    @property
    def host(self) -> str:
        """The host of the endpoint, made plain; nothing where there is none."""
        return (urllib.parse.urlsplit(self.endpoint).hostname or "").rstrip(".")

    @property
    def own(self) -> bool:
        """Whether the store is on hardware of one's own, of which no registry knows."""
        return self.provider == places.ON_PREMISES

    @property
    def service(self) -> tuple[str, str] | None:
        """Name and namespace of the Service that the store is in the cluster, or None."""
        tail = next((one for one in _CLUSTER if self.host.endswith(one)), None)
        if tail is None:
            return None
        name, _, namespace = self.host.removesuffix(tail).rpartition(".")
        return (name, namespace) if name else None

    def ranges(self) -> list[Network]:
        """Return the networks; raises UserError for what is none."""
        try:
            return [ipaddress.ip_network(one) for one in self.networks]
        except ValueError as error:
            raise UserError(
                f"FALAJ_STORE_ADDRESSES: {error}; expected ranges such as 10.1.2.0/24",
                code="attestor-site",
            ) from None

    def facts(self) -> dict[str, Any]:
        """Return what is signed of it."""
        found = asdict(self) | {"profile": str(self.profile), "buckets": str(self.buckets)}
        return found | {"networks": list(self.networks)}

    def digest(self) -> Digest:
        return digests.of_json(self.facts())


def _known(name: str, environment: Mapping[str, str], known: list[str]) -> str:
    got = environment.get(name, "")
    if got not in known:
        raise UserError(
            f"{name} {got!r}: the site has to say it; {nearest(got, known)}", code="attestor-site"
        )
    return got
