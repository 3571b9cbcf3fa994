"""Upstreams at work, and routers in front of them."""

import asyncio
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from inference.router.app import App
from inference.router.config import Config
from inference.router.metrics import Metrics
from inference.router.subject import Subjects
from inference.router.table import Table
from inference.transport.client import Bounds
from inference.transport.messages import Handler, Reply, Request
from tests.inference.transport.conftest import Running, Serve, serve

__all__ = ["Route", "document", "echo", "serve"]

Route = Callable[..., Running]


def document(ports: Mapping[str, int], **weights: float) -> dict[str, Any]:
    """Return a configuration; weights are the same unless they are named."""
    even = 100 / len(ports)
    return {
        "experiment": "delays",
        "variants": [
            {"name": name, "url": f"http://127.0.0.1:{port}", "weight": weights.get(name, even)}
            for name, port in ports.items()
        ],
    }


def write(path: pathlib.Path, said: Any) -> pathlib.Path:
    path.write_text(json.dumps(said))
    return path


def echo(name: str, *, seconds: float = 0) -> Handler:
    """Return a handler that tells who it is and what it was sent."""

    async def handler(request: Request) -> Reply:
        await asyncio.sleep(seconds)
        told = {
            "upstream": name,
            "method": request.method,
            "target": request.target.decode(),
            "headers": {k.decode(): v.decode() for k, v in request.headers.items()},
            "body": bytes(await request.body()).decode(),
        }
        more = ((b"set-cookie", b"one=1"), (b"set-cookie", b"two=2"), (b"x-falaj-variant", b"?"))
        return Reply(200, json.dumps(told).encode(), headers=more)

    return handler


@pytest.fixture
def route(serve: Serve) -> Route:
    """Return what starts a router in front of upstreams by name."""

    def start(said: dict[str, Any], *, forced_by: bytes = b"", **bounds: Any) -> Running:
        app: App | None = None
        subjects = Subjects(b"x-user-id", b"falaj-subject", secure=False, days=1)
        most = bounds.pop("most", 1 << 20)

        async def handler(request: Request) -> Reply:
            nonlocal app
            if app is None:  # connections belong to the loop that serves
                table = Table.of(Config.parse(said), bounds=Bounds(**bounds), tls=None)
                app = App(table, subjects=subjects, metrics=Metrics(), forced_by=forced_by)
            return await app(request)

        return serve(handler, body_bytes=most)

    return start
