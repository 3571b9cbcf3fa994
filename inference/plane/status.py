"""The status that KServe writes on an InferenceService in Standard mode, and its Deployment.

Shapes recorded from KServe's own controller. Two of its habits are kept because deployment
has to cope with them: `Ready` stays true while old pods live, and `observedGeneration` is
the Deployment's.
"""

import enum
from dataclasses import dataclass
from typing import Any

from inference.plane.objects import timestamp
from inference.plane.ownership import Manifest
from inference.plane.pods import Failure

SOURCE_URI = "internal.serving.kserve.io/storage-initializer-sourceuri"
STOP = "serving.kserve.io/stop"


class Role(enum.StrEnum):
    """What a Deployment of a service is for."""

    PREDICTOR = "predictor"
    TRANSFORMER = "transformer"


@dataclass(frozen=True, slots=True)
class View:
    """What the plane knows of a service's pods.

    Attributes:
        updated: ready pods of the wanted template; available: ready pods of any.
        failure: why a pod of the wanted template cannot load, if so.
        server: address of a server; `address`: of what requests go to, which may be before it.
        transformer: arguments of the transformer, where there is one.
    """

    name: str
    namespace: str
    uri: str
    runtime: str
    stopped: bool
    replicas: int
    updated: int
    available: int
    failure: Failure | None
    server: str
    address: str
    transformer: list[str] | None
    observed_generation: int


def service(view: View, before: Manifest | None) -> Manifest:
    """Return the status of the InferenceService."""
    ready = view.available > 0 and not view.stopped
    conditions = [
        _condition("IngressReady", ready, _ingress_reason(view)),
        *(
            _condition(f"{role.title()}Ready", ready, _predictor_reason(view))
            for role in _roles(view)
        ),
        _condition("Ready", ready, _predictor_reason(view)),
        {**_condition("Stopped", view.stopped, ("", "")), "severity": "Info"},
    ]
    status = {
        "conditions": _with_times(conditions, before),
        "deploymentMode": "Standard",
        "servingRuntimeName": view.runtime,
        "observedGeneration": view.observed_generation,
        "modelStatus": _model(view),
    }
    if ready:
        status["address"] = {"url": view.address}
        urls = {Role.PREDICTOR: view.server, Role.TRANSFORMER: view.address}
        status["components"] = {str(role): {"url": urls[role]} for role in _roles(view)}
        status["url"] = view.address
    return status


def deployment(view: View, role: Role) -> Manifest:
    """Return the Deployment that KServe would make, to be read only."""
    labels = {"app": f"isvc.{view.name}-{role}", "serving.kserve.io/inferenceservice": view.name}
    return {
        "metadata": {"labels": labels},
        "spec": {
            "replicas": view.replicas,
            "template": _template(view, role, labels),
        },
        "status": {
            "observedGeneration": view.observed_generation,
            "replicas": view.replicas + max(0, view.available - view.updated),
            "updatedReplicas": view.replicas,
            "readyReplicas": view.available,
            "availableReplicas": view.available,
        },
    }


def _template(view: View, role: Role, labels: dict[str, str]) -> Manifest:
    """Return the part of a Deployment's pods that says which release they are for."""
    if role is Role.PREDICTOR:
        return {"metadata": {"labels": labels, "annotations": {SOURCE_URI: view.uri}}}
    container = {"name": "kserve-container", "args": view.transformer}
    return {"metadata": {"labels": labels}, "spec": {"containers": [container]}}


def _roles(view: View) -> list[Role]:
    return [role for role in Role if role is Role.PREDICTOR or view.transformer is not None]


def accepted(route: Manifest) -> Manifest:
    """Return the status that a gateway writes on an HTTPRoute it serves."""
    conditions = [_condition(kind, True, ("", kind)) for kind in ("Accepted", "ResolvedRefs")]
    before = {"conditions": (route.get("status") or {}).get("parents", [{}])[0].get("conditions")}
    generation = {"observedGeneration": route["metadata"].get("generation", 1)}
    timed = [{**condition, **generation} for condition in _with_times(conditions, before)]
    return {
        "parents": [
            {
                "parentRef": parent,
                "controllerName": "falaj.example/plane",
                "conditions": timed,
            }
            for parent in route["spec"].get("parentRefs", [])
        ]
    }


def _condition(kind: str, holds: bool, why: tuple[str, str]) -> dict[str, str]:
    message, reason = why
    said = {"message": message, "reason": reason}
    told = {name: value for name, value in said.items() if value}
    return {"type": kind, "status": str(holds), **told}


def _ingress_reason(view: View) -> tuple[str, str]:
    if view.stopped or view.available:
        return "", "Stopped" if view.stopped else ""
    return "Predictor HTTPRoute not created", "Predictor Deployment NotReady"


def _predictor_reason(view: View) -> tuple[str, str]:
    if view.stopped:
        return "", "Stopped"
    if view.available:
        return "", ""
    return "Deployment does not have minimum availability.", "MinimumReplicasUnavailable"


def _model(view: View) -> dict[str, Any]:
    copies = {"failedCopies": 0, "totalCopies": view.available}
    if view.available:
        loaded = {"activeModelState": "Loaded", "targetModelState": "Loaded"}
        return {"copies": copies, "states": loaded, "transitionStatus": "UpToDate"}
    if view.failure and not view.stopped:
        return {
            "copies": {**copies, "failedCopies": 1},
            "states": {"activeModelState": "", "targetModelState": "FailedToLoad"},
            "transitionStatus": "BlockedByFailedLoad",
            "lastFailureInfo": {
                "exitCode": view.failure.exit_code,
                "message": view.failure.message,
                "reason": "ModelLoadFailed",
                "time": view.failure.time,
            },
        }
    pending = {"activeModelState": "", "targetModelState": "Pending"}
    return {"states": pending, "transitionStatus": "InProgress"}


def _with_times(conditions: list[dict[str, str]], before: Manifest | None) -> list[dict[str, str]]:
    """Keep the time of a condition that has not changed."""
    known = {c["type"]: c for c in (before or {}).get("conditions") or []}
    now = timestamp()
    return [
        {
            **condition,
            "lastTransitionTime": known[condition["type"]]["lastTransitionTime"]
            if known.get(condition["type"], {}).get("status") == condition["status"]
            else now,
        }
        for condition in conditions
    ]
