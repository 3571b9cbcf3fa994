"""The status that KServe writes on an InferenceService, lies included."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from components.foundation.kubernetes.client import Manifest
from tests.cluster.standin.asked import Asked, Part
from tests.cluster.standin.runtimes import NoRuntime
from tests.cluster.standin.workloads import DOMAIN

Said = tuple[str, str, str]  # status, reason, message
_YES: Said = ("True", "", "")


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


def status(asked: Asked, seen: Seen, runtime: str, before: Manifest) -> Manifest:
    """Return the status of a service in Standard mode.

    `Ready` follows the Deployment's availability, which old pods keep up; `observedGeneration`
    is the Deployment's; canaries are told as split whatever carries the traffic.
    """
    conditions = _conditions(asked, seen)
    found = {
        "conditions": _timed(conditions, before),
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


def invalid(why: NoRuntime, before: Manifest) -> Manifest:
    """Return the status of a service that no runtime serves: conditions stay unknown."""
    names = ("IngressReady", "PredictorReady", "Ready")
    failure = {"reason": why.reason, "message": str(why)}
    states = {"activeModelState": "", "targetModelState": "FailedToLoad"}
    return {
        "conditions": _timed(dict.fromkeys(names, ("Unknown", "", "")), before),
        "deploymentMode": "Standard",
        "modelStatus": {
            "lastFailureInfo": failure,
            "states": states,
            "transitionStatus": "InvalidSpec",
        },
    }


def gateway(route: Manifest) -> Manifest:
    """Return the status of a route that a gateway has accepted."""
    before = (route.get("status") or {}).get("parents") or [{}]
    said: Mapping[str, Said] = {name: ("True", name, "") for name in ("Accepted", "ResolvedRefs")}
    generation = {"observedGeneration": route["metadata"]["generation"]}
    timed = [{"message": "", **one, **generation} for one in _timed(said, before[0])]
    return {
        "parents": [
            {"parentRef": parent, "controllerName": "falaj.example/standin", "conditions": timed}
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


def _timed(said: Mapping[str, Said], before: Manifest) -> list[Manifest]:
    """Write conditions out; the time of one that did not change stays."""
    known = {one["type"]: one for one in before.get("conditions") or []}
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    found = []
    for kind in sorted(said):
        told, reason, message = said[kind]
        old = known.get(kind, {})
        same = old.get("status") == told
        one = {"type": kind, "status": told, "reason": reason, "message": message}
        one = {key: value for key, value in one.items() if value}
        one |= {"severity": "Info"} if kind == "Stopped" else {}
        found.append({**one, "lastTransitionTime": old["lastTransitionTime"] if same else now})
    return found
