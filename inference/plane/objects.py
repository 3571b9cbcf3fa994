"""The objects that the plane keeps: versions, owners, conflicts, one file on disk.

Everything happens on one event loop and no method awaits, so each is atomic.
"""

import copy
import datetime
import json
import pathlib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from components.foundation.kubernetes import resources
from components.foundation.kubernetes.resources import Resource
from inference.plane import ownership
from inference.plane.ownership import Manifest, Owners


@dataclass(frozen=True, slots=True)
class Key:
    """Which object: kind, namespace, name."""

    resource: Resource
    namespace: str
    name: str


class ApiError(Exception):
    """What a Kubernetes API answers with a Status object."""

    def __init__(
        self, code: int, reason: str, message: str, causes: list[dict[str, str]] | None = None
    ) -> None:
        super().__init__(message)
        self.code, self.reason, self.message, self.causes = code, reason, message, causes or []


@dataclass(slots=True)
class Stored:
    body: Manifest
    owners: Owners = field(default_factory=dict)


@dataclass
class Objects:
    """Every object by key; `changed` is called with a key after each change.

    Attributes:
        file: where the objects are kept over a restart; None keeps them in memory only.
    """

    file: pathlib.Path | None = None
    changed: list[Callable[[Key], None]] = field(default_factory=list)
    _all: dict[Key, Stored] = field(default_factory=dict)
    _version: int = 0

    def load(self) -> None:
        """Read what an earlier run kept; pods start anew, so status is forgotten."""
        if self.file is None or not self.file.exists():
            return
        kept = json.loads(self.file.read_text())
        self._version = kept["version"]
        for body, owners in kept["objects"]:
            key = _key(body)
            parsed = {(n, o): frozenset(map(tuple, paths)) for n, o, paths in owners}
            self._all[key] = Stored(body, parsed)
        for key in list(self._all):
            self._notify(key)

    def get(self, key: Key) -> Manifest:
        """Return a copy with its managed fields; raises ApiError 404."""
        stored = self._stored(key)
        body = copy.deepcopy(stored.body)
        body["metadata"]["managedFields"] = ownership.managed_fields(
            stored.owners, api_version=key.resource.api_version
        )
        return body

    def find(self, key: Key) -> Manifest | None:
        """Return the live object itself, to be read only."""
        stored = self._all.get(key)
        return stored.body if stored else None

    def list(self, resource: Resource, namespace: str | None = None) -> list[Manifest]:
        keys = (k for k in self._all if k.resource == resource)
        return [self._all[k].body for k in keys if namespace in (None, k.namespace)]

    @property
    def version(self) -> int:
        return self._version

    def create(self, key: Key, body: Manifest, *, manager: str) -> Manifest:
        if key in self._all:
            raise ApiError(
                409, "AlreadyExists", f'{key.resource.plural} "{key.name}" already exists'
            )
        wanted = copy.deepcopy(body)
        owners = ownership.update({}, {}, wanted, manager=manager)
        return self._keep(key, _new(key, wanted), owners)

    def apply(self, key: Key, body: Manifest, *, manager: str, force: bool) -> Manifest:
        """Apply server-side; an apply that changes nothing leaves the version alone."""
        _refuse_nulls(body, ())
        stored = self._all.get(key)
        _check_version(key, body, stored)
        live = stored.body if stored else _new(key, {})
        try:
            merged, owners = ownership.apply(
                live, stored.owners if stored else {}, body, manager=manager, force=force
            )
        except ownership.Clashes as error:
            raise _conflict(key, error) from error
        return self._keep(key, merged, owners)

    def replace(self, key: Key, body: Manifest, *, manager: str) -> Manifest:
        """Replace an object; status is left as it is, as its subresource."""
        stored = self._stored(key)
        if not body["metadata"].get("resourceVersion") and key.resource.group:
            raise ApiError(
                422,
                "Invalid",
                f'{key.resource.plural}.{key.resource.group} "{key.name}" is invalid: '
                "metadata.resourceVersion: Invalid value: 0x0: must be specified for an update",
            )
        _check_version(key, body, stored)
        new = copy.deepcopy(body)
        new["metadata"] = {**new["metadata"], **_server_metadata(stored.body)}
        new["metadata"].pop("managedFields", None)
        new.pop("status", None)
        if "status" in stored.body:
            new["status"] = stored.body["status"]
        owners = ownership.update(stored.body, stored.owners, new, manager=manager)
        return self._keep(key, new, owners)

    def delete(self, key: Key) -> Manifest:
        """Delete an object and, as the garbage collector does, what it owned."""
        body = self._stored(key).body
        del self._all[key]
        self._version += 1
        self._notify(key)
        for orphan in list(self._owned_by(body["metadata"]["uid"])):
            self.delete(orphan)
        self._save()
        return body

    def set_status(self, key: Key, status: Manifest) -> None:
        """Write the status that a controller saw; the generation stays."""
        stored = self._all.get(key)
        if stored is None or stored.body.get("status") == status:
            return
        stored.body["status"] = copy.deepcopy(status)
        self._bump(stored.body)

    def put(self, key: Key, body: Manifest) -> None:
        """Write a controller's own object, such as a Deployment."""
        stored = self._all.get(key)
        base = stored.body if stored else _new(key, {})
        server_owned = _server_metadata(base)
        new = {**copy.deepcopy(body), "apiVersion": key.resource.api_version}
        new["kind"] = key.resource.kind
        new["metadata"] = {**new.get("metadata", {}), **server_owned}
        status = new.pop("status", {})
        self._keep(key, new if "status" not in base else {**new, "status": base["status"]}, {})
        self.set_status(key, status)

    def _owned_by(self, uid: str) -> Iterator[Key]:
        for key, stored in self._all.items():
            owners = stored.body["metadata"].get("ownerReferences", [])
            if any(owner["uid"] == uid for owner in owners):
                yield key

    def _stored(self, key: Key) -> Stored:
        try:
            return self._all[key]
        except KeyError:
            kind = ".".join(filter(None, (key.resource.plural, key.resource.group.split("/")[0])))
            raise ApiError(404, "NotFound", f'{kind} "{key.name}" not found') from None

    def _keep(self, key: Key, body: Manifest, owners: Owners) -> Manifest:
        _default(key, body)
        before = self._all.get(key)
        if before is None or before.body != body:
            if before is None or before.body.get("spec") != body.get("spec"):
                _raise_generation(body)
            self._bump(body)
            self._all[key] = Stored(body, owners)
            self._notify(key)
            self._save()
        else:
            before.owners = owners
        return self.get(key)

    def _bump(self, body: Manifest) -> None:
        self._version += 1
        body["metadata"]["resourceVersion"] = str(self._version)

    def _notify(self, key: Key) -> None:
        for callback in self.changed:
            callback(key)

    def _save(self) -> None:
        if self.file is None:
            return
        objects = [
            (
                {k: v for k, v in stored.body.items() if k != "status"},
                [(name, op, sorted(paths)) for (name, op), paths in stored.owners.items()],
            )
            for key, stored in self._all.items()
            if key.resource != resources.DEPLOYMENT
        ]
        half = self.file.with_suffix(".part")
        half.write_text(json.dumps({"version": self._version, "objects": objects}))
        half.replace(self.file)


def _key(body: Manifest) -> Key:
    metadata = body["metadata"]
    return Key(resources.of(body), metadata["namespace"], metadata["name"])


def _new(key: Key, body: Manifest) -> Manifest:
    return {
        **body,
        "apiVersion": key.resource.api_version,
        "kind": key.resource.kind,
        "metadata": {
            **body.get("metadata", {}),
            "name": key.name,
            "namespace": key.namespace,
            "uid": str(uuid.uuid4()),
            "creationTimestamp": timestamp(),
        },
    }


def timestamp() -> str:
    """Say what time it is, as Kubernetes does: to the second, in UTC."""
    return datetime.datetime.now(datetime.UTC).strftime("%FT%TZ")


def _server_metadata(body: Manifest) -> dict[str, Any]:
    names = ("name", "namespace", "uid", "creationTimestamp", "generation", "resourceVersion")
    return {name: body["metadata"][name] for name in names if name in body["metadata"]}


def _raise_generation(body: Manifest) -> None:
    if "spec" in body:
        body["metadata"]["generation"] = body["metadata"].get("generation", 0) + 1


def _default(key: Key, body: Manifest) -> None:
    """Add what KServe's webhook adds; no manager owns these fields."""
    if key.resource == resources.INFERENCE_SERVICE:
        model = body.get("spec", {}).get("predictor", {}).get("model")
        if isinstance(model, dict):
            model.setdefault("name", "")
            model.setdefault("resources", {})


def _check_version(key: Key, body: Manifest, stored: Stored | None) -> None:
    wanted = body.get("metadata", {}).get("resourceVersion")
    if wanted and (stored is None or stored.body["metadata"]["resourceVersion"] != wanted):
        raise ApiError(
            409,
            "Conflict",
            f'Operation cannot be fulfilled on {key.resource.plural} "{key.name}": the object '
            "has been modified; please apply your changes to the latest version and try again",
        )


def _refuse_nulls(value: Any, path: tuple[str, ...]) -> None:
    if value is None:
        name = ".".join(path)
        raise ApiError(422, "Invalid", f'{name} in body must not be null: "null"; leave it out')
    if isinstance(value, dict):
        for key, inner in value.items():
            _refuse_nulls(inner, (*path, key))


def _conflict(key: Key, error: ownership.Clashes) -> ApiError:
    api = key.resource.api_version
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": f'conflict with "{clash.manager}" using {api}',
            "field": clash.field,
        }
        for clash in error.clashes
    ]
    listed = "; ".join(f"{cause['message']}: {cause['field']}" for cause in causes)
    count = f"{len(causes)} conflict{'s' if len(causes) > 1 else ''}"
    return ApiError(409, "Conflict", f"Apply failed with {count}: {listed}", causes)
