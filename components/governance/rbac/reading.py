"""Read roles, bindings and service accounts into our words."""

from collections.abc import Iterable, Mapping
from typing import Any

from components.foundation.errors import UserError
from components.foundation.kubernetes.objects import objects
from components.governance.rbac.grants import (
    EVERYWHERE,
    Binding,
    Identity,
    Kind,
    Manifests,
    Role,
    Rule,
    Selector,
)

Thing = Mapping[str, Any]
_DEFAULT = "default"  # where kubectl puts what names no namespace


def read(texts: Iterable[tuple[str, str]]) -> Manifests:
    """Read texts, each with the name to tell it by; kinds that say nothing of access pass by.

    Raises:
        UserError: a text is no YAML, or an object has not the shape of its kind.
    """
    return gather(thing for name, text in texts for thing in objects(text, name))


def gather(things: Iterable[Thing]) -> Manifests:
    """Sort objects into roles, bindings and service accounts; equal ones count once."""
    roles: dict[Identity, Role] = {}
    bindings: dict[tuple[str, str], Binding] = {}
    accounts: dict[Identity, None] = {}
    for thing in things:
        match thing.get("kind"):
            case "Role" | "ClusterRole":
                role = _role(thing)
                roles[role.identity] = role
            case "RoleBinding" | "ClusterRoleBinding":
                binding = _binding(thing)
                bindings[binding.namespace, binding.name] = binding
            case "ServiceAccount":
                title = _title(thing)
                accounts[Identity(Kind.ACCOUNT, _name(thing, title), _namespace(thing))] = None
    return Manifests(tuple(roles.values()), tuple(bindings.values()), tuple(accounts))


def _role(thing: Thing) -> Role:
    title = _title(thing)
    of_cluster = thing["kind"] == "ClusterRole"
    aggregation = _mapping(thing, "aggregationRule", title)
    return Role(
        _name(thing, title),
        tuple(_rule(one, title) for one in _mappings(thing, "rules", title)),
        EVERYWHERE if of_cluster else _namespace(thing),
        _mapping(_mapping(thing, "metadata", title), "labels", title),
        tuple(
            _selector(one, title) for one in _mappings(aggregation, "clusterRoleSelectors", title)
        ),
    )


def _rule(rule: Thing, title: str) -> Rule:
    groups, resources, verbs, names = (
        frozenset(_words(rule, key, title))
        for key in ("apiGroups", "resources", "verbs", "resourceNames")
    )
    return Rule(groups, resources, verbs, names)


def _selector(selector: Thing, title: str) -> Selector:
    expressions = tuple(
        (
            _word(one, "key", title),
            _word(one, "operator", title),
            frozenset(_words(one, "values", title)),
        )
        for one in _mappings(selector, "matchExpressions", title)
    )
    return Selector(tuple(_mapping(selector, "matchLabels", title).items()), expressions)


def _binding(thing: Thing) -> Binding:
    title = _title(thing)
    namespace = EVERYWHERE if thing["kind"] == "ClusterRoleBinding" else _namespace(thing)
    reference = _mapping(thing, "roleRef", title)
    of_namespace = _word(reference, "kind", title) == "Role"
    kind = Kind.ROLE if of_namespace else Kind.CLUSTER_ROLE
    role = Identity(kind, _word(reference, "name", title), namespace if of_namespace else "")
    subjects = tuple(_subject(one, namespace, title) for one in _mappings(thing, "subjects", title))
    return Binding(_name(thing, title), namespace, role, subjects)


def _subject(subject: Thing, namespace: str, title: str) -> Identity:
    kind, name = _word(subject, "kind", title), _word(subject, "name", title)
    match kind:
        case "ServiceAccount":
            return Identity(Kind.ACCOUNT, name, subject.get("namespace") or namespace or _DEFAULT)
        case "User" | "Group":
            return _unmasked(Kind(kind), name)
        case _:
            raise _wrong(title, f"a subject of kind {kind!r}", "User, Group or ServiceAccount")


def _unmasked(kind: Kind, name: str) -> Identity:
    """Return the service account behind the name that the API server gives its user."""
    match name.split(":"):
        case ["system", "serviceaccount", namespace, account] if kind is Kind.USER:
            return Identity(Kind.ACCOUNT, account, namespace)
    return Identity(kind, name)


def _title(thing: Thing) -> str:
    metadata = thing.get("metadata")
    name = metadata.get("name", "without a name") if isinstance(metadata, dict) else "unnamed"
    return f"{thing['kind']} {name}"


def _name(thing: Thing, title: str) -> str:
    return _word(_mapping(thing, "metadata", title), "name", title)


def _namespace(thing: Thing) -> str:
    return str(thing["metadata"].get("namespace") or _DEFAULT)


def _word(thing: Thing, key: str, title: str) -> str:
    value = thing.get(key)
    if not isinstance(value, str) or not value:
        raise _wrong(title, f"{key} is {value!r}", "a word")
    return value


def _words(thing: Thing, key: str, title: str) -> list[str]:
    found = _sequence(thing, key, title)
    if wrong := [one for one in found if not isinstance(one, str)]:
        raise _wrong(title, f"{key} holds {wrong[0]!r}", "words")
    return found


def _mappings(thing: Thing, key: str, title: str) -> list[Thing]:
    found = _sequence(thing, key, title)
    if wrong := [one for one in found if not isinstance(one, dict)]:
        raise _wrong(title, f"{key} holds {wrong[0]!r}", "mappings")
    return found


def _sequence(thing: Thing, key: str, title: str) -> list[Any]:
    value = thing.get(key) or []
    if not isinstance(value, list):
        raise _wrong(title, f"{key} is a {type(value).__name__}", "a list")
    return value


def _mapping(thing: Thing, key: str, title: str) -> Thing:
    value = thing.get(key) or {}
    if not isinstance(value, dict):
        raise _wrong(title, f"{key} is a {type(value).__name__}", "a mapping")
    return value


def _wrong(title: str, got: str, expected: str) -> UserError:
    return UserError(f"{title}: {got}, expected {expected}; correct it", code="rbac-malformed")
