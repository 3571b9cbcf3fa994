"""What an installation asks of its nodes, in total: the sum of its workloads' requests."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from kubernetes.utils.quantity import parse_quantity

_STANDING = {"Deployment", "StatefulSet"}
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Requests:
    """Processor time in cores, memory in bytes, GPUs and slices of GPUs by their count."""

    cpu: Decimal = Decimal(0)
    memory: Decimal = Decimal(0)
    gpus: Decimal = Decimal(0)

    def __add__(self, other: "Requests") -> "Requests":
        return Requests(self.cpu + other.cpu, self.memory + other.memory, self.gpus + other.gpus)

    def times(self, count: int) -> "Requests":
        return Requests(self.cpu * count, self.memory * count, self.gpus * count)

    def at_least(self, other: "Requests") -> "Requests":
        """Return the larger of each."""
        return Requests(
            max(self.cpu, other.cpu), max(self.memory, other.memory), max(self.gpus, other.gpus)
        )

    def __str__(self) -> str:
        gpus = f", {self.gpus:f} GPU" if self.gpus else ""
        return f"{self.cpu.normalize():f} CPU, {self.memory / _MIB:.0f} MiB{gpus}"


def standing(things: Iterable[Mapping[str, Any]]) -> Requests:
    """Sum what runs all the time: Deployments and StatefulSets, at their fewest replicas."""
    found = list(things)
    floors = dict(_floors(found))
    return _sum(
        of_pod(thing["spec"]["template"]["spec"]).times(_replicas(thing, floors))
        for thing in found
        if thing["kind"] in _STANDING
    )


def passing(things: Iterable[Mapping[str, Any]]) -> Requests:
    """Sum what runs and ends: every Job, and one run of every CronJob."""
    return _sum(
        of_pod(job["template"]["spec"]).times(job.get("parallelism", 1)) for job in _jobs(things)
    )


def of_pod(spec: Mapping[str, Any]) -> Requests:
    """Return what the scheduler holds a pod to: its containers together, or a larger opener."""
    together = _sum(_of_container(one) for one in spec["containers"])
    for one in spec.get("initContainers", []):
        together = together.at_least(_of_container(one))
    return together


def _of_container(container: Mapping[str, Any]) -> Requests:
    asked = {
        name: parse_quantity(value)
        for name, value in container.get("resources", {}).get("requests", {}).items()
    }
    gpus = [count for name, count in asked.items() if name.startswith("nvidia.com/")]
    return Requests(
        asked.get("cpu", Decimal(0)), asked.get("memory", Decimal(0)), sum(gpus, Decimal(0))
    )


def _jobs(things: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for thing in things:
        match thing["kind"]:
            case "Job":
                yield thing["spec"]
            case "CronJob":
                yield thing["spec"]["jobTemplate"]["spec"]


def _floors(things: Iterable[Mapping[str, Any]]) -> Iterator[tuple[tuple[str, str], int]]:
    for thing in things:
        if thing["kind"] == "HorizontalPodAutoscaler":
            target = thing["spec"]["scaleTargetRef"]
            yield (target["kind"], target["name"]), thing["spec"].get("minReplicas", 1)


def _replicas(thing: Mapping[str, Any], floors: Mapping[tuple[str, str], int]) -> int:
    """Return the autoscaler's floor where there is one: it wins over what the object says."""
    own: int = thing["spec"].get("replicas", 1)
    return floors.get((thing["kind"], thing["metadata"]["name"]), own)


def _sum(parts: Iterable[Requests]) -> Requests:
    return sum(parts, Requests())
