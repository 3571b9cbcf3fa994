"""Which kinds an API server has, from what it says of itself."""

import pathlib

from components.foundation.kubernetes import discovery, resources
from components.foundation.kubernetes.client import Cluster
from components.foundation.kubernetes.resources import Resource
from inference.plane import launch
from tests.components.foundation.kubernetes.playing import playing, says
from tests.inference.plane.kube import STUBS


def test_a_kind_is_there_in_a_version_of_its_group() -> None:
    things = [{"name": "configmaps", "kind": "ConfigMap"}, {"name": "pods/status", "kind": "Pod"}]
    with playing(says(200, {"resources": things})) as (cluster, script):
        assert discovery.serves(cluster, resources.CONFIG_MAP)
        assert not discovery.serves(cluster, Resource("v1", "Pod", "pods"))  # its status alone

    assert script.asked[0][1] == "/api/v1"


def test_a_group_that_is_not_there_has_no_kinds() -> None:
    with playing(says(404)) as (cluster, script):
        assert discovery.kinds(cluster, "serving.knative.dev/v1") == frozenset()

    assert script.asked[0][1] == "/apis/serving.knative.dev/v1"


def test_the_plane_says_what_it_has(tmp_path: pathlib.Path) -> None:
    with launch.running(tmp_path, {}, options=STUBS) as plane:
        cluster = Cluster.connect(plane.environment())

        assert discovery.serves(cluster, resources.HTTP_ROUTE)
        assert not discovery.serves(cluster, Resource("serving.knative.dev/v1", "Service", "s"))
        assert discovery.release(cluster).startswith("v1.34")
