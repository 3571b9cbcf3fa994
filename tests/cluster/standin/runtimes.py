"""What serves a model and what fetches it: runtimes and storage containers of the cluster."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.foundation.kubernetes.client import Manifest
from tests.cluster.standin import failures
from tests.cluster.standin.asked import Asked, Part

SERVICE = "serving.kserve.io/inferenceservice"
# Pods of these fail as the real opener would, see `failures`: no node may take them.
NOWHERE = {"standin.falaj.example/never": "true"}
_OF_KSERVE = ("s3://", "gs://", "pvc://", "hf://", "https://", "http://", "oci://")
_VOLUME = {"name": "kserve-provision-location", "mountPath": "/mnt/models"}


class NoRuntime(Exception):
    """Nothing serves this model; `reason` is one of KServe's words."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class NoStorage(Exception):
    """Nothing fetches from such a place; the message is KServe's event."""


@dataclass(frozen=True)
class Catalog:
    """What the cluster has: specs of runtimes by name, specs of storage containers."""

    runtimes: Mapping[str, Manifest]
    storage: Sequence[Manifest]

    def runtime(self, part: Part) -> str:
        """Return the name of what serves a predictor.

        Raises:
            NoRuntime: the one that it names is not there, or none serves its format.
        """
        model = part.spec["model"]
        named, wanted = model.get("runtime"), model["modelFormat"]["name"]
        if named and named not in self.runtimes:
            text = f"No ServingRuntime or ClusterServingRuntime with name: {named}"
            raise NoRuntime("RuntimeNotRecognized", text)
        able = [
            name
            for name, spec in self.runtimes.items()
            if any(one["name"] == wanted for one in spec.get("supportedModelFormats", []))
        ]
        if not able or (named and named not in able):
            text = f"no runtime found to support predictor with model type: {{{wanted} <nil>}}"
            raise NoRuntime("NoSupportingRuntime", text)
        return str(named or able[0])

    def template(self, asked: Asked, part: Part) -> Manifest:
        """Return the pods of a part; labels and annotations of the service are copied to them.

        Raises:
            NoRuntime: see `runtime`.
            NoStorage: nothing fetches its model.
        """
        metadata = asked.manifest["metadata"]
        labels = {"app": f"isvc.{part.name}", "component": part.role, SERVICE: asked.name}
        source = {failures.SOURCE_URI: part.uri} if part.uri else {}
        own = part.spec.get("annotations", {})
        spec = self._predictor(asked, part) if part.role == "predictor" else _before(asked, part)
        if failures.fails(part.uri):
            spec["nodeSelector"] = NOWHERE
        return {
            "metadata": {
                "labels": {**metadata.get("labels", {}), **labels},
                "annotations": {**metadata.get("annotations", {}), **own, **source},
            },
            "spec": {**spec, "automountServiceAccountToken": False},
        }

    def _predictor(self, asked: Asked, part: Part) -> Manifest:
        runtime = self.runtimes[self.runtime(part)]
        spec = {name: part.spec[name] for name in _POD_FIELDS if name in part.spec}
        spec["containers"] = [_server(asked, part, runtime["containers"][0])]
        spec["volumes"] = [*runtime.get("volumes", [])]
        if part.uri:
            spec["initContainers"] = [self._opener(part.uri)]
            spec["volumes"].append({"name": _VOLUME["name"], "emptyDir": {}})
        return spec

    def _opener(self, uri: str) -> Manifest:
        found: Manifest = {"name": "storage-initializer", "image": "kserve/storage-initializer"}
        for one in self.storage:
            if any(uri.startswith(form.get("prefix", "\0")) for form in one["supportedUriFormats"]):
                found = dict(one["container"])
                break
        else:
            if not uri.startswith(_OF_KSERVE):
                raise NoStorage(f"StorageURI not supported: storageUri {uri}")
        found["args"] = [uri, _VOLUME["mountPath"]]
        found["terminationMessagePolicy"] = "FallbackToLogsOnError"
        found["volumeMounts"] = [*found.get("volumeMounts", []), _VOLUME]
        return found


_POD_FIELDS = ("serviceAccountName", "securityContext", "nodeSelector", "tolerations", "affinity")


def _server(asked: Asked, part: Part, container: Mapping[str, Any]) -> Manifest:
    """Return the runtime's container with the model's arguments after its own."""
    model = part.spec["model"]
    args = [word.replace("{{.Name}}", asked.name) for word in container.get("args", [])]
    name = {"name": "INFERENCE_SERVICE_NAME", "value": asked.name}
    mounts = list(container.get("volumeMounts", []))
    return {
        "readinessProbe": {"tcpSocket": {"port": 8080}},
        **container,
        "args": [*args, *model.get("args", [])],
        "env": [*container.get("env", []), *model.get("env", []), name],
        "volumeMounts": [*mounts, {**_VOLUME, "readOnly": True}] if part.uri else mounts,
    }


def _before(asked: Asked, part: Part) -> Manifest:
    """Return the transformer's pod: it asks the stable predictor, whatever the canaries are."""
    spec = {name: part.spec[name] for name in (*_POD_FIELDS, "volumes") if name in part.spec}
    first, *others = part.spec["containers"]
    args = list(first.get("args", []))
    args += [] if "--model_name" in args else ["--model_name", asked.name]
    args += ["--predictor_host", f"{asked.stable.name}.{asked.namespace}"]
    return {**spec, "containers": [{**first, "args": args}, *others]}
