"""What an InferenceService asks for, read once: its mode, its parts and their replicas."""

import math
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from typing import Any

from components.foundation.kubernetes.client import Manifest

STOP = "serving.kserve.io/stop"
MODE = "serving.kserve.io/deploymentMode"
LOCAL = ("networking.kserve.io/visibility", "cluster-local")


@dataclass(frozen=True, slots=True)
class Part:
    """One Deployment that there should be, with its Service and its autoscaler.

    Attributes:
        canary: name of the canary that it is; empty for what is stable.
        percent: what a canary wants of the traffic.
    """

    name: str
    role: str
    spec: Mapping[str, Any]
    floor: int
    ceiling: int
    canary: str = ""
    percent: int = 0

    @property
    def uri(self) -> str:
        return str(self.spec.get("model", {}).get("storageUri", ""))


@dataclass(frozen=True, slots=True)
class Asked:
    """One InferenceService.

    Attributes:
        local: only the cluster reaches it, so it has no route of KServe's.
    """

    manifest: Manifest
    stopped: bool
    mode: str
    local: bool
    stable: Part
    canaries: tuple[Part, ...]
    transformer: Part | None

    @property
    def name(self) -> str:
        return str(self.manifest["metadata"]["name"])

    @property
    def namespace(self) -> str:
        return str(self.manifest["metadata"]["namespace"])

    @property
    def front(self) -> Part:
        """What requests reach first."""
        return self.transformer or self.stable

    def parts(self, serving: Set[str]) -> tuple[Part, ...]:
        """Return every part; canaries that serve take their replicas from the stable one."""
        if self.stopped:
            return ()
        taken = sum(one.floor for one in self.canaries if one.name in serving)
        stable = replace(self.stable, floor=max(1, self.stable.floor - taken))
        before = () if self.transformer is None else (self.transformer,)
        return (stable, *self.canaries, *before)


def read(manifest: Manifest) -> Asked:
    """Read an InferenceService as the API server has it."""
    metadata, spec = manifest["metadata"], manifest["spec"]
    annotations = metadata.get("annotations", {})
    name, predictor = metadata["name"], spec["predictor"]
    stable = _part(_predictor(name, predictor.get("name", "")), "predictor", predictor)
    return Asked(
        manifest,
        stopped=annotations.get(STOP) == "true",
        mode=annotations.get(MODE, "Standard"),
        local=metadata.get("labels", {}).get(LOCAL[0]) == LOCAL[1],
        stable=stable,
        canaries=tuple(_canary(name, stable, one) for one in spec.get("canary", [])),
        transformer=_part(f"{name}-transformer", "transformer", spec["transformer"])
        if spec.get("transformer")
        else None,
    )


def _part(name: str, role: str, spec: Mapping[str, Any]) -> Part:
    floor = spec.get("minReplicas", 1)
    return Part(name, role, spec, floor, max(spec.get("maxReplicas", 1), floor))


def _canary(service: str, stable: Part, entry: Manifest) -> Part:
    """Read a canary: what it does not say is as in the stable predictor, replicas are fixed."""
    own, percent = entry["predictor"], entry.get("trafficPercent", 0)
    model = {**stable.spec.get("model", {}), **own.get("model", {})}
    share = max(1, math.ceil(stable.floor * percent / 100))
    replicas = min(own.get("minReplicas", share), stable.floor)
    spec = {**stable.spec, **own, "model": model}
    name = _predictor(service, own["name"])
    return Part(name, "predictor", spec, replicas, replicas, own["name"], percent)


def _predictor(service: str, name: str) -> str:
    return f"{service}-{name}-predictor" if name else f"{service}-predictor"
