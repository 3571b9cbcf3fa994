"""The state of a model's rollout, in a ConfigMap that moves by resourceVersion.

Never in annotations of the InferenceService: they are copied to its pods and restart them.
State is written before the cluster is changed, so whoever comes after a kill does again
what may be half done; every action can be done twice.
"""

import contextlib
import dataclasses
import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from components.deployment.slots import Version
from components.foundation.errors import Refused, UserError
from components.foundation.kubernetes import resources
from components.foundation.kubernetes.client import Cluster, Manifest
from components.foundation.sealing.uri import ReleaseUri
from components.foundation.storage import Conflict

SUFFIX = "-rollout"  # of the name of a model's record

_KEPT = 5


class Moved(Refused):
    """Another run has moved a rollout on; it is that run's now."""


class Phase(enum.StrEnum):
    STABLE = "stable"  # the champion, if any, has all traffic; no candidate
    STARTING = "starting"  # the candidate's pods are on their way
    DARK = "dark"  # the candidate is ready and has no traffic
    CANARY = "canary"  # the candidate has a share of the traffic
    BAKING = "baking"  # the candidate has all traffic, the champion still stands by
    CLEARING = "clearing"  # decided; the candidate field names the slot to put away


@dataclass(frozen=True, slots=True)
class State:
    """`State.from_dict(s.to_dict()) == s`.

    Attributes:
        trial: progress of the present rollout, else of the last, as `roll_out` writes it.
        verdict: the last verdict of a rollout.
        good: versions that were champions, newest first, whole: a rollback brings back their
            replicas, runtime and transformer too. Of those in records of before, only the
            release is known.
        backend: what carries the model, one of `traffic.interface.Backend`; twins in records of
            before there was a choice.
        returning: the release that `falaj rollback` brings back; empty in a rollout.
        because: why the backend was chosen, as `traffic.choosing` found; empty in records of
            before this was kept.
    """

    phase: Phase = Phase.STABLE
    champion: Version | None = None
    candidate: Version | None = None
    trial: dict[str, Any] = field(default_factory=dict)
    verdict: dict[str, Any] = field(default_factory=dict)
    good: tuple[Version, ...] = ()
    backend: str = "twins"
    returning: str = ""
    because: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return {
            "phase": str(self.phase),
            "champion": self.champion.to_dict() if self.champion else None,
            "candidate": self.candidate.to_dict() if self.candidate else None,
            "trial": self.trial,
            "verdict": self.verdict,
            "good": [version.to_dict() for version in self.good],
            "backend": self.backend,
            "returning": self.returning,
            "because": dict(self.because),
        }

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> "State":
        champion, candidate = value["champion"], value["candidate"]
        return cls(
            Phase(value["phase"]),
            Version.from_dict(champion) if champion else None,
            Version.from_dict(candidate) if candidate else None,
            value["trial"],
            value["verdict"],
            tuple(map(_good, value["good"])),
            value.get("backend", "twins"),
            value.get("returning", ""),
            value.get("because", {}),
        )

    def crowned(self, version: Version) -> "State":
        """Return the state with a new champion, remembered among the good ones."""
        kept = [version, *(one for one in self.good if one.release != version.release)]
        return dataclasses.replace(self, champion=version, good=tuple(kept[:_KEPT]))

    @property
    def carried(self) -> dict[str, Any]:
        """Say what splits the traffic and why, for the evidence of verdicts."""
        because = {"backend_because": dict(self.because)} if self.because else {}
        return {"backend": self.backend, **because}

    @property
    def comes_back(self) -> bool:
        """Say whether the candidate is not on trial, but a good version that is brought back."""
        return self.candidate is not None and str(self.candidate.release) == self.returning


@dataclass
class Record:
    """The state as we last saw it, and the way to move it."""

    cluster: Cluster
    model: str
    state: State = field(default_factory=State)
    _stored: Manifest = field(default_factory=dict)

    @classmethod
    def open(cls, cluster: Cluster, model: str) -> "Record":
        """Read a model's state; raises UserError when it was never deployed."""
        found = cls.find(cluster, model)
        if found is None:
            raise UserError(
                f"model {model}: was never deployed in {cluster.namespace}; deploy a release first",
                code="never-deployed",
            )
        return found

    @classmethod
    def find(cls, cluster: Cluster, model: str) -> "Record | None":
        """Read a model's state, or None when it was never deployed."""
        found = cluster.find(resources.CONFIG_MAP, _name(model))
        if found is None:
            return None
        return cls(cluster, model, _state(found), found)

    @classmethod
    def create(cls, cluster: Cluster, model: str, *, owner: Manifest, state: State) -> "Record":
        """Make a model's state beside its owner; if another just did, read that."""
        record = cls(cluster, model, state)
        with contextlib.suppress(Conflict):
            metadata = {"name": _name(model), "ownerReferences": [_reference(owner)]}
            cluster.create(record._manifest(state, metadata))
        record._stored = cluster.get(resources.CONFIG_MAP, _name(model))
        record.state = _state(record._stored)
        return record

    def read(self) -> None:
        """Read the state again, as another run may have left it."""
        self._stored = self.cluster.get(resources.CONFIG_MAP, _name(self.model))
        self.state = _state(self._stored)

    def move(self, state: State) -> None:
        """Write a new state; raises Moved when another run has done so meanwhile."""
        kept = {k: v for k, v in self._stored["metadata"].items() if k != "managedFields"}
        try:
            self._stored = self.cluster.replace(self._manifest(state, kept))
        except Conflict as error:
            raise Moved(
                f"rollout of {self.model}: another run has moved it on from {self.state.phase}; "
                "let it finish, then run again",
                code="rollout-moved",
            ) from error
        self.state = state

    def change(self, **changes: Any) -> None:
        """Move to the present state with some fields changed."""
        self.move(dataclasses.replace(self.state, **changes))

    def _manifest(self, state: State, metadata: Manifest) -> Manifest:
        return {
            "apiVersion": resources.CONFIG_MAP.api_version,
            "kind": resources.CONFIG_MAP.kind,
            "metadata": metadata,
            "data": {"state": json.dumps(state.to_dict(), allow_nan=False)},
        }


def _good(value: dict[str, Any] | str) -> Version:
    """Read a version that was champion; records of before have only its release."""
    if isinstance(value, str):
        return Version("", ReleaseUri.parse(value))
    return Version.from_dict(value)


def _state(stored: Manifest) -> State:
    """Read what a ConfigMap holds; raises UserError when it is no record of ours."""
    try:
        state = State.from_dict(json.loads(stored["data"]["state"]))
        if state.champion is None and state.phase not in (Phase.STABLE, Phase.STARTING):
            raise ValueError(f"{state.phase} without a champion")
        return state
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        name = stored["metadata"]["name"]
        raise UserError(
            f"ConfigMap {name}: its data.state is no record of a rollout "
            f"({type(error).__name__}: {error}); somebody has edited it: restore it, or delete it "
            "and deploy the release again",
            code="rollout-edited",
        ) from error


def _name(model: str) -> str:
    return f"{model}{SUFFIX}"


def _reference(owner: Manifest) -> dict[str, str]:
    metadata = owner["metadata"]
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
    }
