"""Requests through the gateway: by host, weight, headers; and series through /federate."""

import collections

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from components.foundation.kubernetes import resources
from components.foundation.kubernetes.client import Cluster
from inference.plane.gateway import compiled
from inference.plane.launch import Plane
from inference.transport.incoming import Incoming
from inference.transport.limits import Budget, Limits
from tests.inference.plane.kube import route, serving


@pytest.fixture(scope="module")
def two(plane: Plane) -> Cluster:
    cluster = Cluster.connect(plane.environment())
    serving(cluster, "g-a", "sealed+s3://m/m/1")
    serving(cluster, "g-b", "sealed+s3://m/m/2")
    return cluster


def versions(plane: Plane, host: str, count: int, **headers: str) -> collections.Counter[str]:
    with httpx.Client(base_url=plane.gateway, headers={"host": host, **headers}) as client:
        replies = [client.post("/v2/models/m/infer", json={}) for _ in range(count)]
    return collections.Counter(
        r.json()["model_version"] if r.status_code == 200 else str(r.status_code) for r in replies
    )


def test_traffic_splits_near_the_weights(two: Cluster, plane: Plane) -> None:
    two.apply(route("split", {"g-a": 80, "g-b": 20}))

    seen = versions(plane, "split.localhost", 500)

    assert seen["1"] + seen["2"] == 500
    assert 70 <= seen["2"] <= 130  # 100 expected, standard deviation 9


def test_weight_nought_gets_nothing(two: Cluster, plane: Plane) -> None:
    two.apply(route("dark", {"g-a": 100, "g-b": 0}))

    assert versions(plane, "dark.localhost", 100) == {"1": 100}


def test_a_header_match_goes_before_the_rule_without(two: Cluster, plane: Plane) -> None:
    wanted = route("header", {"g-a": 1})
    matching = route("header", {"g-b": 1}, headers=[{"name": "x-slot", "value": "b"}])
    wanted["spec"]["rules"] += matching["spec"]["rules"]
    two.apply(wanted)

    assert versions(plane, "header.localhost", 5, **{"x-slot": "b"}) == {"2": 5}
    assert versions(plane, "header.localhost", 5) == {"1": 5}


def test_without_a_ready_backend_the_answer_is_503(two: Cluster, plane: Plane) -> None:
    two.apply(route("nobody", {"g-none": 1}))
    two.apply(route("weightless", {"g-a": 0}))

    assert versions(plane, "nobody.localhost", 2) == {"503": 2}
    assert versions(plane, "weightless.localhost", 2) == {"503": 2}


def test_an_unknown_host_is_404(two: Cluster, plane: Plane) -> None:
    assert versions(plane, "unknown.localhost", 1) == {"404": 1}


def test_the_route_is_marked_accepted(two: Cluster) -> None:
    two.apply(route("accepted", {"g-a": 1}))

    parents = two.get(resources.HTTP_ROUTE, "accepted")["status"]["parents"]

    assert {c["type"]: c["status"] for c in parents[0]["conditions"]}["Accepted"] == "True"


def test_series_of_all_pods_come_with_their_service(two: Cluster, plane: Plane) -> None:
    two.apply(route("counted", {"g-a": 1}))
    versions(plane, "counted.localhost", 3)

    page = httpx.get(
        f"{plane.api}/federate", params={"match[]": 'inference_requests_total{model="m"}'}
    ).text
    samples = [s for family in text_string_to_metric_families(page) for s in family.samples]

    assert {s.labels["inferenceservice"] for s in samples} == {"g-a", "g-b"} & {
        s.labels["inferenceservice"] for s in samples
    }
    (mine,) = [s for s in samples if s.labels["inferenceservice"] == "g-a"]
    assert mine.value >= 3
    assert mine.labels["version"] == "1"


def test_other_series_are_left_out(two: Cluster, plane: Plane) -> None:
    page = httpx.get(f"{plane.api}/federate", params={"match[]": "other_total"}).text

    assert page == ""


@pytest.mark.parametrize(
    ("path", "wanted"),
    [("/v1", "exact"), ("/v1/x", "long"), ("/v1x", "all"), ("/", "all")],
)
def test_the_most_specific_path_wins(path: str, wanted: str) -> None:
    paths = {"all": ("PathPrefix", "/"), "long": ("PathPrefix", "/v1"), "exact": ("Exact", "/v1")}
    made = [
        route(name, {name: 1}, path={"type": kind, "value": value})
        for name, (kind, value) in paths.items()
    ]
    for one in made:
        one["metadata"]["namespace"] = "default"
        one["spec"]["hostnames"] = ["h"]

    rules = compiled(made)["h"]
    request = Incoming(Limits(), Budget(0))
    request.method, request.target = "GET", path.encode()
    first = next(backends for match, backends in rules if match.holds(request))

    assert first.draw() == f"{wanted}-predictor"
