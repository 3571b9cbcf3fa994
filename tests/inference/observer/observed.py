"""Predictions, and sinks that misbehave, for the observer's tests."""

import datetime
import json
import pathlib
import threading
import time
from collections.abc import Callable, Iterable

import numpy as np

from components.foundation.errors import InfrastructureError
from inference.observer.limits import Limits
from inference.observer.observation import Prediction, Source

SOURCE = Source("delays", "0123456789ab", "a")
QUICK = Limits(part_seconds=0.02, retry_seconds=0.01, longest_retry_seconds=0.02, close_seconds=3)


def prediction(rows: int = 1, name: str = "x") -> Prediction:
    return Prediction(
        datetime.datetime(2026, 7, 1, 12, 30, tzinfo=datetime.UTC),
        tuple(f"{name}-{row}" for row in range(rows)),
        {"delay": np.full(rows, 1.5, np.float32), "carrier": np.arange(rows, dtype=np.int64)},
        np.full(rows, 0.25, np.float32),
    )


class Dropped:
    def __init__(self) -> None:
        self.rows = 0

    def __call__(self, rows: int) -> None:
        self.rows += rows


class Kept:
    """A sink that keeps what it is given, once it has failed a few times."""

    destination = "kept"

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.parts: dict[str, bytes] = {}
        self.writes = 0

    def write(self, name: str, data: bytes) -> None:
        self.writes += 1
        if self.writes <= self.failures:
            raise InfrastructureError("the object store did not answer", code="x")
        assert self.parts.setdefault(name, data) == data, "a part changed under its name"

    @property
    def ids(self) -> list[str]:
        return ids_in(self.parts.values())


class Stalled(Kept):
    """A sink that does not come back until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def write(self, name: str, data: bytes) -> None:
        self.go.wait()
        super().write(name, data)


def ids_in(parts: Iterable[bytes]) -> list[str]:
    return [json.loads(line)["id"] for part in parts for line in part.splitlines()]


def on_disk(folder: pathlib.Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def wait_until(condition: Callable[[], bool], *, seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "in vain"
        time.sleep(0.01)
