"""The pods that KServe makes of a service and of our runtimes, as was seen of its controller."""

import copy
import functools
from collections.abc import Mapping
from typing import Any

import yaml

from tests.manifests.conftest import ROOT

Thing = dict[str, Any]

MODELS = "/mnt/models"
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
_VOLUME = "kserve-provision-location"
_RUNTIME_FIELDS = ("nodeSelector", "tolerations", "affinity", "volumes")
_OWN_FIELDS = ("serviceAccountName", "securityContext", "priorityClassName")


@functools.cache
def _read(name: str) -> Thing:
    found: Thing = yaml.safe_load((ROOT / "manifests" / name).read_text())
    return found


def manifest(name: str) -> Thing:
    """Return an object of the tree, free to be changed."""
    return copy.deepcopy(_read(name))


def runtime(name: str) -> Thing:
    folder = "serving-gpu" if name == "falaj-triton" else "serving"
    return manifest(f"{folder}/clusterservingruntime-{name}.yaml")


def opener() -> Thing:
    return manifest("serving/clusterstoragecontainer-falaj-sealed.yaml")


def predictor(service: Mapping[str, Any]) -> Thing:
    """Return the template of a predictor's pods."""
    component = service["spec"]["predictor"]
    serves = runtime(component["model"]["runtime"])["spec"]
    pod = {name: serves[name] for name in _RUNTIME_FIELDS if name in serves}
    pod |= {name: component[name] for name in _OWN_FIELDS if name in component}
    [server] = serves["containers"]
    source, where = _source(component)
    pod["containers"] = [_server(server, component["model"].get("args", []), where)]
    pod["initContainers"] = [_opener(source, where)]
    pod["volumes"] = [*pod.get("volumes", []), {"name": _VOLUME, "emptyDir": {}}]
    return _template(service, "predictor", pod)


def transformer(service: Mapping[str, Any]) -> Thing:
    """Return the template of a transformer's pods."""
    fields = (*_OWN_FIELDS, "containers", "volumes")
    component = service["spec"]["transformer"]
    pod = {name: component[name] for name in fields if name in component}
    return _template(service, "transformer", pod)


def _template(service: Mapping[str, Any], component: str, pod: Thing) -> Thing:
    name = service["metadata"]["name"]
    labels = {
        **service["metadata"].get("labels", {}),
        "app": f"isvc.{name}-{component}",
        "component": component,
        "serving.kserve.io/inferenceservice": name,
    }
    return {"metadata": {"labels": labels}, "spec": {**pod, "automountServiceAccountToken": False}}


def _source(component: Mapping[str, Any]) -> tuple[str, str]:
    if "storageUris" not in component:
        return component["model"]["storageUri"], MODELS
    [one] = component["storageUris"]
    return one["uri"], one["mountPath"]


def _server(container: Thing, args: list[str], where: str) -> Thing:
    mount = {"name": _VOLUME, "mountPath": where, "readOnly": True}
    return {
        **container,
        "args": [*container["args"], *args],
        "volumeMounts": [*container["volumeMounts"], mount],
    }


def _opener(source: str, where: str) -> Thing:
    container: Thing = opener()["spec"]["container"]
    mount = {"name": _VOLUME, "mountPath": where}
    return {
        **container,
        "args": [source, where],
        "volumeMounts": [*container["volumeMounts"], mount],
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
