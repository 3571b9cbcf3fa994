"""A Kubernetes API that answers from a list of objects, as a reader asks it."""

import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from components.foundation.errors import FalajError
from components.foundation.kubernetes.client import Cluster, Manifest
from components.foundation.storage import NotFound

Thing = dict[str, Any]
_CLUSTER_WIDE = {
    "Node",
    "PersistentVolume",
    "ResidencyProfile",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}


def plural(kind: str) -> str:
    lower = kind.lower()
    if lower.endswith("y"):
        return f"{lower[:-1]}ies"
    return f"{lower}es" if lower.endswith("s") else f"{lower}s"


@dataclass(frozen=True)
class Recorded(Cluster):
    """Answers `look`; a path that begins with a key of `failing` fails so.

    Lists have pages of two, so that whoever reads one page alone sees too little.
    """

    things: tuple[Thing, ...] = ()
    failing: Mapping[str, FalajError] = field(default_factory=dict)

    def look(self, path: str) -> Manifest:
        for start, error in self.failing.items():
            if path.startswith(start):
                raise error
        plain, _, query = path.partition("?")
        asked = dict(urllib.parse.parse_qsl(query))
        parts = plain.strip("/").split("/")
        if parts[0] == "apis" and len(parts) == 2:
            return {"preferredVersion": {"groupVersion": self._version(parts[1])}}
        version, rest = (
            ("v1", parts[2:]) if parts[0] == "api" else ("/".join(parts[1:3]), parts[3:])
        )
        here = [one for one in self.things if one["apiVersion"] == version]
        if not rest:
            return {"resources": _resources(here)}
        return _answer(here, rest, asked, path)

    def _version(self, group: str) -> str:
        versions = {str(one["apiVersion"]) for one in self.things}
        found = next((one for one in versions if one.startswith(f"{group}/")), None)
        if found is None:
            raise NotFound(f"{group}: no such group", code="kubernetes-missing")
        return found


def recorded(*things: Thing, failing: Mapping[str, FalajError] | None = None) -> Recorded:
    return Recorded(api=None, namespace="falaj", things=things, failing=failing or {})


def _resources(things: Iterable[Thing]) -> list[Thing]:
    kinds = sorted({str(one["kind"]) for one in things})
    found = [
        {"name": plural(kind), "kind": kind, "namespaced": kind not in _CLUSTER_WIDE}
        for kind in kinds
    ]
    return [*found, *({**one, "name": f"{one['name']}/status"} for one in found)]


def _answer(things: list[Thing], rest: list[str], asked: Mapping[str, str], path: str) -> Manifest:
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    found = [
        one
        for one in things
        if plural(one["kind"]) == rest[0]
        and one["metadata"].get("namespace", "") == namespace
        and _labelled(one, asked.get("labelSelector", ""))
    ]
    if len(rest) == 1:
        start = int(asked.get("continue", 0))
        further = {"continue": str(start + 2)} if start + 2 < len(found) else {}
        bare = [{k: v for k, v in one.items() if k not in ("kind", "apiVersion")} for one in found]
        return {"items": bare[start : start + 2], "metadata": further}
    named = [one for one in found if one["metadata"]["name"] == rest[1]]
    if not named:
        raise NotFound(f"{path}: not found", code="kubernetes-missing")
    return named[0]


def _labelled(one: Thing, selector: str) -> bool:
    labels = one["metadata"].get("labels", {})
    wanted = (pair.partition("=") for pair in selector.split(",") if pair)
    return all(labels.get(key) == value for key, _, value in wanted)
