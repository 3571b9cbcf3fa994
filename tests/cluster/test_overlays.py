"""Each overlay on a real API server: applied strictly, applied again, admitted, and taken away."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from components.deployment import slots
from components.deployment.slots import Capacity, Version
from components.foundation.sealing.uri import ReleaseUri
from tests.cluster import applied
from tests.cluster.ground import rest
from tests.cluster.ground.clients import Access
from tests.manifests.conftest import OVERLAYS, ROOT, objects_of
from tests.manifests.teams import containers, one, pods, teams

Thing = dict[str, Any]
Names = frozenset[tuple[str, str, str]]

STRICT = ("apply", "--server-side", "--validate=strict")
OURS = "app.kubernetes.io/part-of=falaj"
DATA = {"PersistentVolume"}  # what may be left when an installation is taken away
FOLLOWS = {"EndpointSlice", "Endpoints"}  # a Service's; they go a moment after it
_OF_RUNTIMES = {"annotations", "supportedModelFormats", "protocolVersions", "multiModel", "labels"}
RELEASE = ReleaseUri.parse("sealed+s3://falaj-models/delays/0123456789ab")


@dataclass(frozen=True)
class Installed:
    """An overlay that was applied once, and what kubectl said."""

    ground: Access
    overlay: str
    before: Names
    said: str
    warned: str

    @property
    def folder(self) -> str:
        return str(ROOT / "kustomize" / "overlays" / self.overlay)

    @property
    def things(self) -> list[Thing]:
        return objects_of(self.folder)

    def apply(self, *how: str) -> tuple[str, str]:
        done = self.ground.kubectl(*STRICT, "-k", self.folder, *how)
        return done.stdout, done.stderr


@pytest.fixture(scope="module", params=OVERLAYS)
def installed(request: pytest.FixtureRequest, ground: Access) -> Iterator[Installed]:
    """An overlay, applied; what a test has not deleted is deleted after the last."""
    blank = Installed(ground, str(request.param), ours(ground), "", "")
    said, warned = blank.apply()
    yield Installed(ground, blank.overlay, blank.before, said, warned)
    homes = [team.name for team in teams(blank.things)]
    if ground.kubectl("get", "namespace", *homes, "--ignore-not-found").stdout:
        ground.kubectl("delete", "--ignore-not-found", "-k", blank.folder)


def test_the_first_apply_takes_every_object_and_warns_of_nothing(installed: Installed) -> None:
    assert installed.warned == ""
    assert len(installed.said.splitlines()) == len(installed.things)
    assert all(line.endswith("serverside-applied") for line in installed.said.splitlines())


def test_a_second_apply_changes_nothing(installed: Installed) -> None:
    before = applied.versions(installed.ground, installed.things)

    said, warned = installed.apply("-o", "json")

    assert warned == ""
    assert applied.changed(before, said) == []


def test_every_pod_is_admitted_where_restricted_is_enforced(installed: Installed) -> None:
    made = list(_made_of(installed.things))

    done = _try(installed.ground, made)

    assert len(made) >= 4
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == len(made)


def test_the_same_pods_as_root_are_not(installed: Installed) -> None:
    made = list(_made_of(installed.things))
    for container in containers(made):
        container["securityContext"] = {**container["securityContext"], "runAsNonRoot": False}

    done = _try(installed.ground, made)

    assert done.stdout == ""
    assert done.stderr.count('violates PodSecurity "restricted:latest"') == len(made)


def test_taking_it_away_leaves_data_and_nothing_else(installed: Installed) -> None:
    ground = installed.ground
    homes = [team.name for team in teams(installed.things)]
    applied.apply(ground, [thing for home in homes for thing in _of_use(home)])
    assert {kind for kind, _, _ in ours(ground) - installed.before} > DATA

    # kubectl would wait for one object after the other, and ask five times a second.
    ground.kubectl("delete", "-k", installed.folder, "--wait=false")
    ground.kubectl("wait", "namespace", *homes, "--for=delete", "--timeout=120s")

    def only_data() -> bool:
        return {kind for kind, _, _ in ours(ground) - installed.before} == DATA

    applied.until(only_data, "nothing of ours is left but data")
    volumes = [f"kept-{home}" for home in homes]
    for volume in volumes:
        assert "deletionTimestamp" not in ground.get("pv", volume)["metadata"]
    ground.kubectl("delete", "pv", *volumes)


def ours(ground: Access) -> Names:
    """List every object with our label, of whatever type the API server serves."""
    with ground.client() as api, ThreadPoolExecutor(4) as pool:
        types = [one for one in rest.types(api) if {"list", "delete"} <= one.verbs]
        found = pool.map(lambda one: rest.names(api, one, OURS), types)
        return frozenset(one for names in found for one in names if one[0] not in FOLLOWS)


def _try(ground: Access, made: list[Thing]) -> Any:
    """Ask the API server whether it would take these pods, without having them run."""
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": made})
    return ground.kubectl("create", "--dry-run=server", "-f", "-", input=listed, check=False)


def _made_of(things: list[Thing]) -> Iterator[Thing]:
    """Make a pod of every template, in the namespace it is for; of a runtime, in the first.

    A runtime's pod has the opener in front, as KServe puts it there.
    """
    [first, *_] = teams(things)
    opener = one(things, "ClusterStorageContainer", "falaj-sealed")["spec"]["container"]
    for thing in things:
        for number, spec in enumerate(pods(thing)):
            home = thing["metadata"].get("namespace", first.name)
            name = f"try-{thing['kind']}-{thing['metadata']['name']}-{number}".lower()
            metadata = {"name": name, "namespace": home}
            before = [opener] if thing["kind"] == "ClusterServingRuntime" else []
            whole = {**_of_pod(spec), "initContainers": before}
            yield {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": whole}


def _of_pod(spec: Thing) -> Thing:
    """Leave out what only a runtime has and no pod."""
    return {key: part for key, part in spec.items() if key not in _OF_RUNTIMES}


def _of_use(home: str) -> Iterator[Thing]:
    """What use leaves behind: a served model, a claim, and the volume that it is bound to."""
    labels = {"app.kubernetes.io/part-of": "falaj"}
    service = slots.manifest(Version("a", RELEASE), Capacity())
    yield {**service, "metadata": {**service["metadata"], "namespace": home}}
    size = {"storage": "1Gi"}
    yield {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"kept-{home}", "labels": labels},
        "spec": {
            "capacity": size,
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "",
            "claimRef": {"name": "kept", "namespace": home},
            "csi": {"driver": "csi.falaj.example", "volumeHandle": home},
        },
    }
    yield {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "kept", "namespace": home, "labels": labels},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "",
            "volumeName": f"kept-{home}",
            "resources": {"requests": size},
        },
    }
