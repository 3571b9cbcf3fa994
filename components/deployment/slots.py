"""The two slots of a model: InferenceServices `<model>-a` and `<model>-b`."""

import enum
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from components.deployment.transformer import Transformer
from components.deployment.waiting import until
from components.foundation.errors import InfrastructureError
from components.foundation.kubernetes import resources
from components.foundation.kubernetes.client import Cluster, Manifest
from components.foundation.programs import Framework
from components.foundation.sealing.uri import ReleaseUri

SLOTS = ("a", "b")

MODE = "serving.kserve.io/deploymentMode"
STOP = "serving.kserve.io/stop"
_FILE_GROUP = 65532  # who may read the key ring that the initializer mounts


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many replicas a slot has; the autoscaler moves between the two."""

    minimum: int = 1
    maximum: int = 2


class Runtime(enum.Enum):
    """A ClusterServingRuntime of ours; the value is its name."""

    ONNX = "falaj-onnx"
    TORCH = "falaj-torch"
    TENSORFLOW = "falaj-tensorflow"

    @classmethod
    def of(cls, framework: Framework) -> Self:
        """Return the one that serves a framework's programs."""
        return cls[framework.name]

    @property
    def model_format(self) -> str:
        """Its format, in the words of KServe's own runtimes where they have one like it."""
        names = {Runtime.TORCH: "pytorch", Runtime.TENSORFLOW: "tensorflow"}
        return names.get(self, self.value)


@dataclass(frozen=True, slots=True)
class Version:
    """A release in a slot; `Version.from_dict(v.to_dict()) == v`.

    Attributes:
        runtime: what serves it.
        transformer: what looks its features up; None where clients send them.
        capacity: its replicas; None where a record of before does not say. Like `observations`,
            where its server keeps what it observes, it makes no other version of it.
    """

    slot: str
    release: ReleaseUri
    runtime: Runtime = Runtime.ONNX
    transformer: Transformer | None = None
    capacity: Capacity | None = field(default=None, compare=False)
    observations: str = field(default="", compare=False)

    @property
    def model(self) -> str:
        return self.release.model

    @property
    def service(self) -> str:
        return f"{self.model}-{self.slot}"

    @property
    def deployments(self) -> tuple[str, ...]:
        """The Deployments that KServe makes of it; requests go to the last."""
        before = () if self.transformer is None else (f"{self.service}-transformer",)
        return (f"{self.service}-predictor", *before)

    def to_dict(self) -> dict[str, Any]:
        """Say what it is; what most releases are is left out, as before there was a choice."""
        runtime = {} if self.runtime is Runtime.ONNX else {"runtime": self.runtime.value}
        before = {} if self.transformer is None else {"transformer": self.transformer.to_dict()}
        size = {} if self.capacity is None else {"capacity": asdict(self.capacity)}
        kept = {"observations": self.observations} if self.observations else {}
        named = {"slot": self.slot, "release": str(self.release)}
        return {**named, **runtime, **before, **size, **kept}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "Version":
        runtime = Runtime(value.get("runtime", Runtime.ONNX.value))
        before = value.get("transformer")
        transformer = None if before is None else Transformer.from_dict(before)
        capacity = Capacity(**value["capacity"]) if "capacity" in value else None
        release, kept = ReleaseUri.parse(value["release"]), value.get("observations", "")
        return cls(value["slot"], release, runtime, transformer, capacity, kept)

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
            "annotations": {MODE: "Standard"},  # whatever the cluster's default is
        },
        "spec": {
            "predictor": {
                "serviceAccountName": "falaj-serving",
                "securityContext": {"fsGroup": _FILE_GROUP},
                "minReplicas": capacity.minimum,
                "maxReplicas": capacity.maximum,
                "model": {
                    "modelFormat": {"name": version.runtime.model_format},
                    "runtime": version.runtime.value,
                    "protocolVersion": "v2",
                    "storageUri": str(version.release),
                    "args": args,
                },
            },
            **_transformer(version, capacity),
        },
    }


def _transformer(version: Version, capacity: Capacity) -> Manifest:
    if version.transformer is None:
        return {}
    replicas = {"minReplicas": capacity.minimum, "maxReplicas": capacity.maximum}
    component = version.transformer.manifest(version.model, version.release.version)
    return {"transformer": {**component, **replicas}}


def start(cluster: Cluster, version: Version) -> None:
    """Apply a slot; a stopped one comes back, since the apply leaves the stop out."""
    capacity = version.capacity or Capacity()
    cluster.apply(manifest(version, capacity, observations=version.observations))


def runs(service: Manifest | None, version: Version) -> bool:
    """Say whether a slot's object asks for this release, and is not stopped."""
    if service is None or service["metadata"].get("annotations", {}).get(STOP) == "true":
        return False
    model = service["spec"]["predictor"].get("model", {})
    return bool(model.get("storageUri") == str(version.release))


def stop(cluster: Cluster, version: Version) -> None:
    """Stop a slot's pods; its object stays. Take it out of the route first.

    What somebody else has changed of it meanwhile does not keep its pods alive.
    """
    found = cluster.find(resources.INFERENCE_SERVICE, version.service)
    if found is None:
        return
    predictor = found["spec"]["predictor"]
    live = Capacity(predictor.get("minReplicas", 1), predictor.get("maxReplicas", 1))
    wanted = manifest(version, version.capacity or live)
    wanted["metadata"]["annotations"] |= {STOP: "true"}
    cluster.apply(wanted, force=True)


def stopped(cluster: Cluster, service: str) -> bool:
    """Say whether a slot has no pods: never made, or stopped and its Deployment gone."""
    found = cluster.find(resources.INFERENCE_SERVICE, service)
    if found is None:
        return True
    return (
        condition(found, "Stopped").get("status") == "True"
        and cluster.find(resources.DEPLOYMENT, f"{service}-predictor") is None
        and cluster.find(resources.DEPLOYMENT, f"{service}-transformer") is None
    )


def stop_and_wait(cluster: Cluster, version: Version, *, timeout_s: float) -> None:
    """Stop a slot and wait for its pods to go, so that nothing of them is read as new.

    Raises:
        InfrastructureError: they did not go; the same call goes on with it later.
    """
    stop(cluster, version)
    if not until(lambda: stopped(cluster, version.service), timeout_s):
        raise InfrastructureError(
            f"slot {version.service}: was stopped and still has a Deployment after {timeout_s:g} "
            "s; look at KServe's controller, then run again",
            code="rollout-stuck",
        )


def condition(service: Manifest, kind: str) -> dict[str, Any]:
    """Return a condition of an InferenceService; empty when it is not there yet."""
    conditions = service.get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == kind), {})
