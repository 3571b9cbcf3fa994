"""What KServe's validating webhook refuses, word for word as it was recorded."""

from collections.abc import Iterator, Mapping
from typing import Any

from components.foundation.kubernetes.client import Manifest
from tests.cluster.standin.asked import MODE

_NOT_ALLOWED = "not allowed for security reasons"


def denial(wanted: Manifest, before: Manifest | None) -> str:
    """Return why an InferenceService is refused; empty where it is not."""
    found = [*_spec(wanted), *(_change(wanted, before) if before else ())]
    return next(iter(found), "")


def _spec(wanted: Manifest) -> Iterator[str]:
    predictor, canaries = wanted["spec"]["predictor"], wanted["spec"].get("canary", [])
    maximum = predictor.get("maxReplicas", 0)
    if 0 < maximum < predictor.get("minReplicas", 0):
        yield "'MinReplicas' cannot be greater than MaxReplicas"
    for one in predictor.get("model", {}).get("env", []):
        if one["name"] == "PYTHONPATH":
            name, container = wanted["metadata"]["name"], predictor["model"].get("name", "")
            what = f'setting PYTHONPATH in container "{container}"'
            yield f'the InferenceService "{name}" is invalid: {what} is {_NOT_ALLOWED}'
    if canaries and _mode(wanted) != "Standard":
        yield "canary is only supported in Standard deployment mode"
    for index, one in enumerate(canaries):
        yield from _canary(index, one["predictor"], predictor)
        if not 0 <= one.get("trafficPercent", 0) <= 100:  # where the schema does not know it
            yield f"spec.canary[{index}].trafficPercent: Invalid value: {one['trafficPercent']}"
    if (total := sum(one.get("trafficPercent", 0) for one in canaries)) > 100:
        yield f"sum of canary trafficPercent values ({total}) must be <= 100"


def _canary(index: int, canary: Mapping[str, Any], stable: Mapping[str, Any]) -> Iterator[str]:
    name = canary.get("name", "")
    if not name:
        yield f"canary[{index}] predictor.name is required"
    elif name == stable.get("name"):
        yield f'canary predictor.name "{name}" conflicts with stable predictor name'
    if "maxReplicas" in canary:
        yield f'canary "{name}" must not set maxReplicas (canary uses fixed replicas)'


def _change(wanted: Manifest, before: Manifest) -> Iterator[str]:
    old, new = _mode(before), _mode(wanted)
    if old != new:
        yield f"update rejected: deploymentMode cannot be changed from '{old}' to '{new}'"
    was, now = before["spec"]["predictor"], wanted["spec"]["predictor"]
    same = was.get("model", {}).get("storageUri") == now.get("model", {}).get("storageUri")
    if was.get("name") != now.get("name") and same:
        yield "predictor.name change requires a model change (e.g. storageUri)"


def _mode(service: Manifest) -> str:
    return str(service["metadata"].get("annotations", {}).get(MODE, "Standard"))
