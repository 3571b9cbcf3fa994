"""On the plane, deploy and roll_out keep every claim that they keep on a real API server."""

import contextlib
import threading
from collections.abc import Callable, Iterator

import httpx
import pytest

from components.foundation.kubernetes.client import Cluster
from inference.plane.launch import Plane
from tests.cluster import claims
from tests.cluster.claims import Stage


@pytest.fixture
def stage(plane: Plane, cluster: Cluster) -> Stage:
    @contextlib.contextmanager
    def traffic(model: str) -> Iterator[None]:
        """Send requests until the block ends."""
        over = threading.Event()

        def send() -> None:
            host = {"host": f"{model}.localhost"}
            with httpx.Client(base_url=plane.gateway, headers=host) as client:
                while not over.is_set():
                    client.post("/v2/models/m/infer", json={})

        thread = threading.Thread(target=send)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    return Stage(cluster, cluster, plane.api, traffic)


@pytest.mark.parametrize("claim", claims.ALL, ids=claims.NAMES)
def test_on_the_plane(claim: Callable[[Stage, str], None], stage: Stage, unique: str) -> None:
    claim(stage, unique)
