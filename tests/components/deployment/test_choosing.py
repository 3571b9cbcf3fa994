"""Which backend is chosen, by what a cluster has and by what is asked for."""

import dataclasses

import pytest

from components.deployment.deploy.launch import Launch, launch
from components.deployment.route import Route
from components.deployment.slots import Capacity
from components.deployment.traffic import choosing, probing
from components.deployment.traffic.interface import Backend
from components.deployment.traffic.probing import Found
from components.foundation.errors import Refused, UserError
from components.foundation.kubernetes.resources import CONFIG_MAP, GATEWAY
from components.foundation.verdict import Verdict
from inference.plane.objects import Key
from tests.cluster.claims import BETTER, FIRST, uri
from tests.cluster.standin.offline import World
from tests.components.deployment import world as worlds

WHOLE = Found(True, True, "", True, True, "Standard", True)


@pytest.mark.parametrize(
    ("changes", "wanted", "expected"),
    [
        ({}, None, Backend.TWINS),
        ({"mode": "Serverless"}, None, Backend.TWINS),
        ({"gateway": None}, None, Backend.TWINS),
        ({"routes": False}, None, Backend.KNATIVE),
        ({}, Backend.CANARY, Backend.CANARY),
        ({"gateway_api": None}, Backend.CANARY, Backend.CANARY),
        ({}, Backend.KNATIVE, Backend.KNATIVE),
    ],
)
def test_a_backend_is_chosen_by_what_is_there(
    changes: dict[str, object], wanted: Backend | None, expected: Backend
) -> None:
    assert choosing.choice(dataclasses.replace(WHOLE, **changes), wanted) is expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "wanted", "said"),
    [
        ({"routes": False, "knative": False}, None, "Gateway API is not installed"),
        ({"kserve": False}, None, "KServe is not installed"),
        ({"gateway": "there is no Gateway default/falaj"}, None, "there is no Gateway"),
        ({"routes": False, "autoscaler": False}, None, "config-autoscaler"),
        ({"routes": False}, Backend.TWINS, "Gateway API is not installed"),
        ({"routes": False}, Backend.CANARY, "Gateway API is not installed"),
        ({"gateway_api": False}, Backend.CANARY, "enableGatewayApi false"),
        ({"knative": False}, Backend.KNATIVE, "Knative Serving is not installed"),
        ({"autoscaler": False}, Backend.KNATIVE, "config-autoscaler"),
    ],
)
def test_what_the_cluster_cannot_carry_is_refused_with_the_reason(
    changes: dict[str, object], wanted: Backend | None, said: str
) -> None:
    with pytest.raises(Refused, match=said) as caught:
        choosing.choice(dataclasses.replace(WHOLE, **changes), wanted)  # type: ignore[arg-type]
    assert caught.value.code == "backend-missing"


def test_what_a_cluster_has_is_probed(world: World) -> None:
    assert probing.probe(world.cluster, "falaj") == Found(True, True, "", True, True, None, None)

    world.server.absent.update({"gateway.networking.k8s.io", "serving.knative.dev"})
    found = probing.probe(world.cluster, "falaj")
    assert (found.routes, found.gateway, found.knative) == (False, None, False)


@pytest.mark.parametrize("namespace", ["kserve", "kubeflow"])
def test_kserve_s_settings_are_read_where_they_may_be(world: World, namespace: str) -> None:
    settings = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "inferenceservice-config"},
        "data": {
            "deploy": '{"defaultDeploymentMode": "Serverless"}',
            "ingress": '{"enableGatewayApi": false}',
        },
    }
    key = Key(CONFIG_MAP, namespace, "inferenceservice-config")
    world.server.objects.create(key, settings, manager="me")

    found = probing.probe(world.cluster, "falaj")
    assert (found.mode, found.gateway_api, found.unseen) == ("Serverless", False, ())

    path = f"/api/v1/namespaces/{namespace}/configmaps/inferenceservice-config"
    world.server.forbidden.add(path)
    found = probing.probe(world.cluster, "falaj")
    assert (found.mode, found.gateway_api, found.unseen) == (None, None, (path,))


def test_settings_that_are_found_leave_nothing_unseen(world: World) -> None:
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {}}
    key = Key(CONFIG_MAP, "kubeflow", "inferenceservice-config")
    world.server.objects.create(key, settings, manager="me")
    world.server.forbidden.add(probing.SETTINGS[0])

    assert probing.probe(world.cluster, "falaj").unseen == ()


def test_what_is_not_known_is_left_out_of_evidence() -> None:
    nothing = Found(True, False, None, False, None, None, None)

    assert nothing.to_dict() == {
        "kserve": True,
        "routes": False,
        "knative": False,
        "conditions": {},
        "unseen": [],
    }


def test_what_a_gateway_says_of_itself_is_kept(world: World) -> None:
    gateway = world.api.get(GATEWAY, "falaj")
    told = [{"type": "Accepted", "status": "True"}, {"type": "Programmed", "status": "Unknown"}]
    world.api.tell(GATEWAY, gateway, {"conditions": told})

    found = probing.probe(world.cluster, "falaj")

    assert found.to_dict()["conditions"] == {"Accepted": "True", "Programmed": "Unknown"}
    world.server.forbidden.add("/apis/gateway.networking.k8s.io/v1/namespaces/")
    assert probing.probe(world.cluster, "falaj").unseen == (GATEWAY.path("default", "falaj"),)


@pytest.mark.parametrize(
    ("backend", "changes", "said"),
    [
        (Backend.TWINS, {}, "says nothing against"),
        (Backend.TWINS, {"gateway": None}, "Gateway was not seen"),
        (Backend.CANARY, {}, "KServe says that it makes routes"),
        (Backend.CANARY, {"gateway_api": None}, "its route is read back instead"),
        (Backend.KNATIVE, {}, "autoscaler are there"),
        (Backend.KNATIVE, {"autoscaler": None}, "autoscaler were not seen"),
    ],
)
def test_why_a_backend_is_chosen_is_said(
    backend: Backend, changes: dict[str, object], said: str
) -> None:
    assert said in choosing.why(backend, dataclasses.replace(WHOLE, **changes))  # type: ignore[arg-type]


def test_a_gateway_that_is_not_there_is_told_before_anything_is_made(world: World) -> None:
    how = Launch(Route("m", "m.localhost", "elsewhere/gate"), Capacity())

    with pytest.raises(Refused, match="there is no Gateway elsewhere/gate"):
        launch(world.cluster, uri("m", FIRST), how, tell=list[Verdict]().append)


def test_a_model_keeps_its_backend(world: World) -> None:
    worlds.stage(world, Backend.CANARY).launch("m", FIRST)

    with pytest.raises(Refused, match="is carried by canary, asked for twins") as caught:
        worlds.stage(world, Backend.TWINS).launch("m", BETTER)
    assert caught.value.code == "backend-changed"
    auto = dataclasses.replace(worlds.stage(world, Backend.CANARY), backend="auto")
    assert auto.launch("m", BETTER)[0].slot == "b"


def test_a_backend_that_is_unknown_is_told_with_those_that_are(world: World) -> None:
    stage = dataclasses.replace(worlds.stage(world, Backend.TWINS), backend="knativ")

    with pytest.raises(UserError, match="did you mean 'knative'"):
        stage.launch("m", FIRST)
