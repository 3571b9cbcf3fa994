"""Manifests and waiting, for tests that stand on a plane."""

import pathlib
import time
from collections.abc import Callable
from typing import Any

from components.foundation.kubernetes import resources
from components.foundation.kubernetes.client import Cluster

HERE = pathlib.Path(__file__).parent
STUBS = [
    f"--initializer={HERE / 'stub_initializer.py'}",
    f"--server={HERE / 'stub_server.py'}",
    f"--transformer={HERE / 'stub_transformer.py'}",
]


def until(holds: Callable[[], Any], *, seconds: float = 10) -> Any:
    """Wait for something to become true and return it."""
    deadline = time.monotonic() + seconds
    while not (seen := holds()):
        assert time.monotonic() < deadline, "it never became true"
        time.sleep(0.03)
    return seen


def service(name: str, uri: str, /, **predictor: Any) -> dict[str, Any]:
    model = {"modelFormat": {"name": "falaj-onnx"}, "runtime": "falaj-onnx", "storageUri": uri}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name},
        "spec": {"predictor": {**predictor, "model": {**model, "args": ["--model_name=m"]}}},
    }


def with_transformer(wanted: dict[str, Any], *command: str) -> dict[str, Any]:
    """Put a transformer before a service, as `deploy` does."""
    version = wanted["spec"]["predictor"]["model"]["storageUri"].rpartition("/")[2]
    container = {
        "command": list(command) or ["python", "-m", "inference.transformer"],
        "args": ["--model_name", "m", "--host=0.0.0.0", f"--expected_version={version}"],
        "env": [{"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
    }
    return {**wanted, "spec": {**wanted["spec"], "transformer": {"containers": [container]}}}


def route(
    name: str, weights: dict[str, int], role: str = "predictor", **match: Any
) -> dict[str, Any]:
    backends = [
        {"name": f"{service}-{role}", "port": 80, "weight": weight}
        for service, weight in weights.items()
    ]
    rule = {"backendRefs": backends, **({"matches": [match]} if match else {})}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name},
        "spec": {
            "parentRefs": [{"name": "falaj"}],
            "hostnames": [f"{name}.localhost"],
            "rules": [rule],
        },
    }


def status(cluster: Cluster, name: str) -> dict[str, Any]:
    found: dict[str, Any] = cluster.get(resources.INFERENCE_SERVICE, name).get("status", {})
    return found


def condition(cluster: Cluster, name: str, kind: str = "Ready") -> str:
    conditions = status(cluster, name).get("conditions", [])
    return next((c["status"] for c in conditions if c["type"] == kind), "")


def serving(cluster: Cluster, name: str, uri: str, **predictor: Any) -> None:
    """Apply a service and wait until it is ready."""
    cluster.apply(service(name, uri, **predictor))
    until(lambda: condition(cluster, name) == "True")
