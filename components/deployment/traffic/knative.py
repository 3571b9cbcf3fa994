"""Knative's split between revisions: `canaryTrafficPercent`, where KServe is in Knative mode.

All traffic is the promotion there: KServe then moves its mark of what is rolled out, and has one
step of history. So a candidate bakes with a percent less, and the way back stays a weight.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from components.deployment import readiness, slots
from components.deployment.readiness import Look
from components.deployment.slots import Version
from components.deployment.traffic import edits, openers
from components.deployment.traffic.interface import Backend, Shares
from components.deployment.traffic.probing import KSERVICE
from components.deployment.traffic.single import Single, clusters, predictor
from components.foundation.kubernetes.client import Manifest
from components.foundation.kubernetes.resources import Resource

REVISION = Resource("serving.knative.dev/v1", "Revision", "revisions")

_PERCENT = "canaryTrafficPercent"
_VARIANT = "--variant="
_READY_S = 120.0


@dataclass(frozen=True)
class Knative(Single):
    """One InferenceService whose versions are revisions of one Knative Service."""

    backend = Backend.KNATIVE
    whole = 99
    mode = "Knative"
    suffix = "-predictor-00000-deployment"

    def first(self, version: Version) -> Manifest:
        return self.manifest({"predictor": predictor(version)})

    def at(self, version: Version, share: int) -> Manifest:
        """Return the object that asks for a version and gives it a percent, 0 included."""
        return self.manifest({"predictor": {**predictor(version), _PERCENT: share}})

    def both(self, champion: Version, candidate: Version, share: int) -> Manifest:
        return self.at(candidate, share)

    def bring(self, champion: Version | None, candidate: Version) -> Any:
        self.check(champion, candidate)
        if champion is None:
            self.apply(self.first(candidate))
            return None
        if not self._asks_for(candidate):
            told = f"KServe has not told that {champion} is rolled out, and ignores percents"
            self.wait_until(lambda: self._rolled_out(champion), told, timeout_s=_READY_S)
        self.apply(self.at(candidate, 0))
        return None

    def look(self, version: Version, *, replicas: int, stale: Any = None) -> Look:
        """Look at the version's newest revision, which is ready once it had all of its pods.

        Pods are not counted: Knative may take those that get no requests.
        """
        found = self.cluster.find(KSERVICE, self._service)
        if found is None:
            hint = "it needs the ConfigMap config-autoscaler in knative-serving"
            return Look(waiting=f"KServe has made no Knative Service; {hint}")
        if found.get("status", {}).get("observedGeneration") != found["metadata"]["generation"]:
            return Look(waiting="Knative has not looked at its Service yet")
        revision = next((one for one in self._revisions(found) if _is(one, version)), None)
        if revision is None:
            return Look(waiting="no revision has the release yet")
        name = revision["metadata"]["name"]
        if waiting := _not_ready(revision):
            labels = {"serving.knative.dev/revision": name}
            return openers.look(self.cluster, labels, version, waiting)
        if not readiness.served(self.cluster, clusters(name, self.cluster.namespace), version):
            return Look(waiting="the server does not answer for this release")
        return Look()

    def settle(self, champion: Version, loser: Version | None) -> None:
        """Give one version everything; the object then asks for it, or for none of the loser."""
        if loser is not None and self._asks_for(loser):
            self.apply(self.at(loser, 0), force=True)
        elif loser is not None and not self._rolled_out(champion):
            self._promote(champion)
        self.confirm({champion.slot: 100})

    def _promote(self, champion: Version) -> None:
        waited = f"{champion} is not ready, and gets all traffic only then"
        self.wait_until(lambda: self.look(champion, replicas=1).ready, waited, timeout_s=_READY_S)
        self.apply(self.first(champion), force=True)

    def put_away(self, champion: Version | None, loser: Version) -> None:
        """Ask for nothing but the champion; of one that was left, a revision is made anew.

        It gets traffic when it is ready: until then what was rolled out has it.
        """
        if champion is None:
            self.apply(self.stopped_manifest(loser), force=True)
            return
        if not self._alone(champion):
            self.apply(self.at(champion, 0), force=True)
            waited = f"{champion} has no new revision that is ready"
            self.wait_until(lambda: self._renewed(champion), waited, timeout_s=_READY_S)
        self.apply(self.first(champion), force=True)
        waited = f"KServe does not tell that {champion} is rolled out"
        self.wait_until(lambda: self._rolled_out(champion), waited, timeout_s=_READY_S)

    def put_away_and_wait(
        self, champion: Version | None, loser: Version, *, timeout_s: float
    ) -> None:
        self.put_away(champion, loser)

    def differences(self, found: Manifest, champion: Version, candidate: Version) -> frozenset[str]:
        """Compare with what the last split wrote, whatever percent that was."""
        share = found["spec"]["predictor"].get(_PERCENT, 0)
        return edits.differences(self.at(candidate, int(share)), found)

    def in_force(self) -> Shares:
        found = self.cluster.find(KSERVICE, self._service) or {}
        shares: Shares = {}
        for target in found.get("status", {}).get("traffic", []):
            name = target.get("revisionName", "")
            revision = self.cluster.find(REVISION, name) if name else None
            slot = _slot(revision) if revision else ""
            shares[slot] = shares.get(slot, 0) + int(target.get("percent") or 0)
        return shares

    def why(self) -> str:
        return (
            "see that Knative Serving runs, that the ConfigMap config-autoscaler is in "
            "knative-serving, and what the Knative Service says of its traffic"
        )

    @property
    def _service(self) -> str:
        return f"{self.model}-predictor"

    def _host(self) -> str:
        """The first part of the longest host name: Knative puts a tag before its Service's."""
        return f"prev-{self._service}"

    def _asks_for(self, version: Version) -> bool:
        return _asked((self.found() or {}).get("spec", {}).get("predictor", {}), version)

    def _alone(self, champion: Version) -> bool:
        """Say whether the object asks for the champion, and gives no other revision a share."""
        asked = (self.found() or {}).get("spec", {}).get("predictor", {})
        return _asked(asked, champion) and _PERCENT not in asked

    def _rolled_out(self, version: Version) -> bool:
        """Say whether KServe's mark of what has all traffic is on a version."""
        told = (self.found() or {}).get("status", {}).get("components", {}).get("predictor", {})
        name = told.get("latestRolledoutRevision", "")
        revision = self.cluster.find(REVISION, name) if name else None
        return revision is not None and _is(revision, version)

    def _renewed(self, champion: Version) -> bool:
        """Say whether the newest revision of all is the champion's, and ready."""
        found = self.cluster.find(KSERVICE, self._service) or {"metadata": {}}
        status = found.get("status", {})
        if status.get("observedGeneration") != found["metadata"].get("generation"):
            return False
        name = status.get("latestCreatedRevisionName", "")
        newest = self.cluster.find(REVISION, name) if name else None
        return newest is not None and _is(newest, champion) and not _not_ready(newest)

    def _revisions(self, found: Manifest) -> Iterator[Manifest]:
        """Yield a Knative Service's revisions that matter, the newest first."""
        status = found["status"]
        names = [status.get("latestCreatedRevisionName"), status.get("latestReadyRevisionName")]
        names += [target.get("revisionName") for target in status.get("traffic", [])]
        for name in dict.fromkeys(filter(None, names)):
            if revision := self.cluster.find(REVISION, name):
                yield revision


def _asked(asked: dict[str, Any], version: Version) -> bool:
    """Say whether a predictor asks for a version's release: no other version has the same."""
    return bool(asked.get("model", {}).get("storageUri") == str(version.release))


def _is(revision: Manifest, version: Version) -> bool:
    source = revision["metadata"].get("annotations", {}).get(readiness.SOURCE)
    return source == str(version.release) and _slot(revision) == version.slot


def _slot(revision: Manifest) -> str:
    """Read a revision's slot from what its server is told; another one's is none of ours."""
    containers = revision.get("spec", {}).get("containers", [])
    words = [word for one in containers for word in one.get("args", [])]
    told = [word.removeprefix(_VARIANT) for word in words if word.startswith(_VARIANT)]
    return told[-1] if told and told[-1] in slots.SLOTS else ""


def _not_ready(revision: Manifest) -> str:
    conditions = revision.get("status", {}).get("conditions", [])
    ready: dict[str, Any] = next((one for one in conditions if one["type"] == "Ready"), {})
    if ready.get("status") == "True":
        return ""
    return str(ready.get("message") or ready.get("reason") or "the revision is not ready yet")
