"""A model that is one InferenceService of its own name: KServe's splits are within one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from components.deployment import slots
from components.deployment.slots import Version
from components.deployment.traffic import edits
from components.deployment.traffic.interface import IN_FORCE_S, NotCarried, Shares, Traffic
from components.deployment.waiting import until
from components.foundation.errors import InfrastructureError, Refused
from components.foundation.kubernetes import resources
from components.foundation.kubernetes.client import Cluster, Manifest

_LONGEST = 63  # of a label's value, and of a name in DNS


@dataclass(frozen=True)
class Single(Traffic):
    """What the two backends have in common that KServe's own splits make.

    Attributes:
        mode: KServe's deployment mode, which every such object names: the default is a site's.
        suffix: the longest that KServe adds to names, which are then values of labels.
    """

    cluster: Cluster
    model: str
    mode: ClassVar[str]
    suffix: ClassVar[str]

    def found(self) -> Manifest | None:
        return self.cluster.find(resources.INFERENCE_SERVICE, self.model)

    def owner(self, first: Version) -> Manifest:
        """Return the model's InferenceService; only the first release of a model makes one."""
        self.check(None, first)
        return self.found() or self.apply(self.first(first))

    def apply(self, wanted: Manifest, *, force: bool = False) -> Manifest:
        """Write the whole object: what it leaves out, such as a canary, is removed.

        With `force` also over what somebody else has changed of it: only where a rollout ends.
        """
        return self.cluster.apply(wanted, force=force)

    def edits(self, champion: Version, candidate: Version) -> frozenset[str]:
        found = self.found()
        if found is None:
            return frozenset({f"{self.model}: is gone"})
        return edits.foreign(found) | self.differences(found, champion, candidate)

    def differences(self, found: Manifest, champion: Version, candidate: Version) -> frozenset[str]:
        """Return the fields of ours that the object has otherwise than with the two versions."""
        raise NotImplementedError

    def first(self, version: Version) -> Manifest:
        """Return the object of a version that is alone."""
        raise NotImplementedError

    def both(self, champion: Version, candidate: Version, share: int) -> Manifest:
        """Return the object of two versions, of which the candidate has a percent."""
        raise NotImplementedError

    def stale(self, version: Version) -> Any:
        return None

    def split(self, champion: Version, candidate: Version, share: int) -> None:
        self.apply(self.both(champion, candidate, share))
        if share and self.look(candidate, replicas=1).waiting:
            return  # KServe gives it nothing then; whoever looks next sees why
        self.confirm({champion.slot: 100 - share, candidate.slot: share})

    def check(self, champion: Version | None, candidate: Version) -> None:
        """Refuse what KServe would take without a word, and not serve as asked."""
        self._check_transformer(champion, candidate)
        if champion is not None and champion.release == candidate.release:
            raise self._unfit(candidate, "is the champion's own release: KServe promotes none such")
        for name in (f"isvc.{self.model}{self.suffix}", self._host()):
            if len(name) > _LONGEST:
                why = f"KServe would name {name!r}, {len(name)} letters of at most {_LONGEST}"
                raise self._unfit(candidate, why)

    def _check_transformer(self, champion: Version | None, candidate: Version) -> None:
        if candidate.transformer or (champion and champion.transformer):
            why = "has a transformer before it, which requests to a candidate would not pass"
            raise self._unfit(candidate, why)

    def _host(self) -> str:
        """The first part of the longest host name that KServe makes."""
        return f"{self.model}-predictor-{self.cluster.namespace}"

    def _unfit(self, version: Version, why: str) -> Refused:
        return Refused(
            f"deploy {version.release}: {why}; the backend {self.backend} cannot carry it, deploy "
            "it with twins under a model name that is new, or change it",
            code="backend-unfit",
        )

    def metadata(self) -> dict[str, Any]:
        """Return what never changes: KServe copies it to pods, and a change restarts them."""
        labels = {"app.kubernetes.io/part-of": "falaj", "app.kubernetes.io/name": self.model}
        return {"name": self.model, "labels": labels, "annotations": {slots.MODE: self.mode}}

    def manifest(self, spec: dict[str, Any], **annotations: str) -> Manifest:
        metadata = self.metadata()
        metadata["annotations"] |= annotations
        return {
            "apiVersion": resources.INFERENCE_SERVICE.api_version,
            "kind": resources.INFERENCE_SERVICE.kind,
            "metadata": metadata,
            "spec": spec,
        }

    def stopped_manifest(self, version: Version) -> Manifest:
        """Return the object of a version that was refused, with no other to serve."""
        return self.manifest(self.first(version)["spec"], **{slots.STOP: "true"})

    def confirm(self, wanted: Shares) -> None:
        """Wait until the split is in force, as what routes requests has it.

        Raises:
            NotCarried: it is not; KServe's status is no proof, it was seen to tell of splits that
                nothing carried.
        """
        if not until(lambda: _shares(self.in_force()) == _shares(wanted), IN_FORCE_S):
            raise NotCarried(
                f"model {self.model}: asked for {_shares(wanted)} percent, what routes has "
                f"{_shares(self.in_force()) or 'nothing'} after {IN_FORCE_S:g} s; {self.why()}",
                code="split-not-carried",
            )

    def why(self) -> str:
        """Say what is to be looked at where a split is not in force."""
        raise NotImplementedError

    def wait_until(self, holds: Callable[[], bool], what: str, *, timeout_s: float) -> None:
        """Wait for KServe.

        Raises:
            InfrastructureError: it did not come; the same call goes on with it later.
        """
        if not until(holds, timeout_s):
            raise InfrastructureError(
                f"model {self.model}: {what} after {timeout_s:g} s; look at KServe's controller, "
                "then run again",
                code="rollout-stuck",
            )


def _shares(shares: Shares) -> Shares:
    """Leave out who gets nothing."""
    return {slot: share for slot, share in shares.items() if share}


def predictor(version: Version) -> dict[str, Any]:
    """Return a version's predictor, as its slot would have it."""
    size = version.capacity or slots.Capacity()
    wanted = slots.manifest(version, size, observations=version.observations)
    found: dict[str, Any] = wanted["spec"]["predictor"]
    return found


def clusters(service: str, namespace: str) -> str:
    """Return the address of a Service inside the cluster."""
    return f"http://{service}.{namespace}.svc.cluster.local"
