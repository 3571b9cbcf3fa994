"""What a check is: questions about an installation, each of which has an answer of one sentence."""

import enum
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol, Self

from components.deployment.traffic.probing import Found
from components.foundation.site import Site
from components.governance.doctor import web
from components.governance.doctor.web import Page

Thing = Mapping[str, Any]


class Status(enum.StrEnum):
    """How a thing stands; only what is missing makes an installation unfit."""

    WELL = "ok"
    WARNING = "warning"
    MISSING = "missing"
    UNKNOWN = "cannot be known"


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found, and what to do where it is not what was expected."""

    status: Status
    got: str
    expected: str = ""
    do: str = ""

    @classmethod
    def well(cls, got: str) -> Self:
        return cls(Status.WELL, got)

    @classmethod
    def warning(cls, got: str, *, expected: str, do: str) -> Self:
        return cls(Status.WARNING, got, expected, do)

    @classmethod
    def missing(cls, got: str, *, expected: str, do: str) -> Self:
        return cls(Status.MISSING, got, expected, do)

    @classmethod
    def unknown(cls, why: str, *, do: str) -> Self:
        return cls(Status.UNKNOWN, why, do=do)


@dataclass(frozen=True, slots=True)
class Finding:
    """An answer, and to which question of which check."""

    check: str
    what: str
    status: Status
    got: str
    expected: str
    do: str

    def __str__(self) -> str:
        expected = f"expected {self.expected}" if self.expected else ""
        return f"{self.what}: " + "; ".join(filter(None, (self.got, expected, self.do)))

    def to_dict(self) -> dict[str, str]:
        return {**asdict(self), "status": str(self.status)}


@dataclass(frozen=True, slots=True)
class Right:
    """What an identity may be allowed to do; `name` where only one object is meant."""

    verb: str
    group: str
    resource: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.on}"

    @property
    def on(self) -> str:
        """Name the kind, and the object if one is meant."""
        return f"{self.resource}.{self.group}".rstrip(".") + f" {self.name}".rstrip()


class Api(Protocol):
    """What is asked of a Kubernetes API; every question changes nothing there."""

    def find(self, path: str) -> Thing | None:
        """Return what is at a path, or None; raises Refused where the identity may not look."""

    def heading(self, path: str) -> Thing | None:
        """Return an object's metadata, and nothing of what it holds, or None."""

    def may(self, right: Right, *, account: str = "") -> bool:
        """Say whether the identity, or a service account of the namespace, has a right there."""

    def identity(self) -> str:
        """Return what the API server calls whoever asks."""

    def traffic(self, gateway: str) -> Found:
        """Return what there is to split traffic with."""


@dataclass(frozen=True)
class Installation:
    """What is looked at, and from where.

    Attributes:
        environment: whether this is a pod, and where credentials of the object store may be.
        must: the tasks that the identity itself has to be able to do.
        fetch: gets a page; raises InfrastructureError where nothing answers.
        several_users: asks Kubeflow Pipelines, as who we are there, whether it is for several
            users; raises an error of ours where it does not say.
    """

    api: Api
    site: Site
    environment: Mapping[str, str]
    must: frozenset[str]
    fetch: Callable[[str], Page]
    several_users: Callable[[], bool]

    @property
    def namespace(self) -> str:
        return self.site.namespace

    def core(self, plural: str, name: str) -> str:
        """Return the path of an object of the namespace, of Kubernetes' own first kinds."""
        return f"/api/v1/namespaces/{self.namespace}/{plural}/{name}"

    def out_of_reach(self, url: str) -> Answer | None:
        """Say so of a name inside the cluster, unless this is a pod; None where it can be asked."""
        if "KUBERNETES_SERVICE_HOST" in self.environment or not web.is_inside(url):
            return None
        do = "run the doctor in a pod, or name in the site file an address that leads there too"
        return Answer.unknown(f"{url} is a name inside the cluster", do=do)


@dataclass(frozen=True, slots=True)
class Question:
    """One thing to look at.

    Asking raises Refused where the identity may not look. There is no answer where another
    question has said already that what this one is about is not there.
    """

    what: str
    ask: Callable[[Installation], Answer | None]


Check = Callable[[Installation], Iterator[Question]]
