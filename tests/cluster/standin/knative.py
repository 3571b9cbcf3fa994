"""Knative mode: the Service that KServe makes, and the revisions that Knative would report."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from components.foundation.kubernetes.client import Manifest
from components.foundation.kubernetes.resources import CONFIG_MAP, INFERENCE_SERVICE, Resource
from tests.cluster.standin import workloads
from tests.cluster.standin.api import Api
from tests.cluster.standin.asked import Asked

KSERVICE = Resource("serving.knative.dev/v1", "Service", "services")
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
    api.tell(KSERVICE, found, _knative(found))
    if found.get("status"):
        told = {"predictor": rolled(found["status"], known)}
        status = {**before, "components": told, "deploymentMode": "Knative"}
        status["observedGeneration"] = found["status"]["observedGeneration"]
        api.tell(INFERENCE_SERVICE, one.manifest, status)


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


def _knative(found: Manifest) -> Manifest:
    """Return what Knative would report: a new revision for a new template, ready at once."""
    before = found.get("status") or {}
    text = json.dumps(found["spec"]["template"], sort_keys=True).encode()
    mark = {"template": hashlib.sha256(text).hexdigest()[:16]}
    count = int(before.get("latestReadyRevisionName", "0").rpartition("-")[2])
    count += before.get("annotations") != mark
    latest = f"{found['metadata']['name']}-{count:05d}"
    return {
        "annotations": mark,
        "observedGeneration": found["metadata"]["generation"],
        "latestCreatedRevisionName": latest,
        "latestReadyRevisionName": latest,
        "traffic": [
            {"revisionName": latest, **target} for target in found["spec"].get("traffic", [])
        ],
    }
