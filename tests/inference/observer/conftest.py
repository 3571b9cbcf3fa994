from collections.abc import Iterator

import pytest

from tests.inference.observer.observed import Dropped, Stalled


@pytest.fixture
def dropped() -> Dropped:
    return Dropped()


@pytest.fixture
def stalled() -> Iterator[Stalled]:
    sink = Stalled()
    yield sink
    sink.go.set()
