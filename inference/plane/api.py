"""The Kubernetes API that the plane speaks: paths and verbs to objects."""

import json
import urllib.parse
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from components.foundation.kubernetes import resources
from components.foundation.kubernetes.resources import Resource
from inference.plane.objects import ApiError, Key, Objects
from inference.plane.ownership import Manifest
from inference.transport.messages import Reply, Request

_VERBS = ["create", "delete", "get", "list", "patch", "update"]


@dataclass(frozen=True, slots=True)
class Target:
    """What a path means: a collection, or one object in it."""

    resource: Resource
    namespace: str | None
    name: str | None

    @property
    def key(self) -> Key:
        if self.namespace is None or self.name is None:
            raise ApiError(405, "MethodNotAllowed", "this verb needs a namespace and a name")
        return Key(self.resource, self.namespace, self.name)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that is here whole."""

    request: Request
    body: bytes
    query: Mapping[str, str]

    @property
    def agent(self) -> str:
        name = self.request.headers.get(b"user-agent", b"").decode("latin-1").partition("/")[0]
        return name or "unknown"

    @property
    def media_type(self) -> str:
        kind = self.request.headers.get(b"content-type", b"").decode("latin-1")
        return kind.partition(";")[0]

    def manifest(self) -> Manifest:
        """Read the body, JSON or YAML: JSON is YAML too."""
        import yaml

        try:
            body = json.loads(self.body)
        except ValueError:
            try:
                body = yaml.safe_load(self.body)
            except yaml.YAMLError as error:
                raise ApiError(400, "BadRequest", f"body: {error}") from error
        if not isinstance(body, dict):
            raise ApiError(400, "BadRequest", "body: expected one object")
        return body


@dataclass(frozen=True)
class Api:
    """The handler of the API port.

    Attributes:
        federate: answers /federate, Prometheus' path for series of many targets.
    """

    objects: Objects
    federate: Callable[[list[str]], Awaitable[str]]

    async def __call__(self, request: Request) -> Reply:
        body = bytes(await request.body())
        url = urllib.parse.urlsplit(request.target.decode("latin-1"))
        query = urllib.parse.parse_qs(url.query)
        if url.path == "/federate":
            page = await self.federate(query.get("match[]", []))
            return Reply(200, page.encode(), b"text/plain; charset=utf-8")
        try:
            said = {name: values[-1] for name, values in query.items()}
            code, answer = self._answer(Asked(request, body, said), url.path)
        except ApiError as error:
            code, answer = error.code, _status(error)
        return _json(code, answer)

    def _answer(self, asked: Asked, path: str) -> tuple[int, Any]:
        if path in ("/healthz", "/livez", "/readyz"):
            return 200, {"status": "ok"}
        found = _discovery(path)
        if found is not None:
            return 200, found
        target = parse(path)
        manager = asked.query.get("fieldManager") or asked.agent
        match asked.request.method:
            case "GET" if target.name:
                return 200, self.objects.get(target.key)
            case "GET":
                return 200, self._list(target, asked.query)
            case "POST":
                return 201, self._create(target, asked.manifest(), manager)
            case "PUT":
                body = _matching(asked.manifest(), target)
                return 200, self.objects.replace(target.key, body, manager=manager)
            case "PATCH":
                return self._apply(asked, target)
            case "DELETE":
                self.objects.delete(target.key)
                return 200, {"kind": "Status", "apiVersion": "v1", "status": "Success"}
        raise ApiError(405, "MethodNotAllowed", f"{asked.request.method} is not supported here")

    def _list(self, target: Target, query: Mapping[str, str]) -> Manifest:
        found = self.objects.list(target.resource, target.namespace)
        selector = query.get("labelSelector", "")
        return {
            "kind": f"{target.resource.kind}List",
            "apiVersion": target.resource.api_version,
            "metadata": {"resourceVersion": str(self.objects.version)},
            "items": [item for item in found if _selected(item, selector)],
        }

    def _create(self, target: Target, body: Manifest, manager: str) -> Manifest:
        name = body.get("metadata", {}).get("name")
        named = Target(target.resource, target.namespace, name)
        return self.objects.create(named.key, _matching(body, named), manager=manager)

    def _apply(self, asked: Asked, target: Target) -> tuple[int, Any]:
        query, content = asked.query, asked.media_type
        if content != "application/apply-patch+yaml":
            raise ApiError(
                415, "UnsupportedMediaType", f"patch as {content!r}: only server-side apply here"
            )
        if not query.get("fieldManager"):
            raise ApiError(400, "BadRequest", "fieldManager is required for apply patch")
        known = self.objects.find(target.key) is not None
        applied = self.objects.apply(
            target.key,
            _matching(asked.manifest(), target),
            manager=query["fieldManager"],
            force=query.get("force") == "true",
        )
        return (200 if known else 201), applied


def parse(path: str) -> Target:
    """Read a path; raises ApiError 404 for what the plane does not keep."""
    parts = [urllib.parse.unquote(part) for part in path.strip("/").split("/")]
    head = 2 if parts[0] == "api" else 3
    version, rest = "/".join(parts[1:head]), parts[head:]
    namespace = rest[1] if len(rest) > 2 and rest[0] == "namespaces" else None
    rest = rest[2:] if namespace else rest
    for resource in resources.KNOWN:
        if resource.api_version == version and rest[:1] == [resource.plural] and len(rest) < 3:
            return Target(resource, namespace, rest[1] if len(rest) > 1 else None)
    raise ApiError(404, "NotFound", "the server could not find the requested resource")


def _discovery(path: str) -> Manifest | None:
    """Answer what clients ask before they ask for objects."""
    versions = sorted({r.api_version for r in resources.KNOWN})
    root, _, version = path.strip("/").partition("/")
    if path == "/version":
        return {"major": "1", "minor": "34", "gitVersion": "v1.34.0+falaj-plane"}
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        groups = [_group(version) for version in versions if "/" in version]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    if root in ("api", "apis") and version in versions:
        return {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": version,
            "resources": [
                {"name": r.plural, "kind": r.kind, "namespaced": True, "verbs": _VERBS}
                for r in resources.KNOWN
                if r.api_version == version
            ],
        }
    return None


def _group(api_version: str) -> Manifest:
    group, _, version = api_version.partition("/")
    named = {"groupVersion": api_version, "version": version}
    return {"name": group, "versions": [named], "preferredVersion": named}


def _matching(body: Manifest, target: Target) -> Manifest:
    """Refuse a body that is not what its path names."""
    wanted = (target.resource.api_version, target.resource.kind, target.name)
    metadata = body.get("metadata") or {}
    got = (body.get("apiVersion"), body.get("kind"), metadata.get("name", target.name))
    if got != wanted or metadata.get("namespace", target.namespace) != target.namespace:
        raise ApiError(400, "BadRequest", f"the body is {got}, the path says {wanted}")
    return body


def _selected(item: Manifest, selector: str) -> bool:
    labels = item["metadata"].get("labels", {})
    pairs = [pair.partition("=") for pair in selector.split(",") if pair]
    return all(labels.get(key) == value for key, _, value in pairs)


def _status(error: ApiError) -> Manifest:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": error.message,
        "reason": error.reason,
        "details": {"causes": error.causes},
        "code": error.code,
    }


def _json(code: int, answer: Any) -> Reply:
    return Reply(code, json.dumps(answer).encode())
