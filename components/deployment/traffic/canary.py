"""KServe's own `spec.canary`, in Standard mode, with care for what it was seen to do.

The stable predictor and the canary have the names of slots, so a Deployment is called as it is
with twins, and promotion is a change of two fields: its name, and no entry any more.
"""

from dataclasses import dataclass
from typing import Any

from components.deployment import readiness, slots
from components.deployment.readiness import Look
from components.deployment.slots import Version
from components.deployment.traffic import edits, openers
from components.deployment.traffic.interface import Backend, Shares
from components.deployment.traffic.single import Single, clusters, predictor
from components.deployment.traffic.twins import routed
from components.foundation.kubernetes import resources
from components.foundation.kubernetes.client import Manifest
from components.foundation.kubernetes.resources import Resource

HPA = Resource("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")

_OF = "serving.kserve.io/inferenceservice"
_GONE_S = 30.0
_READY_S = 60.0


@dataclass(frozen=True)
class Canary(Single):
    """One InferenceService whose second version is an entry of `spec.canary`."""

    backend = Backend.CANARY
    mode = "Standard"
    suffix = "-a-predictor"

    def first(self, version: Version) -> Manifest:
        return self.manifest({"predictor": {**predictor(version), "name": version.slot}})

    def both(self, champion: Version, candidate: Version, share: int) -> Manifest:
        """Return the object with both.

        A canary has as many pods as its floor, and KServe takes as many from the stable one: its
        floor is raised by as many, so that neither has less than it should.
        """
        floor, stable = self._floor(champion, candidate), predictor(champion)
        stable["minReplicas"] += floor
        stable["maxReplicas"] = max(stable["maxReplicas"], stable["minReplicas"])
        dark = {**predictor(candidate), "name": candidate.slot, "minReplicas": floor}
        del dark["maxReplicas"]  # KServe refuses it there
        dark["model"] = {"name": "", **dark["model"]}  # required there, and nowhere else
        entry = {"trafficPercent": share, "predictor": dark}
        return self.manifest({"predictor": {**stable, "name": champion.slot}, "canary": [entry]})

    def _floor(self, champion: Version, candidate: Version) -> int:
        """Return how many pods a candidate has: as many as the champion had when it came."""
        entry = _entry(self.found(), candidate)
        least = (candidate.capacity or slots.Capacity()).minimum
        if entry:
            return max(least, int(entry["predictor"].get("minReplicas", 1)))
        found = self.cluster.find(resources.DEPLOYMENT, champion.deployments[0])
        running = int(found["spec"].get("replicas", 1)) if found else 1
        return max(least, min(running, (candidate.capacity or slots.Capacity()).maximum))

    def bring(self, champion: Version | None, candidate: Version) -> Any:
        self.check(champion, candidate)
        self._sweep(candidate)
        if champion is None:
            self.apply(self.first(candidate))
        else:
            self.apply(self.both(champion, candidate, 0))
        return None

    def look(self, version: Version, *, replicas: int, stale: Any = None) -> Look:
        """Look at the version's own Deployment and server: `Ready` does not tell of canaries."""
        found = self.found()
        invalid = (found or {}).get("status", {}).get("modelStatus", {})
        if found is None:
            return Look(waiting="the InferenceService is not there")
        if invalid.get("transitionStatus") == "InvalidSpec":
            return Look(failed=readiness.told(invalid.get("lastFailureInfo", {})))
        waiting = self._missing(version, max(replicas, _pods(found, version)))
        if waiting:
            app = {"app": f"isvc.{version.deployments[0]}"}
            return openers.look(self.cluster, app, version, waiting)
        if not readiness.served(self.cluster, self._address(version), version):
            return Look(waiting="the server does not answer for this release")
        return Look()

    def _missing(self, version: Version, replicas: int) -> str:
        found = self.cluster.find(resources.DEPLOYMENT, version.deployments[0])
        template = (found or {}).get("spec", {}).get("template", {}).get("metadata", {})
        source = template.get("annotations", {}).get(readiness.SOURCE)
        if found and source != str(version.release):
            return "the pods still have another release"
        return readiness.pods_missing(found, replicas)

    def _address(self, version: Version) -> str:
        return clusters(version.deployments[0], self.cluster.namespace)

    def settle(self, champion: Version, loser: Version | None) -> None:
        """Give one version everything; of one that is promoted, only with its pods ready.

        The promotion deletes the other Deployment at once, so it comes only when all traffic is
        the canary's already.
        """
        found = self.found()
        entry = None if loser is None else _entry(found, loser)
        if loser is not None and entry is not None:
            self.apply(self.both(champion, loser, 0), force=True)
        elif loser is not None and _stable(found) == loser.slot:
            self._promote(champion, loser)
        self.confirm({champion.slot: 100})

    def _promote(self, champion: Version, loser: Version) -> None:
        """Make a canary the stable predictor, once it serves everything as a canary.

        It is asked for again first: whatever somebody did to the entry, a rename to a version
        without pods would be an outage.
        """
        self._sweep(champion)
        self.apply(self.both(loser, champion, 100), force=True)
        ready = f"{champion} is not ready, and promoting it would delete the pods that serve"
        self.wait_until(lambda: self.look(champion, replicas=1).ready, ready, timeout_s=_READY_S)
        self.confirm({champion.slot: 100})
        self.apply(self.first(champion), force=True)

    def put_away(self, champion: Version | None, loser: Version) -> None:
        if champion is None:
            self.apply(self.stopped_manifest(loser), force=True)
        else:
            self.put_away_and_wait(champion, loser, timeout_s=_GONE_S)

    def put_away_and_wait(
        self, champion: Version | None, loser: Version, *, timeout_s: float
    ) -> None:
        alone = self.stopped_manifest(loser) if champion is None else self.first(champion)
        self.apply(alone, force=True)
        self.wait_until(lambda: self._gone(loser), f"{loser} still has pods", timeout_s=timeout_s)
        self._sweep(loser)

    def _gone(self, version: Version) -> bool:
        return self.cluster.find(resources.DEPLOYMENT, version.deployments[0]) is None

    def _sweep(self, version: Version) -> None:
        """Delete a left-over autoscaler: the next version of that name would inherit its floor."""
        name = version.deployments[0]
        if not self._gone(version):
            return
        scalers = self.cluster.list(HPA, labels={_OF: self.model})
        if name in {one["metadata"]["name"] for one in scalers}:
            self.cluster.delete(HPA, name)

    def differences(self, found: Manifest, champion: Version, candidate: Version) -> frozenset[str]:
        """Compare with what the last split wrote, whatever percent that was."""
        entry = _entry(found, candidate) or {}
        wanted = self.both(champion, candidate, int(entry.get("trafficPercent", 0)))
        return edits.differences(wanted, found)

    def in_force(self) -> Shares:
        return routed(self.cluster, self.model)

    def told(self, version: Version) -> dict[str, str]:
        """Say where the model is inside the cluster: promotion takes the old Service away."""
        return {"address_inside": self._address(version)}

    def why(self) -> str:
        return (
            "KServe splits only with enableGatewayApi and a Gateway that accepts its routes, from "
            "version 0.21 on; set that, or deploy without a backend"
        )


def _stable(found: Manifest | None) -> str:
    return str((found or {}).get("spec", {}).get("predictor", {}).get("name", ""))


def _entry(found: Manifest | None, version: Version) -> dict[str, Any] | None:
    """Return the canary that is a version, if it is one now."""
    for one in (found or {}).get("spec", {}).get("canary", []):
        same = one["predictor"].get("model", {}).get("storageUri") == str(version.release)
        if same and one["predictor"]["name"] == version.slot:
            entry: dict[str, Any] = one
            return entry
    return None


def _pods(found: Manifest, version: Version) -> int:
    """Return how many pods a canary should have; 0 for what is none."""
    entry = _entry(found, version)
    return int(entry["predictor"].get("minReplicas", 1)) if entry else 0
