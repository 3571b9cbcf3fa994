"""Twin slots: two InferenceServices under our own HTTPRoute, whose weights are the split."""

from dataclasses import dataclass
from typing import Any

from components.deployment import readiness, slots
from components.deployment.readiness import Look
from components.deployment.route import Route
from components.deployment.slots import Version
from components.deployment.traffic import edits
from components.deployment.traffic.interface import (
    IN_FORCE_S,
    Backend,
    NotCarried,
    Shares,
    Traffic,
)
from components.deployment.waiting import until
from components.foundation.kubernetes import resources
from components.foundation.kubernetes.client import Cluster, Manifest


@dataclass(frozen=True)
class Twins(Traffic):
    """A model whose slots are InferenceServices of their own, full size until put away."""

    cluster: Cluster
    route: Route
    backend = Backend.TWINS

    @property
    def model(self) -> str:  # type: ignore[override]  # a property where others have a field
        return self.route.model

    def owner(self, first: Version) -> Manifest:
        return self.cluster.find(resources.HTTP_ROUTE, self.model) or self.route.split(
            self.cluster, {}
        )

    def bring(self, champion: Version | None, candidate: Version) -> Any:
        stale = self.stale(candidate)
        slots.start(self.cluster, candidate)
        return stale

    def stale(self, version: Version) -> Any:
        before = self.cluster.find(resources.INFERENCE_SERVICE, version.service)
        failure = readiness.last_failure(before)
        known = slots.runs(before, version) and not readiness.passing(failure)
        return None if known else failure

    def look(self, version: Version, *, replicas: int, stale: Any = None) -> Look:
        return readiness.look(self.cluster, version, replicas=replicas, stale=stale)

    def overdue(self, version: Version, why: str) -> Look:
        return readiness.overdue(self.cluster, version, why)

    def split(self, champion: Version, candidate: Version, share: int) -> None:
        self.route.split(self.cluster, {champion: 100 - share, candidate: share})

    def settle(self, champion: Version, loser: Version | None) -> None:
        self.route.split(self.cluster, {champion: 100}, force=loser is not None)
        if loser is None and not until(lambda: bool(self.in_force()), IN_FORCE_S):
            raise NotCarried(
                f"model {self.model}: no Gateway has accepted its HTTPRoute after "
                f"{IN_FORCE_S:g} s; see that Gateway {self.route.gateway} is there, runs, and "
                "allows routes of this namespace, then run again",
                code="split-not-carried",
            )

    def put_away(self, champion: Version | None, loser: Version) -> None:
        slots.stop(self.cluster, loser)

    def put_away_and_wait(
        self, champion: Version | None, loser: Version, *, timeout_s: float
    ) -> None:
        slots.stop_and_wait(self.cluster, loser, timeout_s=timeout_s)

    def edits(self, champion: Version, candidate: Version) -> frozenset[str]:
        return self._edits(champion) | self._edits(candidate)

    def _edits(self, version: Version) -> frozenset[str]:
        found = self.cluster.find(resources.INFERENCE_SERVICE, version.service)
        if found is None:
            return frozenset({f"{version.service}: is gone"})
        if version.capacity is None:  # a record of before does not say what was asked for
            return edits.foreign(found)
        wanted = slots.manifest(version, version.capacity, observations=version.observations)
        return edits.foreign(found) | edits.differences(wanted, found)

    def in_force(self) -> Shares:
        return routed(self.cluster, self.model)


def routed(cluster: Cluster, model: str) -> Shares:
    """Read the percent of each slot from a route that a Gateway has accepted."""
    found = cluster.find(resources.HTTP_ROUTE, model)
    if found is None or not accepted(found):
        return {}
    backends = found["spec"]["rules"][0].get("backendRefs", [])
    weights = {one["name"]: int(one.get("weight", 1)) for one in backends}
    whole = sum(weights.values()) or 1
    return {
        name.removeprefix(f"{model}-").partition("-")[0]: round(100 * weight / whole)
        for name, weight in weights.items()
    }


def accepted(route: Manifest) -> bool:
    """Say whether a Gateway carries a route: nobody else reads its weights."""
    parents = (route.get("status") or {}).get("parents", [])
    conditions = [one for parent in parents for one in parent.get("conditions", [])]
    return any(one["type"] == "Accepted" and one["status"] == "True" for one in conditions)
