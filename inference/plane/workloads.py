"""Reconcile InferenceServices: wanted pods are started, then the others stopped."""

import asyncio
import json
import pathlib
import random
from dataclasses import dataclass, field
from typing import Any

from components.foundation.kubernetes import resources
from inference.plane import status
from inference.plane.kept import Kept
from inference.plane.objects import Key, Objects
from inference.plane.ownership import Manifest
from inference.plane.pods import Before, Entries, Failure, Pod, Programs, State, Template
from inference.plane.status import Role
from inference.transport.client import Client


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a service's spec asks for; no replicas when it is stopped."""

    template: Template
    replicas: int
    runtime: str
    stopped: bool

    @classmethod
    def of(cls, service: Manifest) -> "Wanted":
        predictor = service["spec"].get("predictor", {})
        model = predictor.get("model", {})
        metadata = service["metadata"]
        annotations = metadata.get("annotations", {})
        stopped = annotations.get(status.STOP) == "true"
        copied = {"labels": metadata.get("labels", {}), "annotations": annotations}
        template = Template(
            service=metadata["name"],
            uri=model.get("storageUri", ""),
            args=tuple(model.get("args", [])),
            env=_entries(model),
            metadata=json.dumps(copied, sort_keys=True),
            before=_before(service["spec"]),
        )
        replicas = 0 if stopped else max(1, predictor.get("minReplicas", 1))
        return cls(template, replicas, model.get("runtime", ""), stopped)

    @property
    def roles(self) -> frozenset[Role]:
        """The Deployments there should be."""
        if self.stopped:
            return frozenset()
        return frozenset(Role) if self.template.before else frozenset({Role.PREDICTOR})


@dataclass
class Workload:
    """The pods of one InferenceService."""

    objects: Objects
    key: Key
    folder: pathlib.Path
    programs: Programs
    pods: list[Pod] = field(default_factory=list)
    _count: int = 0
    _stops: set[asyncio.Task[None]] = field(default_factory=set)

    def ready(self) -> list[Pod]:
        return [pod for pod in self.pods if pod.state == State.READY]

    def reconcile(self) -> None:
        """Bring pods and status closer to what the spec asks; safe to call at any time."""
        service = self.objects.find(self.key)
        if service is None:
            self._stop(self.pods)
            return
        wanted = Wanted.of(service)
        current = [pod for pod in self.pods if pod.template == wanted.template]
        old = [pod for pod in self.pods if pod.template != wanted.template]
        self._stop(current[wanted.replicas :])
        for _ in range(wanted.replicas - len(current)):
            self._start(wanted.template)
        ready = sum(pod.state == State.READY for pod in current)
        enough = ready >= wanted.replicas
        self._stop([pod for pod in old if enough or pod.state != State.READY])
        self._report(service, wanted)

    async def close(self) -> None:
        self._stop(self.pods)
        await asyncio.gather(*self._stops, return_exceptions=True)

    def _start(self, template: Template) -> None:
        self._count += 1
        name = f"{self.key.name}-predictor-{self._count}"
        folder = self.folder / self.key.namespace / name
        pod = Pod(name, template, folder, self.programs, self.reconcile)
        self.pods.append(pod)
        pod.start()

    def _stop(self, pods: list[Pod]) -> None:
        for pod in list(pods):
            self.pods.remove(pod)
            pod.changed = _nothing
            task = asyncio.get_running_loop().create_task(pod.stop())
            self._stops.add(task)
            task.add_done_callback(self._stops.discard)

    def _report(self, service: Manifest, wanted: Wanted) -> None:
        for role in Role:
            self._deploy(role, service, wanted)
        view = self._view(wanted, Role.PREDICTOR)
        self.objects.set_status(self.key, status.service(view, service.get("status")))

    def _deploy(self, role: Role, service: Manifest, wanted: Wanted) -> None:
        """Write the Deployment of a role, or remove it where none is wanted."""
        name = self._deployment(role)
        if role in wanted.roles:
            view = self._view(wanted, role)
            self.objects.put(name, _owned(status.deployment(view, role), service))
        elif self.objects.find(name):
            self.objects.delete(name)

    def _deployment(self, role: Role) -> Key:
        return Key(resources.DEPLOYMENT, self.key.namespace, f"{self.key.name}-{role}")

    def _view(self, wanted: Wanted, role: Role) -> status.View:
        current = [pod for pod in self.pods if pod.template == wanted.template]
        ready, before = self.ready(), wanted.template.before
        return status.View(
            name=self.key.name,
            namespace=self.key.namespace,
            uri=wanted.template.uri,
            runtime=wanted.runtime,
            stopped=wanted.stopped,
            replicas=wanted.replicas,
            updated=sum(pod.state == State.READY for pod in current),
            available=len(ready),
            failure=_first_failure(current),
            server=_address(ready[0].server) if ready else "",
            address=_address(ready[0].front) if ready else "",
            transformer=None if before is None else list(before.args),
            observed_generation=self._generation(role),
        )

    def _generation(self, role: Role) -> int:
        found = self.objects.find(self._deployment(role))
        return int(found["metadata"]["generation"]) if found else 1


@dataclass
class Workloads:
    """Every InferenceService's pods, by key."""

    objects: Objects
    folder: pathlib.Path
    programs: Programs
    _all: dict[Key, Workload] = field(default_factory=dict)

    def changed(self, key: Key) -> None:
        """Take note that an object has changed."""
        if key.resource != resources.INFERENCE_SERVICE:
            return
        if key not in self._all:
            self._all[key] = Workload(self.objects, key, self.folder, self.programs)
        asyncio.get_running_loop().call_soon(self._all[key].reconcile)

    def pick(self, namespace: str, service: str) -> Client | None:
        """Return one ready behind a Service, `<InferenceService>-<role>`."""
        name, _, role = service.rpartition("-")
        workload = self._all.get(Key(resources.INFERENCE_SERVICE, namespace, name))
        pods = workload.ready() if workload else []
        ready = [kept for pod in pods if (kept := pod.plays(role))]
        return random.choice(ready).upstream if ready else None  # noqa: S311 - load, not secrets

    def ready(self) -> list[Pod]:
        return [pod for workload in self._all.values() for pod in workload.ready()]

    async def close(self) -> None:
        await asyncio.gather(*(workload.close() for workload in self._all.values()))


def _entries(container: Manifest) -> Entries:
    """Return what a container sets in its environment; what refers to objects, the plane has."""
    said = [entry for entry in container.get("env", []) if "valueFrom" not in entry]
    return tuple((entry["name"], entry.get("value", "")) for entry in said)


def _before(spec: Manifest) -> Before | None:
    """Return a service's transformer."""
    containers = spec.get("transformer", {}).get("containers")
    if not containers:
        return None
    first = containers[0]
    command, args = (tuple(first.get(name, ())) for name in ("command", "args"))
    return Before(command, args, _entries(first))


def _address(kept: Kept) -> str:
    return f"http://127.0.0.1:{kept.port}"


def _nothing() -> None:
    return None


def _first_failure(pods: list[Pod]) -> Failure | None:
    return next((pod.failure for pod in pods if pod.failure), None)


def _owned(manifest: Manifest, owner: Manifest) -> Manifest:
    reference: dict[str, Any] = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }
    metadata = {**manifest["metadata"], "ownerReferences": [reference]}
    return {**manifest, "metadata": metadata}
