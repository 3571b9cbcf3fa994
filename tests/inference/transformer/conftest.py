"""A store in memory, a predictor at work, and transformers between them."""

import contextlib
import http.client
import json
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from components.foundation.signature import Tensor
from inference.server.security.tokens import AllowAnonymous, Gate
from inference.transformer.app import App
from inference.transformer.lookup import Entities, Lookups
from inference.transformer.metrics import Metrics
from inference.transformer.predictor import Pin, Predictor
from inference.transport.client import Bounds, Client, Origin
from inference.transport.messages import Reply, Request
from tests.inference.models import write_model
from tests.inference.processes import Process, served
from tests.inference.transport.conftest import Running, Serve, serve

__all__ = ["serve"]

MODEL = "delays"
KNOWN: Mapping[str, Mapping[str, Any]] = {
    "AA1": {"delay": 0.5, "carrier": 1},
    "BB2": {"delay": -2.0, "carrier": 2},
    "no delay": {"delay": None, "carrier": 0},
}


@dataclass
class Memory:
    """A store that knows a few flights, as slow as it is told."""

    seconds: float = 0
    keys: Sequence[Tensor] = (Tensor("flight_id", "BYTES"),)
    features: Sequence[str] = ("delay", "carrier", "unused")
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def lookup(self, entities: Entities, features: Sequence[str]) -> dict[str, list[Any]]:
        self.asked.append(tuple(features))
        time.sleep(self.seconds)
        rows = [KNOWN.get(entity["flight_id"], {}) for entity in entities]
        return {name: [row.get(name) for row in rows] for name in features}


@dataclass(frozen=True)
class Asked:
    """A transformer that is asked over HTTP."""

    port: int

    def __call__(
        self, path: str, body: Any = None, *, method: str = "", **headers: str
    ) -> tuple[int, Any, Mapping[str, str]]:
        sent = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(client):
            client.request(method or ("GET" if sent is None else "POST"), path, sent, named)
            answer = client.getresponse()
            told = {name.lower(): value for name, value in answer.getheaders()}
            raw = answer.read()
        is_json = told.get("content-type") == "application/json"
        return answer.status, json.loads(raw) if is_json else raw, told

    def infer(self, *flights: str, **more: Any) -> tuple[int, Any, Mapping[str, str]]:
        return self(f"/v2/models/{MODEL}/infer", about(*flights, **more))


Transform = Callable[..., Asked]


def about(*flights: str, **more: Any) -> dict[str, Any]:
    keys = {"name": "flight_id", "datatype": "BYTES", "shape": [len(flights)]}
    return {"inputs": [{**keys, "data": list(flights)}], **more}


@pytest.fixture(scope="session")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder: pathlib.Path = write_model(tmp_path_factory.mktemp("transformer") / "model")
    with served(folder, name=MODEL) as running:
        yield running


@pytest.fixture(scope="session")
def version(predictor: Process) -> str:
    _, told, _ = Asked(predictor.http)(f"/v2/models/{MODEL}")
    [version] = told["versions"]
    return str(version)


@pytest.fixture
def transform(serve: Serve) -> Transform:
    """Return what starts a transformer in front of a port."""

    def start(
        port: int,
        *,
        expected: str | None,
        source: Memory | None = None,
        lookup_seconds: float = 2,
        threads: int = 2,
        queue: int = 8,
        features: Mapping[str, str] | None = None,
        gate: Gate | None = None,
    ) -> Asked:
        app: App | None = None

        async def handler(request: Request) -> Reply:
            nonlocal app
            if app is None:  # its connections belong to the loop that serves
                client = Client(Origin("127.0.0.1", port), Bounds())
                app = App(
                    MODEL,
                    lookups=Lookups(source or Memory(), threads=threads, queue=queue),
                    predictor=Predictor(client, model=MODEL, pin=Pin(expected, features)),
                    metrics=Metrics(MODEL, version=expected or ""),
                    gate=gate or AllowAnonymous(),
                    lookup_seconds=lookup_seconds,
                    seconds=5,
                )
            return await app(request)

        running: Running = serve(handler, body_bytes=1 << 20)
        return Asked(running.port)

    return start
