"""Find the ways by which somebody comes to more rights than were meant."""

import functools
import pathlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from components.governance.rbac.grants import (
    ALL,
    EVERYWHERE,
    Identity,
    Kind,
    Question,
    Role,
    Rule,
)
from components.governance.rbac.rights import Access, Rights

_FILE = pathlib.Path(__file__).with_name("paths.yaml")
_REMEMBERED = 65_536  # answers about a role, so that many bindings of few roles are one look
_SHOWN = 3  # rights of one account, and accounts, that a sentence names
Calls = frozenset[tuple[str, str, str]]  # verb, API group, resource


@dataclass(frozen=True, slots=True)
class Danger:
    """A right to look for, and what is to be said of it."""

    path: str
    calls: Calls
    why: str
    way_out: str
    cluster: bool = False
    named_is_fine: bool = False

    def met(self, rule: Rule, in_namespace: bool) -> list[str]:
        """Say which calls of this kind a rule allows."""
        if (self.cluster and in_namespace) or (self.named_is_fine and rule.names):
            return []
        return sorted({_call(*call, rule.names) for call in self.calls if _matches(rule, *call)})


@dataclass(frozen=True, slots=True)
class Finding:
    """A way up: who, where, by which rights, and what is gained.

    Attributes:
        where: a namespace, or "the cluster".
        path: the kind of way, a word that stays the same.
        by: the rights that open it.
        gains: what is reached, where that can be named.
    """

    identity: Identity
    where: str
    path: str
    by: tuple[str, ...]
    why: str
    way_out: str
    gains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Met:
    """The ways up in one role, wherever it is bound."""

    dangers: Mapping[Danger, frozenset[str]]
    wildcards: frozenset[str]


def find(access: Access) -> list[Finding]:
    """Return every way up, by identity."""
    found = [finding for who in sorted(access.held) for finding in _of(access, who)]
    return found + [_unread(*one) for one in sorted(set(access.unknown))]


def _of(access: Access, who: Identity) -> Iterator[Finding]:
    by_place: dict[str, list[Role]] = defaultdict(list)
    for grant in access.held[who]:
        by_place[grant.namespace].append(grant.role)
    for namespace, roles in sorted(by_place.items()):
        met = [_met(role, bool(namespace)) for role in roles]
        if wildcards := frozenset[str]().union(*(one.wildcards for one in met)):
            yield _wildcard(who, namespace, wildcards)
        for danger in dict.fromkeys(danger for one in met for danger in one.dangers):
            by = sorted(frozenset[str]().union(*(one.dangers.get(danger, ()) for one in met)))
            if danger in makers():
                yield from _pods(access, who, namespace, danger, by)
            else:
                yield _finding(who, namespace, danger, by)


@functools.lru_cache(maxsize=_REMEMBERED)
def _met(role: Role, in_namespace: bool) -> _Met:
    """Look through a role once, however many hold it."""
    listed = [rule for rule in role.rules if not _is_everything(rule)]
    by = {
        danger: frozenset(call for rule in listed for call in danger.met(rule, in_namespace))
        for danger in (*dangers(), *makers())
    }
    wildcards = frozenset(words for rule in role.rules if (words := _wild(rule)))
    return _Met({danger: calls for danger, calls in by.items() if calls}, wildcards)


def _finding(
    who: Identity, namespace: str, danger: Danger, by: Sequence[str], gains: Sequence[str] = ()
) -> Finding:
    where = namespace or "the cluster"
    why = danger.why.format(where=where)
    return Finding(who, where, danger.path, tuple(by), why, danger.way_out, tuple(gains))


def _wildcard(who: Identity, namespace: str, by: Iterable[str]) -> Finding:
    why = "a wildcard allows what nobody listed, and what a later version adds"
    way_out = "write out the groups, resources and verbs that are used"
    return Finding(who, namespace or "the cluster", "wildcard", tuple(sorted(by)), why, way_out)


def _unread(who: Identity, role: Identity, namespace: str) -> Finding:
    why = f"holds {role}, which is not among what was read"
    way_out = "give that role to this command as well: nothing is known of what it allows"
    return Finding(who, namespace or "the cluster", "unread", (str(role),), why, way_out)


def _pods(
    access: Access, who: Identity, namespace: str, danger: Danger, by: Sequence[str]
) -> Iterator[Finding]:
    """Yield a finding where the pods of somebody may do more than their author."""
    gains = [words for near in _near(access, namespace) for words in _gains(access, who, near)]
    if gains:
        yield _finding(who, namespace, danger, by, list(dict.fromkeys(gains)))


def _near(access: Access, namespace: str) -> Sequence[str]:
    return [namespace] if namespace else (sorted(access.accounts) or [EVERYWHERE])


def _gains(access: Access, who: Identity, namespace: str) -> Iterator[str]:
    own = access.rights(who)
    for account in access.accounts.get(namespace, ()):
        if lacks(access.rights(account), own):
            yield str(account)
    if not own.allows(Question("get", "", "secrets", namespace)):
        yield f"Secrets of {namespace or 'every namespace'}"


def lacks(more: Rights, than: Rights) -> tuple[str, ...]:
    """Name a few of the rights that one set has over another; empty where it has none."""
    missing = {
        question: None
        for grant in dict.fromkeys(more.grants)
        for question in _missing(grant.role, than.roles(grant.namespace))
    }
    return tuple(_said(question) for question in sorted(missing, key=_gravity)[:_SHOWN])


@functools.lru_cache(maxsize=_REMEMBERED)
def _missing(role: Role, roles: frozenset[Role]) -> tuple[Question, ...]:
    """Return what a role allows and others do not; a wildcard is met by a wildcard only."""
    if role in roles:
        return ()
    asked = (question for rule in role.rules for question in _questions(rule))
    return tuple(one for one in asked if not any(other.allows(one) for other in roles))


def _questions(rule: Rule) -> Iterator[Question]:
    for verb, group, resource in _product(rule.verbs, rule.groups, rule.resources):
        for name in sorted(rule.names) or [""]:
            yield Question(verb, group, resource, name=name)


def _gravity(question: Question) -> tuple[bool, bool, str, str]:
    """Order rights so that those which matter most are named: Secrets, then what writes."""
    reads = question.verb in ("get", "list", "watch")
    return question.resource != "secrets", reads, question.resource, question.verb


def _product(
    verbs: Iterable[str], groups: Iterable[str], resources: Iterable[str]
) -> Iterator[tuple[str, str, str]]:
    for resource in sorted(resources):
        for group in sorted(groups):
            yield from ((verb, group, resource) for verb in sorted(verbs))


def _matches(rule: Rule, verb: str, group: str, resource: str) -> bool:
    _, _, subresource = resource.partition("/")
    return (
        bool({verb, ALL} & rule.verbs)
        and bool({group, ALL} & rule.groups)
        and bool({resource, ALL, f"*/{subresource}"} & rule.resources)
    )


def _wild(rule: Rule) -> str:
    """Say a rule that has a wildcard; empty for one that has none."""
    if not any(ALL in part for part in (rule.verbs, rule.groups, rule.resources)):
        return ""
    groups, resources, verbs = (
        ",".join(sorted(part)) for part in (rule.groups, rule.resources, rule.verbs)
    )
    return f"{verbs} {resources}.{groups}".rstrip(".") if rule.resources else ""


def _is_everything(rule: Rule) -> bool:
    return all(ALL in part for part in (rule.verbs, rule.groups, rule.resources))


def _call(verb: str, group: str, resource: str, names: frozenset[str] = frozenset()) -> str:
    named = f" {','.join(sorted(names))}" if names else ""
    return f"{verb} {resource}{'.' if group else ''}{group}{named}"


def _said(question: Question) -> str:
    names = frozenset({question.name} if question.name else ())
    return _call(question.verb, question.group, question.resource, names)


@functools.cache
def dangers() -> tuple[Danger, ...]:
    """Load the rights that are a way up by themselves."""
    return tuple(
        Danger(
            row["path"],
            frozenset(_product(row["verbs"], row["groups"], row["resources"])),
            row["why"],
            row["way_out"],
            cluster=row.get("cluster", False),
            named_is_fine=row.get("named_is_fine", False),
        )
        for row in _table()["dangers"]
    )


@functools.cache
def makers() -> tuple[Danger, ...]:
    """Load the rights that make pods, a way up where something stronger is near."""
    return tuple(
        Danger(row["path"], _made(row), row["why"], row["way_out"]) for row in _table()["makers"]
    )


def _made(row: Mapping[str, Any]) -> Calls:
    return frozenset(
        call
        for group, resources in row["resources"].items()
        for call in _product(row["verbs"], [group], resources)
    )


@functools.cache
def _table() -> Mapping[str, Any]:
    table: Mapping[str, Any] = yaml.safe_load(_FILE.read_text())
    return table


def reached(access: Access, finding: Finding) -> Iterator[str]:
    """Explain the accounts that a finding reaches: a few of the rights that they add."""
    own = access.rights(finding.identity)
    for gain in finding.gains:
        if gain.startswith(str(Kind.ACCOUNT)):
            account = Identity.parse(gain)
            yield f"{account} may also {', '.join(lacks(access.rights(account), own))}"
        else:
            yield gain
