"""What a check is: questions about an installation, each of which has an answer of one sentence."""

import enum
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from components.deployment.traffic.probing import Found
from components.foundation.site import Site

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


@dataclass(frozen=True, slots=True)
class Question:
    """One thing to look at; asking raises Refused where the identity may not look."""

    what: str
    ask: Callable[[], Answer]


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


@dataclass(frozen=True, slots=True)
class Page:
    """What a web server answered."""

    status: int
    text: str


@dataclass(frozen=True)
class Installation:
    """What is looked at, and from where.

    Attributes:
        environment: where credentials of the object store may be.
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


Check = Callable[[Installation], Iterator[Question]]


def well(got: str) -> Answer:
    return Answer(Status.WELL, got)


def warning(got: str, *, expected: str, do: str) -> Answer:
    return Answer(Status.WARNING, got, expected, do)


def missing(got: str, *, expected: str, do: str) -> Answer:
    return Answer(Status.MISSING, got, expected, do)


def unknown(why: str, *, do: str) -> Answer:
    return Answer(Status.UNKNOWN, why, "", do)
