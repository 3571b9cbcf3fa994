"""Server-side apply: who owns which field, and what follows from that.

Follows https://kubernetes.io/docs/reference/using-api/server-side-apply/ with one
simplification that holds for the kinds here: lists are atomic.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Path = tuple[str, ...]
Manager = tuple[str, str]  # name and operation, "Apply" or "Update"
Owners = dict[Manager, frozenset[Path]]
Manifest = dict[str, Any]

_UNOWNED = ("apiVersion", "kind", "status")
_UNOWNED_METADATA = (
    "name",
    "namespace",
    "managedFields",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
)


@dataclass(frozen=True, slots=True)
class Clash:
    """A field that the applier wants to change and another manager owns."""

    manager: str
    path: Path

    @property
    def field(self) -> str:
        return "".join(f".{part}" for part in self.path)


class Clashes(Exception):
    """An apply that would take fields from other managers."""

    def __init__(self, clashes: list[Clash]) -> None:
        super().__init__(f"{len(clashes)} clashes")
        self.clashes = clashes


def leaves(manifest: Manifest) -> dict[Path, Any]:
    """Return the fields a manager can own: scalars, lists and empty maps, by path."""
    return {path: value for path, value in _walk(manifest, ()) if _ownable(path)}


def apply(
    live: Manifest, owners: Owners, wanted: Manifest, *, manager: str, force: bool
) -> tuple[Manifest, Owners]:
    """Merge what a manager wants into a live object.

    Fields it owned alone and leaves out now are removed; fields of others stay.

    Raises:
        Clashes: another manager owns a field that would change, and force is off.
    """
    me = (manager, "Apply")
    fields = leaves(wanted)
    others = {who: paths for who, paths in owners.items() if who != me}
    clashes = list(_clashes(live, others, fields))
    if clashes and not force:
        raise Clashes(clashes)
    result = copy.deepcopy(live)
    taken = {clash.path for clash in clashes}
    others = {who: paths - taken for who, paths in others.items()}
    for path in owners.get(me, frozenset()) - fields.keys():
        if not any(path in paths for paths in others.values()):
            _remove(result, path)
    for path, value in fields.items():
        _set(result, path, value)
    return result, _cleaned({**others, me: frozenset(fields)})


def update(live: Manifest, owners: Owners, new: Manifest, *, manager: str) -> Owners:
    """Return who owns what after a manager has replaced the whole object."""
    me = (manager, "Update")
    before, after = leaves(live), leaves(new)
    changed = {path for path, value in after.items() if before.get(path, _ABSENT) != value}
    kept = {who: (paths & after.keys()) - changed for who, paths in owners.items()}
    return _cleaned({**kept, me: kept.get(me, frozenset()) | changed})


def managed_fields(owners: Owners, *, api_version: str) -> list[dict[str, Any]]:
    """Write owners as metadata.managedFields does."""
    return [
        {
            "manager": name,
            "operation": operation,
            "apiVersion": api_version,
            "fieldsType": "FieldsV1",
            "fieldsV1": _fields_v1(paths),
        }
        for (name, operation), paths in sorted(owners.items())
    ]


_ABSENT = object()


def _walk(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _walk(inner, (*path, key))
    elif path:
        yield path, value


def _ownable(path: Path) -> bool:
    if path[0] == "metadata":
        return len(path) > 1 and path[1] not in _UNOWNED_METADATA
    return path[0] not in _UNOWNED


def _clashes(live: Manifest, others: Owners, fields: Mapping[Path, Any]) -> Iterator[Clash]:
    current = leaves(live)
    for (name, _), paths in sorted(others.items()):
        for path in sorted(paths):
            if path in fields and current.get(path, _ABSENT) != fields[path]:
                yield Clash(name, path)


def _set(target: Manifest, path: Path, value: Any) -> None:
    for key in path[:-1]:
        inner = target.get(key)
        if not isinstance(inner, dict):
            inner = target[key] = {}
        target = inner
    if value == {} and isinstance(target.get(path[-1]), dict):
        return
    target[path[-1]] = copy.deepcopy(value)


def _remove(target: Manifest, path: Path) -> None:
    """Remove a field, and the maps around it that are empty then."""
    inner = target.get(path[0])
    if len(path) > 1 and isinstance(inner, dict):
        _remove(inner, path[1:])
        if inner:
            return
    target.pop(path[0], None)


def _cleaned(owners: Owners) -> Owners:
    return {who: paths for who, paths in owners.items() if paths}


def _fields_v1(paths: frozenset[Path]) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for path in sorted(paths):
        node = root
        for part in path:
            node = node.setdefault(f"f:{part}", {})
    return root
