"""Releases whose opener fails, and what KServe says of it; the plane's stub has the same.

kwok makes every pod ready that has a node. Pods of these releases get none; what the kubelet
would write of their opener is written here.
"""

import datetime
from collections.abc import Iterable
from typing import Any

from components.foundation.kubernetes.client import Manifest

SOURCE_URI = "internal.serving.kserve.io/storage-initializer-sourceuri"
_TABLE = {
    "f" * 12: (3, "model.onnx does not match its statement; seal it again"),
    "e" * 12: (75, "the object store did not answer; run again"),
}


def fails(uri: str) -> bool:
    return uri.rpartition("/")[2] in _TABLE


def played(pod: Manifest) -> Manifest | None:
    """Return the status of a pod whose opener fails and has not said so; None of others."""
    uri = pod["metadata"].get("annotations", {}).get(SOURCE_URI, "")
    if not fails(uri) or _ended(pod):
        return None
    code, message = _TABLE[uri.rpartition("/")[2]]
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    ended = {"exitCode": code, "finishedAt": now, "reason": "Error"}
    ended["message"] = f"initializer: {uri}: {message}"
    opener = pod["spec"]["initContainers"][0]
    one = {"name": opener["name"], "image": opener["image"], "imageID": "", "ready": False}
    one |= {"restartCount": 1, "state": {"terminated": ended}}
    return {**pod.get("status", {}), "initContainerStatuses": [one]}


def told(pods: Iterable[Manifest]) -> dict[str, Manifest]:
    """Return what KServe says of the openers that failed, by Deployment."""
    found = {}
    for pod in pods:
        if ended := _ended(pod):
            name = pod["metadata"]["labels"]["app"].removeprefix("isvc.")
            said = {"exitCode": ended["exitCode"], "message": ended["message"]}
            found[name] = {**said, "reason": "ModelLoadFailed", "time": ended["finishedAt"]}
    return found


def _ended(pod: Manifest) -> dict[str, Any]:
    for one in pod.get("status", {}).get("initContainerStatuses", []):
        ended: dict[str, Any] = one.get("state", {}).get("terminated") or {}
        if ended.get("exitCode"):
            return ended
    return {}
