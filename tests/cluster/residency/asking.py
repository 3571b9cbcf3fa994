"""Ask the API server, by a dry run, whether it would take an object, and what it says if not."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import kubernetes.client

Thing = dict[str, Any]
_JSON = "application/json"
_TYPES = f"{_JSON};g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@dataclass(frozen=True)
class Answer:
    """What came back: a status of HTTP, what a Status says or the object, and warnings."""

    status: int
    body: Thing
    warned: tuple[str, ...] = ()

    @property
    def taken(self) -> bool:
        return self.status < 300

    @property
    def said(self) -> str:
        return "" if self.taken else str(self.body.get("message", self.body))


@dataclass(frozen=True)
class Resource:
    """How a kind is called in a URL, and whether it lies in namespaces."""

    plural: str
    namespaced: bool


class Server:
    """The API server as somebody, over one client for all questions."""

    def __init__(self, api: "kubernetes.client.ApiClient") -> None:
        self._api = api
        self._known: dict[tuple[str, str], Resource] = {}

    def serves(self, api_version: str, kind: str) -> Resource | None:
        if (api_version, kind) not in self._known:
            self._known = dict(self._types())
        return self._known.get((api_version, kind))

    def versions(self, group: str, plural: str) -> list[str]:
        """Return the versions in which a resource is served."""
        known = ((name, one) for (name, _), one in self._known.items() if one.plural == plural)
        return [name.rpartition("/")[2] for name, _ in known if name.rpartition("/")[0] == group]

    def create(self, thing: Thing, namespace: str) -> Answer:
        """Ask whether an object may be created; nothing is."""
        return self.send("POST", f"{self.path(thing, namespace)}?dryRun=All", thing)

    def path(self, thing: Thing, namespace: str) -> str:
        """Return where objects of a kind are, for its version."""
        version, kind = thing["apiVersion"], thing["kind"]
        resource = self.serves(version, kind)
        assert resource, f"{version} {kind}: the API server knows no such kind"
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        within = f"/namespaces/{namespace}" if resource.namespaced else ""
        return f"{root}{within}/{resource.plural}"

    def send(self, verb: str, path: str, body: Any = None, *, kind: str = _JSON) -> Answer:
        url = f"{self._api.configuration.host}{path}"
        headers = {"Accept": _JSON, "Content-Type": kind}
        try:
            answer = self._api.request(verb, url, headers=headers, body=body)
        except kubernetes.client.ApiException as error:
            return Answer(error.status, _read(error.body))
        return Answer(answer.status, _read(answer.data), _warnings(answer.getheaders()))

    def _types(self) -> Iterator[tuple[tuple[str, str], Resource]]:
        for root in ("/api", "/apis"):
            url = f"{self._api.configuration.host}{root}"
            found = json.loads(self._api.request("GET", url, headers={"Accept": _TYPES}).data)
            for group in found["items"]:
                for version in group["versions"]:
                    yield from _of(group["metadata"].get("name", ""), version)


def _of(group: str, version: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], Resource]]:
    name = f"{group}/{version['version']}" if group else version["version"]
    for one in version.get("resources", []):
        resource = Resource(one["resource"], one["scope"] == "Namespaced")
        yield (name, one["responseKind"]["kind"]), resource


def _warnings(headers: Any) -> tuple[str, ...]:
    """Return the texts of `299 - "text"`, in which quotes are escaped."""
    found = (one.partition('"')[2].rpartition('"')[0] for one in headers.getlist("Warning"))
    return tuple(re.sub(r"\\(.)", r"\1", text) for text in found)


def _read(text: Any) -> Thing:
    try:
        found: Thing = json.loads(text)
    except ValueError:
        return {"message": str(text)}
    return found
