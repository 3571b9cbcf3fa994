"""What a build holds: for each team its namespace, its site, and what lies in it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Thing = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Team:
    """One namespace of an installation."""

    namespace: Thing
    things: list[Thing]

    @property
    def name(self) -> str:
        """The namespace's name."""
        return str(self.namespace["metadata"]["name"])

    @property
    def site(self) -> Mapping[str, str]:
        """What the site says to this team."""
        found: Mapping[str, str] = self.one("ConfigMap", "falaj-site")["data"]
        return found

    def one(self, kind: str, name: str) -> Thing:
        """Return the one object of that kind and name in the namespace."""
        return one(self.things, kind, name)


def teams(things: Iterable[Thing]) -> list[Team]:
    """Return the teams of an installation, in the order of their namespaces."""
    found = list(things)
    return [Team(one, list(_within(found, one))) for one in found if one["kind"] == "Namespace"]


def one(things: Iterable[Thing], kind: str, name: str) -> Thing:
    """Return the one object of that kind and name."""
    [found] = [t for t in things if t["kind"] == kind and t["metadata"]["name"] == name]
    return found


def title(thing: Thing) -> str:
    """Return kind, namespace if it is in one, and name."""
    where = [thing["metadata"][key] for key in ("namespace", "name") if key in thing["metadata"]]
    return "/".join([thing["kind"], *where])


def pods(value: Any) -> Iterator[Thing]:
    """Yield everything inside that has containers: pod templates, runtimes."""
    match value:
        case {"containers": list()}:
            yield value
        case {}:
            for part in value.values():
                yield from pods(part)
        case list():
            for part in value:
                yield from pods(part)


def containers(things: Iterable[Thing]) -> Iterator[Thing]:
    """Yield every container, whatever kind of object it is in."""
    for thing in things:
        for pod in pods(thing):
            yield from [*pod["containers"], *pod.get("initContainers", [])]
        if thing["kind"] == "ClusterStorageContainer":
            yield thing["spec"]["container"]


def scalars(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Yield every value that is no list and no mapping, as text, with its path."""
    match value:
        case {}:
            for key, part in value.items():
                yield from scalars(part, (*path, str(key)))
        case list():
            for number, part in enumerate(value):
                yield from scalars(part, (*path, str(number)))
        case _:
            yield ".".join(path), str(value)


def _within(things: Iterable[Thing], namespace: Thing) -> Iterator[Thing]:
    name = namespace["metadata"]["name"]
    return (thing for thing in things if thing["metadata"].get("namespace") == name)
