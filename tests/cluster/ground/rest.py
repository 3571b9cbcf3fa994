"""The API server's plain JSON: the client's typed calls make an object of every field."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import kubernetes.client

Thing = dict[str, Any]

JSON = "application/json"
_TYPES = f"{JSON};g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_NAMES = f"{JSON};g=meta.k8s.io;v=v1;as=PartialObjectMetadataList"
_ATTEMPTS = 5
_BUSY = {429, 500, 503, 504}
_THERE = 409


@dataclass(frozen=True)
class Type:
    """A type that the API server serves, in the version that it prefers."""

    group: str
    version: str
    plural: str
    kind: str
    verbs: frozenset[str]

    @property
    def path(self) -> str:
        """Where all objects are listed, of whichever namespace."""
        root = f"/apis/{self.group}" if self.group else "/api"
        return f"{root}/{self.version}/{self.plural}"


def request(
    api: "kubernetes.client.ApiClient",
    verb: str,
    path: str,
    body: Thing | None = None,
    *,
    accept: str = JSON,
) -> Thing:
    """Ask for something; where a busy API server gave up waiting, ask it again."""
    url, headers = f"{api.configuration.host}{path}", {"Accept": accept, "Content-Type": JSON}
    for left in reversed(range(_ATTEMPTS)):
        try:
            return dict(json.loads(api.request(verb, url, headers=headers, body=body).data))
        except kubernetes.client.ApiException as error:
            if error.status == _THERE:
                break  # by the attempt that seemed to fail
            if error.status not in _BUSY or not left:
                raise
            time.sleep(1)
    return {}


def types(api: "kubernetes.client.ApiClient") -> Iterator[Type]:
    """Return every type that is served, once."""
    for root in ("/api", "/apis"):
        for group in request(api, "GET", root, accept=_TYPES)["items"]:
            seen: set[str] = set()
            for version in group["versions"]:
                for found in _types(group["metadata"].get("name", ""), version):
                    if found.plural not in seen:
                        seen.add(found.plural)
                        yield found


def _types(group: str, version: Thing) -> Iterator[Type]:
    for one in version.get("resources", []):
        kind, verbs = one["responseKind"]["kind"], frozenset(one["verbs"])
        yield Type(group, version["version"], one["resource"], kind, verbs)


def names(
    api: "kubernetes.client.ApiClient", kind: Type, selector: str
) -> list[tuple[str, str, str]]:
    """Return kind, namespace and name of the objects of a type that have some labels."""
    path = f"{kind.path}?labelSelector={selector}"
    found = request(api, "GET", path, accept=_NAMES)["items"] or ()
    of_each = (one["metadata"] for one in found)
    return [(kind.kind, one.get("namespace", ""), one["name"]) for one in of_each]
