"""The two slots of a model: InferenceServices `<model>-a` and `<model>-b`."""

import time
from dataclasses import dataclass
from typing import Any

from components.foundation.kubernetes import resources
from components.foundation.kubernetes.client import Cluster, Manifest
from components.foundation.sealing.uri import ReleaseUri

SLOTS = ("a", "b")

_FORMAT = _RUNTIME = "falaj-onnx"
_STOP = "serving.kserve.io/stop"
_FILE_GROUP = 65532  # who may read the key ring that the initializer mounts


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many replicas a slot has; the autoscaler moves between the two."""

    minimum: int = 1
    maximum: int = 2


@dataclass(frozen=True, slots=True)
class Version:
    """A release in a slot; `Version.from_dict(v.to_dict()) == v`."""

    slot: str
    release: ReleaseUri

    @property
    def model(self) -> str:
        return self.release.model

    @property
    def service(self) -> str:
        return f"{self.model}-{self.slot}"

    def to_dict(self) -> dict[str, str]:
        return {"slot": self.slot, "release": str(self.release)}

    @classmethod
    def from_dict(cls, value: dict[str, str]) -> "Version":
        return cls(value["slot"], ReleaseUri.parse(value["release"]))

    def __str__(self) -> str:
        return f"{self.release.version} in slot {self.slot}"


def other(slot: str) -> str:
    return SLOTS[1 - SLOTS.index(slot)]


def manifest(version: Version, capacity: Capacity, *, observations: str = "") -> Manifest:
    """Return the whole InferenceService of a release in a slot.

    The server answers under the model's name, not the slot's; the slot is reached through
    our route alone.
    """
    args = [f"--model_name={version.model}", f"--variant={version.slot}"]
    args += [f"--observations={observations}"] if observations else []
    return {
        "apiVersion": resources.INFERENCE_SERVICE.api_version,
        "kind": resources.INFERENCE_SERVICE.kind,
        "metadata": {
            "name": version.service,
            "labels": {
                "networking.kserve.io/visibility": "cluster-local",
                "app.kubernetes.io/part-of": "falaj",
                "app.kubernetes.io/name": version.model,
            },
        },
        "spec": {
            "predictor": {
                "serviceAccountName": "falaj-serving",
                "securityContext": {"fsGroup": _FILE_GROUP},
                "minReplicas": capacity.minimum,
                "maxReplicas": capacity.maximum,
                "model": {
                    "modelFormat": {"name": _FORMAT},
                    "runtime": _RUNTIME,
                    "protocolVersion": "v2",
                    "storageUri": str(version.release),
                    "args": args,
                },
            }
        },
    }


def start(cluster: Cluster, version: Version, capacity: Capacity, *, observations: str) -> None:
    """Apply a slot; a stopped one comes back, since the apply leaves the stop out."""
    cluster.apply(manifest(version, capacity, observations=observations))


def runs(service: Manifest | None, version: Version) -> bool:
    """Say whether a slot's object asks for this release, and is not stopped."""
    if service is None or service["metadata"].get("annotations", {}).get(_STOP) == "true":
        return False
    model = service["spec"]["predictor"].get("model", {})
    return bool(model.get("storageUri") == str(version.release))


def stop(cluster: Cluster, version: Version) -> None:
    """Stop a slot's pods; its object stays. Take it out of the route first."""
    found = cluster.find(resources.INFERENCE_SERVICE, version.service)
    if found is None:
        return
    predictor = found["spec"]["predictor"]
    capacity = Capacity(predictor.get("minReplicas", 1), predictor.get("maxReplicas", 1))
    wanted = manifest(version, capacity)
    wanted["metadata"]["annotations"] = {_STOP: "true"}
    cluster.apply(wanted)


def stopped(cluster: Cluster, service: str) -> bool:
    """Say whether a slot has no pods: never made, or stopped and its Deployment gone."""
    found = cluster.find(resources.INFERENCE_SERVICE, service)
    if found is None:
        return True
    return (
        condition(found, "Stopped").get("status") == "True"
        and cluster.find(resources.DEPLOYMENT, f"{service}-predictor") is None
    )


def stop_and_wait(cluster: Cluster, version: Version, *, timeout_s: float) -> None:
    """Stop a slot and wait for its pods to go, so that nothing of them is read as new."""
    stop(cluster, version)
    deadline = time.monotonic() + timeout_s
    while not stopped(cluster, version.service) and time.monotonic() < deadline:
        time.sleep(0.2)


def condition(service: Manifest, kind: str) -> dict[str, Any]:
    """Return a condition of an InferenceService; empty when it is not there yet."""
    conditions = service.get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == kind), {})
