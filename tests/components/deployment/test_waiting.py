"""Looks that come ever less often, and none after the time is up."""

import time

import pytest

from components.deployment import waiting


class Clock:
    """Time that passes only in sleep."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now, self.looks = 0.0, list[float]()
        patch.setattr(time, "monotonic", lambda: self.now)
        patch.setattr(time, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def look(self) -> float:
        self.looks.append(self.now)
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.mark.parametrize("comes", [0.0, 1.0, 10.0, 100.0])
def test_what_comes_is_seen_soon_for_the_time_it_took(clock: Clock, comes: float) -> None:
    seen = waiting.last(clock.look, enough=lambda now: now >= comes, seconds=300)

    assert comes <= seen <= comes * 1.1 + 0.3


def test_five_minutes_cost_no_more_than_two_hundred_looks(clock: Clock) -> None:
    waiting.last(clock.look, enough=lambda now: False, seconds=300)

    assert len(clock.looks) < 200


def test_the_last_look_is_when_the_time_is_up_and_not_after(clock: Clock) -> None:
    assert not waiting.until(lambda: clock.look() > 7, 7)

    assert clock.looks[-1] == pytest.approx(7)


def test_without_time_there_is_one_look(clock: Clock) -> None:
    assert not waiting.until(lambda: bool(clock.look()), 0)

    assert clock.looks == [0]
