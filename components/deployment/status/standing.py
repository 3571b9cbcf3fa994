"""How a model stands, from its record and from what the cluster really does."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from components.deployment.record import SUFFIX, Record, State
from components.deployment.slots import Version
from components.deployment.traffic import choosing
from components.deployment.traffic.interface import Shares, Traffic
from components.foundation.errors import FalajError
from components.foundation.kubernetes import resources
from components.foundation.kubernetes.client import Cluster


@dataclass(frozen=True, slots=True)
class Standing:
    """One model.

    Attributes:
        shares: percent by slot as it is really routed, not as it was asked for.
        ready: by slot, "ready" or in one sentence what is missing.
        unseen: what could not be looked at, and why.
    """

    model: str
    state: State
    shares: Shares = field(default_factory=dict)
    ready: dict[str, str] = field(default_factory=dict)
    unseen: str = ""

    @property
    def verdict(self) -> str:
        """The last verdict in one line; empty when there was none."""
        told = self.state.verdict
        if not told:
            return ""
        return f"{told['decision']} at {told['time'][:19]}Z: {told['reason']}"

    @property
    def because(self) -> str:
        """Why its backend splits the traffic, in one line; empty where nobody wrote it down."""
        because = self.state.because
        if not because:
            return ""
        unseen = ", ".join(because["found"]["unseen"])
        seen = f"; not seen: {unseen}" if unseen else ""
        return f"asked for {because['asked']}: {because['reason']}{seen}"

    def to_dict(self) -> dict[str, Any]:
        state = self.state.to_dict()
        kept = ("phase", "champion", "candidate", "verdict", "good", "backend", "returning")
        told = {name: state[name] for name in kept} | {"backend_because": state["because"]}
        seen = {"shares": self.shares, "ready": self.ready, "unseen": self.unseen}
        return {"model": self.model, **told, **seen}


def standing(record: Record) -> Standing:
    """Look at one model; what cannot be seen of the cluster is said, the record is told anyway."""
    state = record.state
    versions = [one for one in (state.champion, state.candidate) if one is not None]
    try:
        traffic = choosing.taken(record)
        ready = {one.slot: _ready(traffic, one) for one in versions}
        return Standing(record.model, state, traffic.in_force(), ready)
    except FalajError as error:
        return Standing(record.model, state, unseen=str(error))


def models(cluster: Cluster) -> Sequence[str]:
    """Return the models that have a record in the cluster's namespace."""
    found = [one for one in cluster.list(resources.CONFIG_MAP) if "state" in one.get("data", {})]
    names = [one["metadata"]["name"] for one in found]
    return sorted(name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX))


def _ready(traffic: Traffic, version: Version) -> str:
    replicas = version.capacity.minimum if version.capacity else 1
    seen = traffic.look(version, replicas=replicas)
    return seen.failed or seen.unable or seen.waiting or "ready"
