"""Where a model is reached: said once, it stays."""

import pytest

from components.deployment import route
from components.deployment.deploy.launch import Launch
from components.deployment.route import Route
from components.deployment.slots import Capacity
from components.foundation.errors import UserError
from components.foundation.kubernetes.resources import HTTP_ROUTE
from tests.cluster.standin.offline import World

MINE = Route("m", "m.bank.example", "ingress/public")


def to(world: World, host: str = "", gateway: str = "") -> Route:
    return route.to(world.cluster, "m", host=host, gateway=gateway)


def test_at_first_the_site_says_where(world: World) -> None:
    assert to(world) == Route("m", "m.default.localhost", "falaj")


def test_what_was_said_before_stays_unless_it_is_said_otherwise(world: World) -> None:
    """Else a deployment that leaves the host out would take it from the champion."""
    MINE.split(world.cluster, {})

    assert to(world) == MINE
    assert to(world, host="n.bank.example") == Route("m", "n.bank.example", "ingress/public")
    assert to(world, gateway="falaj") == Route("m", "m.bank.example", "falaj")


def test_a_route_of_that_name_that_is_not_ours_says_nothing(world: World) -> None:
    theirs = MINE.manifest({})
    theirs["metadata"]["labels"] = {}
    world.api.post(HTTP_ROUTE, theirs)

    assert to(world).host == "m.default.localhost"


def test_a_route_that_no_longer_says_where_is_told(world: World) -> None:
    broken = MINE.manifest({})
    del broken["spec"]["hostnames"]
    world.api.post(HTTP_ROUTE, broken)

    with pytest.raises(UserError, match="HTTPRoute m: names no Gateway or no host") as caught:
        route.of(world.cluster, "m")
    assert caught.value.code == "rollout-edited"


@pytest.mark.parametrize(("least", "most"), [(3, 2), (-1, 2), (0, 0)])
def test_replicas_that_cannot_be_are_refused_before_anything_is_made(least: int, most: int) -> None:
    with pytest.raises(UserError, match=f"replicas {least} to {most}"):
        Launch(MINE, Capacity(least, most))
