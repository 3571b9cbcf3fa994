"""An object store in the cluster: it keeps no location, so it is where its volumes are."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from components.governance.attest_residency.listing import Listing, Thing
from components.governance.attest_residency.observation import Observation, unknown
from components.governance.attest_residency.readers.volumes import Volumes

_BIND = "bind the ClusterRole falaj-residency-attestor-store in its namespace"


@dataclass(frozen=True)
class Store:
    """Follows a Service to its pods, their claims, and the volumes of those."""

    listing: Listing
    name: str
    namespace: str
    country: str

    def __call__(self) -> Iterator[Observation]:
        what = f"object store {self.namespace}/{self.name}"
        pods = list(self._pods())
        claims = sorted({claim for pod in pods for claim in _claims(pod)})
        if not pods or not claims:
            because = "no pod with a volume of its own answers for it; its data are with others"
            yield unknown(what, f"{len(pods)} pods", because, "have the Service select what stores")
        volumes = Volumes(self.listing, self.namespace, self.country)
        for claim in claims:
            found = volumes.claimed(claim)
            yield _as(what, found, claim)

    def _pods(self) -> Iterator[Thing]:
        services, pods = self.listing.of("", "services"), self.listing.of("", "pods")
        service = self.listing.find(services, self.namespace, self.name) if services else None
        selector = ((service or {}).get("spec") or {}).get("selector") or {}
        if pods and selector:
            labels = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
            yield from self.listing.all(pods, self.namespace, labels=labels)


def _as(what: str, found: Observation, claim: str) -> Observation:
    return replace(found, what=what, value=f"claim {claim}, volume {found.value}")


def _claims(pod: Thing) -> Iterator[str]:
    """Yield the claims of a pod; one that it makes itself is named after it and its volume."""
    for volume in pod["spec"].get("volumes") or []:
        if claim := _mapping(volume, "persistentVolumeClaim").get("claimName"):
            yield str(claim)
        if "ephemeral" in volume:
            yield f"{pod['metadata']['name']}-{volume['name']}"


def _mapping(volume: dict[str, Any], key: str) -> dict[str, Any]:
    return volume.get(key) or {}
