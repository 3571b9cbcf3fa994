"""List objects of any kind, in whatever version the cluster serves it."""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components.foundation.kubernetes.client import Cluster
from components.foundation.storage import NotFound

Thing = Mapping[str, Any]
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Served:
    """A kind as the cluster serves it."""

    version: str  # with its group, as objects name it
    kind: str
    plural: str
    namespaced: bool

    def path(self, namespace: str) -> str:
        """Return where its objects are, in a namespace if it has one."""
        root = f"/apis/{self.version}" if "/" in self.version else f"/api/{self.version}"
        return (
            f"{root}/namespaces/{namespace}/{self.plural}"
            if self.namespaced
            else (f"{root}/{self.plural}")
        )


@dataclass(frozen=True)
class Listing:
    """Reads one cluster; what is served is asked once."""

    cluster: Cluster

    def of(self, group: str, plural: str) -> Served | None:
        """Return how a kind is served, or None: the cluster has none such."""
        return self._group(group).get(plural)

    def all(self, served: Served, namespace: str, *, labels: str = "") -> Iterator[Thing]:
        """Yield all objects of a kind, page by page, each with its kind."""
        path, after = served.path(namespace), ""
        asked = f"&labelSelector={_quoted(labels)}" if labels else ""
        while True:
            page = self.cluster.look(f"{path}?limit={_PAGE}{asked}{after}")
            for item in page["items"]:
                yield {"apiVersion": served.version, "kind": served.kind, **item}
            if not (further := page["metadata"].get("continue")):
                return
            after = f"&continue={_quoted(further)}"

    def find(self, served: Served, namespace: str, name: str) -> Thing | None:
        try:
            return self.cluster.look(f"{served.path(namespace)}/{name}")
        except NotFound:
            return None

    @functools.cached_property
    def _known(self) -> dict[str, Mapping[str, Served]]:
        return {}

    def _group(self, group: str) -> Mapping[str, Served]:
        if group not in self._known:
            self._known[group] = self._ask(group)
        return self._known[group]

    def _ask(self, group: str) -> Mapping[str, Served]:
        try:
            version = "v1" if not group else self._preferred(group)
            found = self.cluster.look(f"/apis/{version}" if group else "/api/v1")
        except NotFound:
            return {}
        return {
            one["name"]: Served(version, one["kind"], one["name"], one["namespaced"])
            for one in found["resources"]
            if "/" not in one["name"]
        }

    def _preferred(self, group: str) -> str:
        return str(self.cluster.look(f"/apis/{group}")["preferredVersion"]["groupVersion"])


def _quoted(text: str) -> str:
    import urllib.parse

    return urllib.parse.quote(text, safe="")
