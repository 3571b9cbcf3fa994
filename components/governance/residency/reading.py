"""Read what may be judged: Kubernetes objects, compiled pipelines, and which profile holds."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.foundation.errors import UserError, nearest
from components.foundation.kubernetes.objects import objects
from components.foundation.site import Site
from components.governance.residency import profiles

Thing = Mapping[str, Any]
LABEL = "falaj.example/residency"
_SITE = "falaj-site"  # the ConfigMap in which an installation says where it is
_COMPILED = {"pipelineInfo", "root"}  # what KFP's IR has and no Kubernetes object


@dataclass(frozen=True, slots=True)
class Given:
    """An object, where it was read, and the whole text it stands in."""

    source: str
    thing: Thing
    text: str = ""

    @property
    def is_site(self) -> bool:
        """Say whether it is one of our site files, which are no Kubernetes objects."""
        return "kind" in self.thing and "object_store" in self.thing


def read(texts: Iterable[tuple[str, str]]) -> list[Given]:
    """Read texts, each with the name to tell it by; what compiled pipelines say becomes an object.

    Raises:
        UserError: a text is no YAML, or a document in it no object.
    """
    return [Given(name, thing, text) for name, text in texts for thing in _things(text, name)]


def _things(text: str, name: str) -> Iterator[Thing]:
    pipeline: dict[str, Any] | None = None
    for thing in objects(text, name):
        if thing.keys() >= _COMPILED:
            pipeline = version(thing)
            yield pipeline
        elif "platforms" in thing and pipeline is not None:
            pipeline["spec"]["platformSpec"] = thing
        else:
            yield thing


def version(specification: Thing) -> dict[str, Any]:
    """Return the object that Kubernetes keeps of a compiled pipeline."""
    return {
        "apiVersion": "pipelines.kubeflow.org/v2beta1",
        "kind": "PipelineVersion",
        "metadata": {"name": specification["pipelineInfo"]["name"]},
        "spec": {"pipelineSpec": specification},
    }


@dataclass(frozen=True)
class Laws:
    """Which ResidencyProfile holds for which object.

    That of its namespace's label, and where no Namespace tells, `otherwise`.
    """

    known: Mapping[str, Thing]
    labels: Mapping[str, str]
    otherwise: str

    @classmethod
    def of(cls, given: Sequence[Given], asked: str | None = None) -> "Laws":
        """Gather Namespaces, ResidencyProfiles and the ConfigMap of the site from what is judged.

        Raises:
            UserError: no such profile as the one asked for.
        """
        things = [one.thing for one in given]
        known = profiles.all_by_name() | {
            _name(thing): thing for thing in things if thing.get("kind") == profiles.KIND
        }
        if asked is not None and asked not in known:
            raise UserError(
                f"profile {asked!r}; {nearest(asked, sorted(known))}", code="profile-unknown"
            )
        namespaces = (thing for thing in things if _is(thing, "Namespace"))
        labels = {_name(one): _labels(one).get(LABEL, "") for one in namespaces}
        return cls(known, labels, asked or _of_the_site(things) or profiles.STRICTEST)

    @classmethod
    def at(cls, site: Site) -> "Laws":
        """Hold everything to a site's own profile, with the hosts that it declares."""
        name = str(site.residency.profile)
        return cls(profiles.all_by_name() | {name: profiles.of_site(site)}, {}, name)

    def holding(self, thing: Thing) -> Thing:
        """Return the profile that holds for an object; an unknown label means the strictest."""
        namespace = thing.get("metadata", {}).get("namespace", "")
        name = self.labels.get(namespace, self.otherwise)
        return self.known.get(name) or self.known[profiles.STRICTEST]


def _is(thing: Thing, kind: str) -> bool:
    return thing.get("apiVersion") == "v1" and thing.get("kind") == kind


def _name(thing: Thing) -> str:
    return str(thing.get("metadata", {}).get("name", ""))


def _labels(thing: Thing) -> Mapping[str, str]:
    return thing.get("metadata", {}).get("labels") or {}


def _of_the_site(things: Iterable[Thing]) -> str | None:
    sites = (one for one in things if _is(one, "ConfigMap") and _name(one) == _SITE)
    return next((one.get("data", {}).get("FALAJ_RESIDENCY") for one in sites), None)
