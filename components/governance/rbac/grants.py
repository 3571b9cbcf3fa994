"""The words of Kubernetes RBAC: rules, roles, bindings, and those who hold them."""

import enum
import functools
import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self

from components.foundation.errors import UserError, nearest

ALL = "*"
EVERYWHERE = ""  # the namespace of what is bound for the whole cluster


class Kind(enum.StrEnum):
    """What can hold a right; roles stand here for whoever they will be bound to."""

    USER = "User"
    GROUP = "Group"
    ACCOUNT = "ServiceAccount"
    ROLE = "Role"
    CLUSTER_ROLE = "ClusterRole"


_CALLERS = (Kind.USER, Kind.GROUP, Kind.ACCOUNT)
_STRANGERS = ("system:anonymous", "system:unauthenticated", "system:authenticated")


@dataclass(frozen=True, slots=True, order=True)
class Identity:
    """Somebody or something with rights; `Identity.parse(str(x)) == x`."""

    kind: Kind
    name: str
    namespace: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        kind, _, name = text.partition(" ")
        if kind not in set(Kind) or not name:
            kinds = nearest(kind, [str(one) for one in Kind])
            raise UserError(
                f"identity {text!r}: expected a kind, a blank and a name such as "
                f"'ServiceAccount falaj/falaj-runner'; {kinds}",
                code="rbac-malformed",
            )
        namespace, slash, rest = name.partition("/")
        namespaced = slash and kind in (Kind.ACCOUNT, Kind.ROLE)
        return cls(Kind(kind), rest, namespace) if namespaced else cls(Kind(kind), name)

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}{'/' if self.namespace else ''}{self.name}"

    def groups(self) -> Iterator["Identity"]:
        """Yield the groups that the API server puts it in by itself."""
        if self.kind is Kind.ACCOUNT:
            yield Identity(Kind.GROUP, "system:serviceaccounts")
            yield Identity(Kind.GROUP, f"system:serviceaccounts:{self.namespace}")
        if self.kind in _CALLERS and self.name not in _STRANGERS:
            yield Identity(Kind.GROUP, "system:authenticated")


@dataclass(frozen=True, slots=True)
class Rule:
    """What one rule allows; without names, every object."""

    groups: frozenset[str]
    resources: frozenset[str]
    verbs: frozenset[str]
    names: frozenset[str] = frozenset()

    def says(self, question: "Question") -> bool:
        """Tell whether verb and name are allowed, where group and resource are known to be."""
        verb = ALL in self.verbs or question.verb in self.verbs
        return verb and (not self.names or question.name in self.names)


@dataclass(frozen=True, slots=True)
class Selector:
    """Which ClusterRoles an aggregated one is made of, by their labels."""

    equal: tuple[tuple[str, str], ...]
    expressions: tuple[tuple[str, str, frozenset[str]], ...] = ()

    def chooses(self, labels: Mapping[str, str]) -> bool:
        same = all(labels.get(key) == value for key, value in self.equal)
        return same and all(_holds(labels, *one) for one in self.expressions)


def _holds(labels: Mapping[str, str], key: str, operator: str, values: frozenset[str]) -> bool:
    match operator:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case _:
            known = nearest(operator, ["In", "NotIn", "Exists", "DoesNotExist"])
            raise UserError(
                f"aggregationRule: operator {operator!r}; {known}", code="rbac-malformed"
            )


@dataclass(frozen=True, slots=True)
class Question:
    """May somebody do `verb` to a resource; a subresource is written `pods/log`."""

    verb: str
    group: str
    resource: str
    namespace: str = EVERYWHERE
    name: str = ""


@dataclass(frozen=True)
class Role:
    """A Role, or a ClusterRole where `namespace` is empty."""

    name: str
    rules: tuple[Rule, ...] = field(hash=False)  # the name tells roles apart, and is short
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    selectors: tuple[Selector, ...] = field(default=(), hash=False)

    @property
    def identity(self) -> Identity:
        """Stand for whoever this will be bound to."""
        kind = Kind.ROLE if self.namespace else Kind.CLUSTER_ROLE
        return Identity(kind, self.name, self.namespace)

    def allows(self, question: Question) -> bool:
        """Tell whether any rule says yes; RBAC has no rule that says no."""
        _, slash, subresource = question.resource.partition("/")
        resources = (question.resource, ALL, *([f"*/{subresource}"] if slash else []))
        return any(
            rule.says(question)
            for group in {question.group, ALL}
            for resource in resources
            for rule in self._about.get((group, resource), ())
        )

    @functools.cached_property
    def _about(self) -> Mapping[tuple[str, str], list[Rule]]:
        """The rules by group and resource: a question is asked of a few, not of all."""
        found: dict[tuple[str, str], list[Rule]] = defaultdict(list)
        for rule in self.rules:
            for key in itertools.product(rule.groups, rule.resources):
                found[key].append(rule)
        return found


@dataclass(frozen=True, slots=True)
class Binding:
    """A RoleBinding, or a ClusterRoleBinding where `namespace` is empty."""

    name: str
    namespace: str
    role: Identity
    subjects: tuple[Identity, ...]


@dataclass(frozen=True, slots=True)
class Grant:
    """A role that somebody holds in one namespace or everywhere."""

    role: Role
    namespace: str


@dataclass(frozen=True, slots=True)
class Manifests:
    """All that is said about access in what was read."""

    roles: tuple[Role, ...] = ()
    bindings: tuple[Binding, ...] = ()
    accounts: tuple[Identity, ...] = ()
