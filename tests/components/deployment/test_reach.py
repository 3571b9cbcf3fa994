"""What a Gateway, and the API server in place of the network, say of a version."""

import dataclasses
from typing import Any

import pytest

from components.deployment import reach, readiness
from components.deployment.route import Route
from components.deployment.slots import Version
from components.foundation.errors import Refused
from components.foundation.kubernetes.client import Cluster
from components.foundation.kubernetes.resources import GATEWAY, Resource
from components.foundation.sealing.uri import ReleaseUri
from tests.components.foundation.kubernetes.playing import playing, says

CHAMPION = Version("a", ReleaseUri("falaj-models", "m", "aaaaaaaaaa00"))
CANDIDATE = Version("b", ReleaseUri("falaj-models", "m", "bbbbbbbbbb00"))
ROUTE = Route("m", "m.team.example", "infra/shared")
READY = "/v2/models/m/versions/aaaaaaaaaa00/ready"


@dataclasses.dataclass(frozen=True)
class Known:
    """An API that has a route, and a Gateway that listens where it says; or no right to read it."""

    weights: dict[Version, int]
    port: int | None
    address: str = "127.0.0.1"
    protocol: str = "HTTP"
    namespace: str = "team"

    def find(self, resource: Resource, name: str) -> dict[str, Any]:
        if resource != GATEWAY:
            return ROUTE.manifest(self.weights)
        assert (self.namespace, name) == ("infra", "shared")
        if self.port is None:
            raise Refused("gateways: no right", code="x")
        listener = {"port": self.port, "protocol": self.protocol}
        status = {"addresses": [{"value": self.address}]} if self.address else {}
        return {"spec": {"listeners": [listener]}, "status": status}


def astray(known: Known, version: Version = CHAMPION) -> str:
    return reach.astray(known, version)  # type: ignore[arg-type]  # as much as is asked of one


@pytest.mark.parametrize(
    ("status", "told"),
    [(200, ""), (401, ""), (403, ""), (404, "answers 404"), (503, "answers 503")],
    ids=["it serves", "a token", "a right", "no such host", "nothing behind it"],
)
def test_a_gateway_says_whether_requests_come_through(status: int, told: str) -> None:
    with playing(says(status)) as (gateway, script):
        seen = astray(Known({CHAMPION: 100, CANDIDATE: 0}, _port(gateway)))

    assert script.asked[0][1] == READY
    assert told in seen
    assert bool(seen) is bool(told)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"port": None}, id="it may not be read"),
        pytest.param({"address": ""}, id="it has no address"),
        pytest.param({"protocol": "HTTPS"}, id="it listens for TLS alone"),
        pytest.param({"port": 9}, id="the network keeps it from us"),
        pytest.param({"weights": {CHAMPION: 90, CANDIDATE: 10}}, id="not all of it is ours"),
        pytest.param({"weights": {CANDIDATE: 100}}, id="none of it is ours"),
        pytest.param({"weights": {}}, id="it leads nowhere yet"),
    ],
)
def test_what_cannot_be_known_from_here_is_no_reason_to_wait(changes: dict[str, Any]) -> None:
    with playing(says(503)) as (gateway, _):
        known = dataclasses.replace(Known({CHAMPION: 100}, _port(gateway)), **changes)

        assert astray(known) == ""


def _port(cluster: Cluster) -> int:
    return int(cluster.api.configuration.host.rpartition(":")[2])


@pytest.mark.parametrize(
    ("status", "answers"), [(200, True), (503, False), (403, False)], ids=["yes", "no", "no right"]
)
def test_from_outside_the_api_server_asks_for_us(status: int, answers: bool) -> None:
    with playing(says(status, {"message": "x"})) as (cluster, script):
        url = "http://m-a-predictor.team.svc.cluster.invalid"

        assert reach.through_api(cluster, url, CHAMPION) is answers

    service = "/api/v1/namespaces/team/services/m-a-predictor:80/proxy"
    assert script.asked == [("GET", f"{service}{READY}", None)]


@pytest.mark.parametrize("service", ["m-a-transformer", "m-v2-predictor", "m-predictor-00002"])
def test_it_asks_the_service_that_the_backend_names(service: str) -> None:
    with playing(says(200, {})) as (cluster, script):
        url = f"http://{service}.team.svc.cluster.invalid"

        assert readiness.served(cluster, url, CHAMPION)

    [(_, path, _)] = script.asked
    assert f"/services/{service}:80/proxy/" in path


def test_where_the_name_is_known_the_api_server_is_not_asked() -> None:
    with playing(says(200, {})) as (cluster, script):
        assert not reach.through_api(cluster, "http://127.0.0.1:9", CHAMPION)

    assert script.asked == []
