"""Apply whole folders of manifests as an administrator would, and see what came of it."""

import copy
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import yaml

from tests.cluster.ground.clients import Access
from tests.manifests.conftest import built

Thing = dict[str, Any]

STRICT = ("apply", "--server-side", "--validate=strict", "-f", "-")
_SECONDS = 60.0
_REVISION = "deployment.kubernetes.io/revision"  # a controller's, a moment after an apply


def concern(name: str, namespace: str) -> list[Thing]:
    """Return the objects of a folder, the namespaced ones in another namespace."""
    return list(moved(yaml.safe_load_all(built(f"manifests/{name}")), namespace))


def moved(things: Iterable[Thing], namespace: str) -> Iterator[Thing]:
    for thing in things:
        other = copy.deepcopy(thing)
        if "namespace" in other["metadata"]:
            other["metadata"]["namespace"] = namespace
        yield other


def apply(ground: Access, things: list[Thing]) -> str:
    """Apply strictly, server-side; return what kubectl warned of."""
    return ground.kubectl(*STRICT, input=yaml.safe_dump_all(things)).stderr


def refused(ground: Access, things: list[Thing]) -> list[str]:
    """Apply what should be refused, all of it; return what was said of each."""
    done = ground.kubectl(*STRICT, input=yaml.safe_dump_all(things), check=False)
    assert done.stdout == "", f"accepted: {done.stdout}"
    return [line for line in done.stderr.splitlines() if line.startswith("Error")]


def changed_by_applying(ground: Access, things: list[Thing]) -> list[str]:
    """Apply what has been applied; return what kubectl warned of and which objects changed."""
    before = versions(ground, things)
    done = ground.kubectl(*STRICT, "-o", "json", input=yaml.safe_dump_all(things))
    return done.stderr.splitlines() + changed(before, done.stdout)


def changed(before: Mapping[str, str], said: str) -> list[str]:
    """Return what an apply made another, by its own answer: controllers may undo it at once."""
    return [name for name, version in _read(said).items() if before.get(name) != version]


def versions(ground: Access, things: list[Thing]) -> dict[str, str]:
    """Return what changes when an object is written to, but not when its status is."""
    asked = yaml.safe_dump_all(things)
    return _read(ground.kubectl("get", "-f", "-", "-o", "json", input=asked).stdout)


def _read(said: str) -> dict[str, str]:
    found = json.loads(said)
    return {_name(one): _version(one) for one in found.get("items", [found])}


def _name(thing: Thing) -> str:
    metadata = thing["metadata"]
    return "/".join([metadata.get("namespace", ""), thing["kind"], metadata["name"]])


def _version(thing: Thing) -> str:
    """What a write makes another: marks, and a generation, or all that is no status."""
    metadata = thing["metadata"]
    marks = {key: metadata.get(key) for key in ("uid", "labels", "generation")}
    annotations = metadata.get("annotations", {}).items()
    marks["annotations"] = {key: said for key, said in annotations if key != _REVISION}
    if "generation" in metadata:
        return json.dumps(marks, sort_keys=True)
    if "status" not in thing:
        return str(metadata["resourceVersion"])
    rest = {key: value for key, value in thing.items() if key not in ("metadata", "status")}
    return json.dumps({**rest, "metadata": marks}, sort_keys=True)


@contextmanager
def restricted(ground: Access, name: str, concerns: Sequence[str]) -> Iterator[str]:
    """A namespace in which Pod Security enforces `restricted`, with some concerns applied."""
    labels = {
        "app.kubernetes.io/part-of": "falaj",
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/warn": "restricted",
    }
    metadata = {"name": name, "labels": labels}
    apply(ground, [{"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}])
    things = [thing for one in concerns for thing in concern(one, name)]
    try:
        apply(ground, things)
        yield name
    finally:
        ground.kubectl("delete", "namespace", name, "--wait=false")
        everywhere = yaml.safe_dump_all(t for t in things if "namespace" not in t["metadata"])
        ground.kubectl("delete", "--ignore-not-found", "--wait=false", "-f", "-", input=everywhere)


def deployment(namespace: str, name: str, template: Thing, replicas: int = 1) -> Thing:
    """Return a Deployment of a template, as a controller of somebody else's would make it."""
    app = {"app": template["metadata"]["labels"]["app"]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"replicas": replicas, "selector": {"matchLabels": app}, "template": template},
    }


def until(ask: Callable[[], Any], what: str) -> Any:
    """Ask until there is an answer; return it."""
    deadline = time.monotonic() + _SECONDS
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"not in {_SECONDS:g} s: {what}"
        time.sleep(0.3)
    return answer
