"""The status that KServe writes on an InferenceService, lies included."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from components.foundation.kubernetes.client import Manifest
from tests.cluster.standin.asked import Asked, Part
from tests.cluster.standin.runtimes import NoRuntime
from tests.cluster.standin.workloads import DOMAIN

Said = tuple[str, str, str]  # status, reason, message
_YES: Said = ("True", "", "")
_GATEWAY = "falaj.example/standin"


@dataclass(frozen=True)
class Seen:
    """What is there: Deployments by name, whether routes are there and accepted, failures.

    Attributes:
        routed: no route of KServe's is needed, or all are there.
        accepted: a gateway has taken all of them.
        failures: what a pod's opener said, by Deployment.
    """

    deployments: Mapping[str, Manifest]
    routed: bool = True
    accepted: bool = True
    failures: Mapping[str, Manifest] = field(default_factory=dict)

    @property
    def serving(self) -> frozenset[str]:
        """The Deployments that have pods which answer, of whatever template."""
        return frozenset(
            name
            for name, one in self.deployments.items()
            if one.get("status", {}).get("availableReplicas", 0) > 0
        )


def status(asked: Asked, seen: Seen, runtime: str) -> Manifest:
    """Return the status of a service in Standard mode.

    `Ready` follows the Deployment's availability, which old pods keep up; `observedGeneration`
    is the Deployment's; canaries are told as split whatever carries the traffic.
    """
    conditions = _conditions(asked, seen)
    found = {
        "conditions": _written(conditions),
        "deploymentMode": "Standard",
        "servingRuntimeName": runtime,
        "modelStatus": _model(asked.stable, seen),
    }
    stable = seen.deployments.get(asked.stable.name, {}).get("status", {})
    if stable.get("observedGeneration"):
        found["observedGeneration"] = stable["observedGeneration"]
    if asked.canaries and not asked.stopped:
        found["canaryStatuses"] = [_canary(one, seen) for one in asked.canaries]
    return {**found, **(_addresses(asked) if conditions["Ready"][0] == "True" else {})}


def invalid(why: NoRuntime) -> Manifest:
    """Return the status of a service that no runtime serves: conditions stay unknown."""
    names = ("IngressReady", "PredictorReady", "Ready")
    failure = {"reason": why.reason, "message": str(why)}
    return {
        "conditions": [{"type": name, "status": "Unknown"} for name in names],
        "deploymentMode": "Standard",
        "modelStatus": {"lastFailureInfo": failure, "transitionStatus": "InvalidSpec"},
    }


def gateway(route: Manifest) -> Manifest:
    """Return the status of a route that a gateway has accepted."""
    same = {
        "status": "True",
        "message": "",
        "observedGeneration": route["metadata"]["generation"],
        "lastTransitionTime": route["metadata"]["creationTimestamp"],
    }
    conditions = [{**same, "type": one, "reason": one} for one in ("Accepted", "ResolvedRefs")]
    return {
        "parents": [
            {"parentRef": parent, "controllerName": _GATEWAY, "conditions": conditions}
            for parent in route["spec"].get("parentRefs", [])
        ]
    }


def _conditions(asked: Asked, seen: Seen) -> dict[str, Said]:
    stopped: Said = ("False", "Stopped", "")
    predictor = stopped if asked.stopped else _part(asked.stable, seen)
    found = {"IngressReady": stopped if asked.stopped else _ingress(asked, seen)}
    if asked.canaries and not asked.stopped:
        found["CanaryPredictorReady"] = _all(_part(one, seen) for one in asked.canaries)
    if asked.transformer:
        found["TransformerReady"] = stopped if asked.stopped else _part(asked.transformer, seen)
    found["PredictorReady"] = predictor
    ready = [value for name, value in found.items() if name != "CanaryPredictorReady"]
    found["Ready"] = _all(reversed(ready))
    found["Stopped"] = ("True", "", "") if asked.stopped else ("False", "", "")
    return found


def _all(said: Any) -> Said:
    return next((one for one in said if one[0] != "True"), _YES)


def _part(part: Part, seen: Seen) -> Said:
    if part.name in seen.serving:
        return _YES
    text = "Deployment does not have minimum availability."
    return ("False", "MinimumReplicasUnavailable", text)


def _ingress(asked: Asked, seen: Seen) -> Said:
    if asked.local:
        return _YES
    if not seen.routed:
        what = "Transformer" if asked.transformer else "Predictor"
        return ("False", f"{what} Deployment NotReady", f"{what} HTTPRoute not created")
    return _YES if seen.accepted else ("False", "ParentStatusNotAvailable", "")


def _model(part: Part, seen: Seen) -> Manifest:
    available = seen.deployments.get(part.name, {}).get("status", {}).get("availableReplicas", 0)
    copies = {"failedCopies": 0, "totalCopies": available}
    if available:
        states = {"activeModelState": "Loaded", "targetModelState": "Loaded"}
        return {"copies": copies, "states": states, "transitionStatus": "UpToDate"}
    if failure := seen.failures.get(part.name):
        states = {"activeModelState": "", "targetModelState": "FailedToLoad"}
        found = {"copies": {**copies, "failedCopies": 1}, "states": states}
        return {**found, "lastFailureInfo": failure, "transitionStatus": "BlockedByFailedLoad"}
    pending = {"activeModelState": "", "targetModelState": "Pending"}
    return {"copies": copies, "states": pending, "transitionStatus": "InProgress"}


def _canary(part: Part, seen: Seen) -> Manifest:
    return {
        "name": part.canary,
        "ready": part.name in seen.serving,
        "trafficPercent": part.percent,
        "modelStatus": {"transitionStatus": ""},
    }


def _addresses(asked: Asked) -> Manifest:
    inside = f"http://{asked.front.name}.{asked.namespace}.svc.cluster.local"
    outside = f"http://{asked.name}-{asked.namespace}.{DOMAIN}"
    predictor = f"http://{asked.name}-predictor-{asked.namespace}.{DOMAIN}"
    return {
        "address": {"url": inside},
        "url": inside if asked.local else outside,
        "components": {"predictor": {"url": inside if asked.local else predictor}},
    }


def _written(said: Mapping[str, Said]) -> list[Manifest]:
    """Write conditions out; when they changed is left out, so that no look is a change."""
    return [
        {"type": kind, "status": status}
        | ({"reason": reason, "message": message} if reason else {})
        | ({"severity": "Info"} if kind == "Stopped" else {})
        for kind, (status, reason, message) in said.items()
    ]
