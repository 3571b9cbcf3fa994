"""What deployments are tried on: a plane with stand-in pods, and an API server in memory."""

from collections.abc import Iterator

import pytest

from components.foundation.kubernetes.client import Cluster
from inference.plane import launch
from inference.plane.launch import Plane
from tests.cluster.standin.offline import World
from tests.components.deployment import world as worlds
from tests.inference.plane.kube import STUBS


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with launch.running(tmp_path_factory.mktemp("plane"), {}, options=STUBS) as running:
        yield running


@pytest.fixture
def cluster(plane: Plane) -> Cluster:
    return Cluster.connect(plane.environment())


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return worlds.made(monkeypatch)
