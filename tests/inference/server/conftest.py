import json
import pathlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from inference.server.app import App
from inference.server.runtimes.onnx import Model
from inference.server.telemetry.metrics import Metrics
from tests.inference.models import write_model

Ask = Callable[..., httpx.Response]
INFER = "/v2/models/delays/infer"


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    return write_model(tmp_path / "model")


@pytest.fixture
def app(folder: pathlib.Path) -> Iterator[App]:
    model = Model.load(folder, name="delays")
    with ThreadPoolExecutor(2) as pool:
        yield App(model, Metrics("delays", model.version, "b"), pool, max_body=100_000)


@pytest.fixture
def ask(app: App) -> Ask:
    """Return what sends one request; a body makes it a POST."""
    import asyncio

    async def send(method: str, path: str, body: bytes | None, headers: Any) -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, content=body, headers=headers)

    def call(
        path: str, body: Any = None, *, method: str = "", headers: dict[str, str] | None = None
    ) -> httpx.Response:
        method = method or ("GET" if body is None else "POST")
        kind = {} if body is None else {"content-type": "application/json"}
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        return asyncio.run(send(method, path, data, {**kind, **(headers or {})}))

    return call
