"""What deploy and roll_out claim, with each backend, on a stand-in in memory."""

from collections.abc import Callable

import pytest

from components.deployment.traffic.interface import Backend
from tests.cluster import claims
from tests.cluster.claims import Stage
from tests.cluster.standin.offline import World
from tests.components.deployment import world as worlds


@pytest.mark.parametrize("claim", claims.EVERYWHERE, ids=lambda claim: claim.__name__)
@pytest.mark.parametrize("backend", Backend)
def test_in_memory(claim: Callable[[Stage, str], None], world: World, backend: Backend) -> None:
    claim(worlds.stage(world, backend), "m")
