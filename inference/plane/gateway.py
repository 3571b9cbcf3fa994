"""The gateway: requests by host, path and headers to weighted backends (Gateway API)."""

import bisect
import itertools
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from components.foundation.kubernetes import resources
from inference.plane import status
from inference.plane.objects import Key, Objects
from inference.plane.ownership import Manifest
from inference.transport import forwarding
from inference.transport.client import Call, Client, Failed
from inference.transport.messages import Reply, Request

Pick = Callable[[str, str], Client | None]


@dataclass(frozen=True, slots=True)
class Match:
    """One match of a rule; every part must hold."""

    path_type: str
    path: str
    method: str
    headers: tuple[tuple[bytes, str, str], ...]  # lower-case name, type, value

    @classmethod
    def of(cls, match: dict[str, Any]) -> "Match":
        path = match.get("path", {})
        headers = tuple(
            (h["name"].lower().encode(), h.get("type", "Exact"), h["value"])
            for h in match.get("headers", [])
        )
        kind, value = path.get("type", "PathPrefix"), path.get("value", "/")
        return cls(kind, value, match.get("method", ""), headers)

    def holds(self, request: Request) -> bool:
        if self.method and self.method != request.method:
            return False
        return self._path_holds(request.target.partition(b"?")[0].decode("latin-1")) and all(
            _header_holds(request, *header) for header in self.headers
        )

    def _path_holds(self, path: str) -> bool:
        match self.path_type:
            case "Exact":
                return path == self.path
            case "RegularExpression":
                return re.fullmatch(self.path, path) is not None
        prefix = self.path.rstrip("/")
        return path == prefix or path.startswith(f"{prefix}/")

    @property
    def precedence(self) -> tuple[bool, int, bool, int]:
        """Order as Gateway API does: exact path, longest path, method, most headers."""
        return (self.path_type == "Exact", len(self.path), bool(self.method), len(self.headers))


@dataclass(frozen=True, slots=True)
class Backends:
    """Where a rule sends requests: Services by weight."""

    namespace: str
    services: tuple[str, ...]
    bounds: tuple[int, ...]  # cumulative weights

    @classmethod
    def of(cls, namespace: str, references: list[dict[str, Any]]) -> "Backends":
        weighted = [(r["name"], r.get("weight", 1)) for r in references if r.get("weight", 1) > 0]
        bounds = tuple(itertools.accumulate(weight for _, weight in weighted))
        return cls(namespace, tuple(name for name, _ in weighted), bounds)

    def draw(self) -> str | None:
        """Draw a Service by weight, or None when no weight is left."""
        if not self.bounds:
            return None
        point = random.random() * self.bounds[-1]  # noqa: S311 - traffic, not secrets
        return self.services[bisect.bisect(self.bounds, point)]


Rule = tuple[Match, Backends]


@dataclass
class Gateway:
    """The handler of the gateway's port."""

    objects: Objects
    pick: Pick
    _rules: dict[str, list[Rule]] = field(default_factory=dict)  # by host

    def changed(self, key: Key) -> None:
        """Take note that an object has changed; routes take effect with the next request."""
        if key.resource != resources.HTTP_ROUTE:
            return
        routes = self.objects.list(resources.HTTP_ROUTE)
        self._rules = compiled(routes)
        for route in routes:
            metadata = route["metadata"]
            named = Key(resources.HTTP_ROUTE, metadata["namespace"], metadata["name"])
            self.objects.set_status(named, status.accepted(route))

    async def __call__(self, request: Request) -> Reply:
        backends = self._route(request)
        if backends is None:
            return _text(404, "no route for this host and path\n")
        service = backends.draw()
        upstream = self.pick(backends.namespace, service) if service else None
        if upstream is None:
            return _text(503, "no healthy upstream\n")
        try:
            return await _forward(upstream, request)
        except Failed as failed:
            if failed.status == 504:
                return _text(504, "upstream request timeout\n")
            return _text(503, "upstream connect error or disconnect before headers\n")

    def _route(self, request: Request) -> Backends | None:
        named = request.headers.get(b"host", b"").decode("latin-1")
        host = named.rpartition("@")[2].partition(":")[0].lower()
        for name in (host, f"*.{host.partition('.')[2]}", "*"):
            for match, backends in self._rules.get(name, ()):
                if match.holds(request):
                    return backends
        return None


async def _forward(upstream: Client, request: Request) -> Reply:
    passed = forwarding.of_request(request.headers)
    call = Call(request.method.encode(), request.target, passed, await request.body())
    return forwarding.reply(await upstream.send(call))


def _text(status: int, message: str) -> Reply:
    return Reply(status, message.encode(), b"text/plain; charset=utf-8")


def compiled(routes: list[Manifest]) -> dict[str, list[Rule]]:
    """Turn routes into rules by host, most specific match first."""
    rules: dict[str, list[Rule]] = {}
    for route in routes:
        for rule in route["spec"].get("rules", []):
            backends = Backends.of(route["metadata"]["namespace"], rule.get("backendRefs", []))
            matches = [Match.of(match) for match in rule.get("matches") or [{}]]
            for host in route["spec"].get("hostnames") or ["*"]:
                rules.setdefault(host.lower(), []).extend((m, backends) for m in matches)
    for listed in rules.values():
        listed.sort(key=lambda rule: rule[0].precedence, reverse=True)
    return rules


def _header_holds(request: Request, name: bytes, kind: str, value: str) -> bool:
    got = request.headers.get(name, b"").decode(errors="replace")
    return re.fullmatch(value, got) is not None if kind == "RegularExpression" else got == value
