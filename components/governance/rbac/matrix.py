"""Show who may do what: one block an identity, one line a resource, one column a verb."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from components.governance.rbac.grants import ALL, Grant, Identity, Rule
from components.governance.rbac.rights import Access

VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
_NONE, _YES, _NAMED = ".", "yes", "named"
_ROOM = {verb: max(len(verb), len(_NAMED)) + 2 for verb in VERBS}


def lines(access: Access, identities: Iterable[Identity] | None = None) -> Iterator[str]:
    """Yield the matrix as text; `named` is a right on the named objects alone."""
    for who in sorted(access.held) if identities is None else identities:
        yield str(who)
        yield from _block(access.held.get(who, ()))
        yield ""


def _block(grants: Iterable[Grant]) -> Iterator[str]:
    cells: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for grant in grants:
        for rule in grant.role.rules:
            for row in _rows(rule, grant.namespace):
                _enter(cells[row], rule)
    room = max((len(resource) for _, resource in cells), default=0) + 2
    places = max((len(where) for where, _ in cells), default=0) + 2
    yield f"  {'':<{places}}{'':<{room}}{_padded(VERBS)}others"
    for (where, resource), told in sorted(cells.items()):
        columns = _padded(told.get(verb, told.get(ALL, _NONE)) for verb in VERBS)
        others = ", ".join(sorted(set(told) - set(VERBS))) or _NONE
        yield f"  {where:<{places}}{resource:<{room}}{columns}{others}"


def _padded(words: Iterable[str]) -> str:
    return "".join(f"{word:<{room}}" for word, room in zip(words, _ROOM.values(), strict=True))


def _rows(rule: Rule, namespace: str) -> Iterator[tuple[str, str]]:
    names = f" {','.join(sorted(rule.names))}" if rule.names else ""
    for group in rule.groups:
        for resource in rule.resources:
            yield namespace or ALL, f"{resource}{'.' if group else ''}{group}{names}"


def _enter(row: dict[str, str], rule: Rule) -> None:
    for verb in rule.verbs:
        row[verb] = _NAMED if rule.names and row.get(verb) != _YES else _YES
