"""Answer what the API server's authorizer would: may somebody do this, here, to that?"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from components.governance.rbac.grants import (
    ALL,
    EVERYWHERE,
    Grant,
    Identity,
    Kind,
    Manifests,
    Question,
    Role,
    Rule,
)

_ADMIN = Role("cluster-admin", (Rule(*[frozenset({ALL})] * 3),))  # every API server makes it


@dataclass(frozen=True, slots=True)
class Rights:
    """What a set of grants allows."""

    grants: tuple[Grant, ...]

    def allows(self, question: Question) -> bool:
        return any(role.allows(question) for role in self.roles(question.namespace))

    def roles(self, namespace: str) -> frozenset[Role]:
        """Return the roles that count in a namespace."""
        return frozenset(
            grant.role for grant in self.grants if grant.namespace in (EVERYWHERE, namespace)
        )


@dataclass(frozen=True)
class Access:
    """Who holds which roles, by a set of manifests, aggregation done.

    Attributes:
        held: what each identity holds by bindings of its own.
        accounts: the service accounts of each namespace, bound or not.
        unbound: roles that nobody holds yet.
        unknown: who is bound to a role that was not among what was read.
    """

    held: Mapping[Identity, tuple[Grant, ...]]
    accounts: Mapping[str, tuple[Identity, ...]]
    unbound: tuple[Role, ...]
    unknown: tuple[tuple[Identity, Identity, str], ...]

    @classmethod
    def of(cls, manifests: Manifests) -> "Access":
        """Resolve every binding to its role."""
        roles = {role.identity: role for role in expand((_ADMIN, *manifests.roles))}
        held: dict[Identity, dict[Grant, None]] = defaultdict(dict)
        unknown = []
        for binding in manifests.bindings:
            for subject in binding.subjects:
                if role := roles.get(binding.role):
                    held[subject][Grant(role, binding.namespace)] = None
                else:
                    unknown.append((subject, binding.role, binding.namespace))
        bound = {binding.role for binding in manifests.bindings} | {_ADMIN.identity}
        unbound = tuple(role for key, role in roles.items() if key not in bound)
        resolved = {who: tuple(grants) for who, grants in held.items()}
        return cls(resolved, _by_namespace(manifests, resolved), unbound, tuple(unknown))

    def rights(self, who: Identity) -> Rights:
        """Return what somebody may do, by itself and by the groups it is always in."""
        own = self.held.get(who, ())
        shared = [grant for group in who.groups() for grant in self.held.get(group, ())]
        return Rights((*own, *shared))

    def with_unbound(self) -> "Access":
        """Let each role that nobody holds be held by a stand-in with its name."""
        standing = {
            role.identity: (Grant(role, role.namespace or EVERYWHERE),) for role in self.unbound
        }
        return replace(self, held={**self.held, **standing})


def _by_namespace(
    manifests: Manifests, held: Mapping[Identity, Sequence[Grant]]
) -> Mapping[str, tuple[Identity, ...]]:
    found: dict[str, dict[Identity, None]] = defaultdict(dict)
    for who in (*manifests.accounts, *held):
        if who.kind is Kind.ACCOUNT:
            found[who.namespace][who] = None
    return {namespace: tuple(sorted(accounts)) for namespace, accounts in found.items()}


def expand(roles: Iterable[Role]) -> tuple[Role, ...]:
    """Fill aggregated ClusterRoles with the rules of those that their selectors choose."""
    given = {role.identity: role for role in roles}
    parts = {
        role.identity: [
            other.identity
            for other in given.values()
            if not other.namespace and any(one.chooses(other.labels) for one in role.selectors)
        ]
        for role in given.values()
        if role.selectors
    }
    return tuple(
        replace(role, rules=_gathered(role, given, parts)) if role.selectors else role
        for role in given.values()
    )


def _gathered(
    role: Role, given: Mapping[Identity, Role], parts: Mapping[Identity, Sequence[Identity]]
) -> tuple[Rule, ...]:
    """Collect rules along the selectors; an aggregate may be part of another, or of itself."""
    seen: dict[Identity, None] = {role.identity: None}
    waiting = [role.identity]
    while waiting:
        for part in parts.get(waiting.pop(), ()):
            if part not in seen:
                seen[part] = None
                waiting.append(part)
    return tuple(dict.fromkeys(rule for key in seen for rule in given[key].rules))
