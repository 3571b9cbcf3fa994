"""What is there and every change to it, each once, over cuts, timeouts and compactions.

The API server gives changes since a version. After a cut they are asked for from the last version
seen. When it has forgotten that one (410), everything is listed and compared with what was known,
so that a change is told even if nobody saw it happen; of several to one object, the sum. A server
that only lists, such as the plane, is listed every half second.
"""

import dataclasses
import enum
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from components.foundation.errors import FalajError, InfrastructureError
from components.foundation.kubernetes import calling, failures
from components.foundation.kubernetes.calling import Call, Manifest, Query
from components.foundation.kubernetes.failures import Gone
from components.foundation.kubernetes.resources import Resource

if TYPE_CHECKING:
    from components.foundation.kubernetes.client import Cluster

_TURN_S = 60.0  # a connection that went silent unseen costs no more
_PAUSE_S = 0.5  # before asking again a server that has nothing to give
_GRACE_S = 1.0  # for the end of a watch to arrive


class Kind(enum.StrEnum):
    """What happened to an object, in the words of the API server."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class Change:
    """One object as it is now, or as it last was."""

    kind: Kind
    manifest: Manifest


@dataclass(frozen=True)
class Collection:
    """Objects of one kind in one namespace, as they are and as they change.

    Attributes:
        query: selectors.
    """

    cluster: "Cluster"
    resource: Resource
    query: Query = field(default_factory=list)

    def listed(self) -> Manifest:
        """Return all of them as they are now, and the version that this is."""
        return calling.ask(self.cluster.api, self._call("list", self.query), self.cluster.retries)

    def followed(self, since: str, *, seconds: float) -> AbstractContextManager[Iterator[Manifest]]:
        """Give the events since a version as they come, for so long."""
        query = [("watch", "true"), ("allowWatchBookmarks", "true"), ("resourceVersion", since)]
        query.append(("timeoutSeconds", str(math.ceil(seconds))))
        call = self._call("list and watch", [*self.query, *query])
        cluster = self.cluster
        return calling.following(cluster.api, call, cluster.retries, seconds=seconds + _GRACE_S)

    def failed(self, status: Manifest) -> FalajError:
        """Return the error that a status means which a watch gave instead of a change."""
        call = self._call("list and watch", [])
        return failures.from_status(call.what, call.needs, status.get("code"), status)

    def _call(self, right: str, query: Query) -> Call:
        call = Call.on("GET", self.resource, self.cluster.namespace, query=query)
        return dataclasses.replace(call, needs=call.needs.replace("get", right, 1))


@dataclass
class Watch:
    """Follows a collection of objects in one namespace.

    Attributes:
        since: the version from which changes are asked for; empty before the first list.
        known: the objects by name, as last told.
        turn_s: how long one request follows at most.
    """

    collection: Collection
    since: str = ""
    known: dict[str, Manifest] = field(default_factory=dict)
    turn_s: float = _TURN_S
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def changes(self, *, seconds: float) -> Iterator[Change]:
        """Yield what is there as added, then every change, until the time is up.

        Raises:
            Refused: there is no right to list or watch.
            InfrastructureError: the API server stayed away for longer than calls are retried.
        """
        deadline = self.clock() + seconds
        if not self.since:
            yield from self._listed(self.collection.listed())
        while (left := deadline - self.clock()) > 0:
            told = False
            for change in self._followed(min(left, self.turn_s)):
                told = True
                yield change
                if self.clock() >= deadline:
                    return
            if not told:
                self.sleep(min(_PAUSE_S, max(0.0, deadline - self.clock())))

    def _followed(self, seconds: float) -> Iterator[Change]:
        """Follow until the server ends it, or the connection is cut."""
        try:
            with self.collection.followed(self.since, seconds=seconds) as events:
                for event in events:
                    yield from self._told(event)
        except Gone:
            yield from self._listed(self.collection.listed())

    def _told(self, event: Manifest) -> Iterator[Change]:
        if "type" not in event:  # it does not watch, it lists
            yield from self._listed(event)
            return
        match event["type"]:
            case "ERROR":
                raise self._failure(event["object"])
            case "BOOKMARK":
                self.since = _version(event["object"])
            case kind:
                yield from self._changed(event["object"], gone=kind == Kind.DELETED)
                self.since = _version(event["object"])

    def _failure(self, status: Manifest) -> Exception:
        error = self.collection.failed(status)
        if isinstance(error, InfrastructureError):
            # Whatever it could not give from that version, a list is whole.
            return Gone(str(error), code=error.code)
        return error

    def _listed(self, listed: Manifest) -> Iterator[Change]:
        """Tell what a list has other than what was known."""
        found = {one["metadata"]["name"]: one for one in listed["items"]}
        for name in self.known.keys() - found.keys():
            yield from self._changed(self.known[name], gone=True)
        for one in found.values():
            yield from self._changed(one, gone=False)
        self.since = _version(listed)

    def _changed(self, now: Manifest, *, gone: bool) -> Iterator[Change]:
        """Tell a change that was not told yet; one who took another's name is two."""
        name = now["metadata"]["name"]
        before = self.known.get(name)
        if gone:
            if self.known.pop(name, None) is not None:
                yield Change(Kind.DELETED, now)
            return
        if before is not None and _version(before) == _version(now):
            return
        if before is not None and _uid(before) != _uid(now):
            yield Change(Kind.DELETED, self.known.pop(name))
            before = None
        self.known[name] = now
        yield Change(Kind.ADDED if before is None else Kind.MODIFIED, now)


def _version(thing: Manifest) -> str:
    return str(thing["metadata"]["resourceVersion"])


def _uid(thing: Manifest) -> str:
    return str(thing["metadata"].get("uid", ""))
