"""Knative mode: the Service that KServe makes, and the revisions that Knative would report."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from components.foundation.kubernetes.client import Manifest
from components.foundation.kubernetes.resources import (
    CONFIG_MAP,
    DEPLOYMENT,
    INFERENCE_SERVICE,
    Resource,
)
from tests.cluster.standin import runtimes, workloads
from tests.cluster.standin.api import Api
from tests.cluster.standin.asked import Asked
from tests.cluster.standin.workloads import SERVICE

KSERVICE = Resource("serving.knative.dev/v1", "Service", "services")
REVISION = Resource("serving.knative.dev/v1", "Revision", "revisions")
LABEL = "serving.knative.dev/revision"
_CREATED, _READY = "latestCreatedRevisionName", "latestReadyRevisionName"
_ROLLED, _PREVIOUS = "latestRolledoutRevision", "previousRolledoutRevision"


def reconcile(api: Api, one: Asked, template: Manifest) -> None:
    """Make the Knative Service; without Knative's own settings nothing is made, or said."""
    if Api(api.api, "knative-serving").find(CONFIG_MAP, "config-autoscaler") is None:
        return
    before = one.manifest.get("status") or {}
    known = before.get("components", {}).get("predictor", {})
    spec = {"template": _revised(template), "traffic": traffic(one.stable.spec, known)}
    api.ensure(KSERVICE, workloads.named(KSERVICE, one, one.stable.name, spec))
    found = api.get(KSERVICE, one.stable.name)
    created = _created(found)
    _revision(api, one, created, template)
    told = _knative(api, found, created)
    api.tell(KSERVICE, found, told)
    _forget(api, one, told)
    components = {"predictor": rolled(told, known)} if told.get(_READY) else {}
    status = {**before, "components": components, "deploymentMode": "Knative"}
    status["observedGeneration"] = told["observedGeneration"]
    api.tell(INFERENCE_SERVICE, one.manifest, status)


def _revision(api: Api, one: Asked, name: str, template: Manifest) -> None:
    """Make a revision, and its pods and Service as Knative names them."""
    revision = workloads.named(REVISION, one, name, _revised(template)["spec"])
    revision["metadata"]["annotations"] = dict(template["metadata"]["annotations"])
    if api.find(REVISION, name) is None:
        api.post(REVISION, revision)
    labels = {**template["metadata"]["labels"], "app": name, LABEL: name}
    pods = {**template, "metadata": {**template["metadata"], "labels": labels}}
    spec: Manifest = {"selector": {"matchLabels": {"app": name}}, "template": pods}
    spec["replicas"] = one.stable.floor
    if api.find(DEPLOYMENT, f"{name}-deployment") is None:
        api.post(DEPLOYMENT, workloads.named(DEPLOYMENT, one, f"{name}-deployment", spec))
    port = {"name": "http", "port": 80, "targetPort": 8012, "protocol": "TCP"}
    behind = {"selector": {"app": name}, "ports": [port]}
    api.ensure(SERVICE, workloads.named(SERVICE, one, name, behind))


def _forget(api: Api, one: Asked, told: Manifest) -> None:
    """Take the pods of revisions that nothing names any more."""
    named = {target.get("revisionName") for target in told["traffic"]}
    named |= {told[_CREATED], told.get(_READY)}
    for found in api.list(DEPLOYMENT, labels={runtimes.SERVICE: one.name}):
        name = found["metadata"]["name"]
        if name.removesuffix("-deployment") not in named:
            api.delete(DEPLOYMENT, name)


def traffic(spec: Mapping[str, Any], known: Mapping[str, Any]) -> list[Manifest]:
    """Return the targets: percent to the latest, the rest to what was rolled out before."""
    percent, rolled_out = spec.get("canaryTrafficPercent"), known.get(_ROLLED)
    if percent is None or not rolled_out:
        return [{"latestRevision": True, "percent": 100}]
    rest = {"revisionName": rolled_out, "latestRevision": False, "tag": "prev"}
    return [{"latestRevision": True, "percent": percent}, {**rest, "percent": 100 - percent}]


def rolled(status: Manifest, known: Mapping[str, Any]) -> Manifest:
    """Return what KServe says of revisions: one is rolled out once all traffic is its."""
    latest, old = status["latestReadyRevisionName"], known.get(_ROLLED)
    found = {**known, "latestReadyRevision": latest, "latestCreatedRevision": latest}
    found["traffic"] = status["traffic"]
    whole = [one["percent"] for one in status["traffic"] if one.get("latestRevision")] == [100]
    if not whole or latest == old:
        return found
    return {**found, _ROLLED: latest, **({_PREVIOUS: old} if old else {})}


def _revised(template: Manifest) -> Manifest:
    """Return the part of a pod that a revision is: KServe's webhook adds the opener later."""
    return {**template, "spec": {"containers": template["spec"]["containers"]}}


def _created(found: Manifest) -> str:
    """Name the newest revision: a new template makes a new one."""
    before = found.get("status") or {}
    count = int(before.get(_CREATED, "0").rpartition("-")[2])
    count += before.get("annotations") != _mark(found)
    return f"{found['metadata']['name']}-{count:05d}"


def _mark(found: Manifest) -> Manifest:
    text = json.dumps(found["spec"]["template"], sort_keys=True).encode()
    return {"template": hashlib.sha256(text).hexdigest()[:16]}


def _knative(api: Api, found: Manifest, created: str) -> Manifest:
    """Return what Knative would report: the latest gets traffic once it is ready."""
    pods = api.find(DEPLOYMENT, f"{created}-deployment") or {}
    serves = pods.get("status", {}).get("availableReplicas", 0) >= pods["spec"]["replicas"]
    if serves and (revision := api.find(REVISION, created)):
        conditions = [{"type": "Ready", "status": "True"}]
        api.tell(REVISION, revision, {"conditions": conditions})
    ready = created if serves else (found.get("status") or {}).get(_READY)
    targets = found["spec"].get("traffic", []) if ready else []
    return {
        "annotations": _mark(found),
        "observedGeneration": found["metadata"]["generation"],
        _CREATED: created,
        **({_READY: ready} if ready else {}),
        "traffic": [{"revisionName": ready, **target} for target in targets],
    }
