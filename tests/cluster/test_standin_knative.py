"""In Knative mode the stand-in splits by revisions, as KServe was seen to do."""

import functools
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.ground.clients import Access
from tests.cluster.standin import scene as scenes
from tests.cluster.standin.knative import KSERVICE
from tests.cluster.standin.scene import Scene
from tests.inference.plane import kube
from tests.inference.plane.kube import service

FIRST, SECOND = "sealed+s3://falaj-models/m/1", "sealed+s3://falaj-models/m/2"
until = functools.partial(kube.until, seconds=45)


@pytest.fixture
def scene(ground: Access, namespace: str) -> Iterator[Scene]:
    scenes.load_runtimes(ground)
    with scenes.set_in(ground, namespace) as found:
        yield found


@pytest.fixture
def knative(ground: Access) -> Iterator[None]:
    """The settings of Knative, without which KServe makes nothing."""
    ground.kubectl("create", "namespace", "knative-serving", check=False)
    where = ("-n", "knative-serving", "configmap", "config-autoscaler")
    ground.kubectl("create", *where)
    yield
    ground.kubectl("delete", *where)


def as_knative(scene: Scene, uri: str, **predictor: Any) -> None:
    wanted = service("r", uri, **predictor)
    wanted["metadata"]["annotations"] = {"serving.kserve.io/deploymentMode": "Knative"}
    scene.cluster.apply(wanted)


def targets(scene: Scene) -> list[tuple[str, int]]:
    """Return who gets how much: `latest`, or the name of a revision."""
    found = scene.api.find(KSERVICE, "r-predictor")
    traffic = found["spec"]["traffic"] if found else []
    return [(t.get("revisionName", "latest"), t["percent"]) for t in traffic]


def rolled_out(scene: Scene) -> tuple[str, str]:
    told = scene.status("r").get("components", {}).get("predictor", {})
    return told.get("latestRolledoutRevision", ""), told.get("previousRolledoutRevision", "")


def test_13_knative_splits_between_the_latest_and_what_was_rolled_out(
    scene: Scene, knative: None
) -> None:
    old, new = "r-predictor-00001", "r-predictor-00002"
    as_knative(scene, FIRST)
    until(lambda: rolled_out(scene) == (old, ""))
    assert targets(scene) == [("latest", 100)]

    as_knative(scene, SECOND, canaryTrafficPercent=10)
    until(lambda: targets(scene) == [("latest", 10), (old, 90)])
    as_knative(scene, SECOND, canaryTrafficPercent=0)
    until(lambda: targets(scene) == [("latest", 0), (old, 100)])
    assert rolled_out(scene) == (old, "")

    as_knative(scene, SECOND)
    until(lambda: rolled_out(scene) == (new, old))
    assert targets(scene) == [("latest", 100)]


def test_13_without_knatives_settings_nothing_is_made_or_said(scene: Scene) -> None:
    as_knative(scene, FIRST)
    scene.cluster.apply(service("s", FIRST))
    until(lambda: scene.ready("s"))

    assert scene.api.list(KSERVICE) == []
    assert scene.status("r") == {}
