import datetime
import timeit

import numpy as np
import pytest

from components.foundation.signature import Array
from inference.observer.observation import Prediction
from inference.observer.recent import Recent
from inference.observer.waiting import Waiting
from tests.inference.observer.observed import Dropped, prediction

NOW = datetime.datetime(2026, 7, 1, tzinfo=datetime.UTC)


def holding(**features: Array) -> Prediction:
    return Prediction(NOW, ("x",), features, np.zeros(1))


def test_takes_no_more_than_its_bytes_and_counts_the_newest(dropped: Dropped) -> None:
    size = prediction(10).held_bytes()
    waiting = Waiting(most=3 * size, dropped=dropped)

    for number in range(5):
        waiting.put(prediction(10, str(number)))

    assert dropped.rows == 20
    assert [one.names()[0] for one in waiting.take(1000)] == ["0-0", "1-0", "2-0"]
    waiting.put(prediction(10))
    assert dropped.rows == 20


def test_gives_the_oldest_and_about_as_many_rows_as_asked_for(dropped: Dropped) -> None:
    waiting = Waiting(most=1 << 20, dropped=dropped)
    for number in range(4):
        waiting.put(prediction(10, str(number)))

    assert [len(waiting.take(15)), len(waiting.take(1)), len(waiting.take(99))] == [2, 1, 1]
    assert waiting.take(1) == []


def test_what_comes_after_the_end_is_counted(dropped: Dropped) -> None:
    waiting = Waiting(most=1 << 20, dropped=dropped)
    waiting.close()
    waiting.put(prediction(4))

    assert dropped.rows == 4


def test_a_view_counts_all_that_it_keeps_alive() -> None:
    body = bytes(1_000_000)
    few = np.frombuffer(memoryview(body)[8:40], np.float32)

    assert holding(x=few).held_bytes() >= 1_000_000
    assert holding(x=np.zeros(1_000_000, np.int8)[:1]).held_bytes() >= 1_000_000
    assert holding(x=few, y=few[2:]).held_bytes() < 1_500_000
    assert holding(x=few.copy()).held_bytes() < 1_000


def test_texts_count() -> None:
    assert holding(x=np.array([b"x" * 1000] * 5, object)).held_bytes() > 5_000


@pytest.mark.parametrize("rows", [1, 10_000])
def test_putting_down_costs_next_to_nothing(rows: int, dropped: Dropped) -> None:
    waiting = Waiting(most=1 << 40, dropped=dropped)
    features = {f"f{number}": np.zeros(rows, np.float32) for number in range(8)}
    one = Prediction(NOW, lambda: (), features, np.zeros(rows))

    took = min(timeit.repeat(lambda: waiting.put(one), number=200, repeat=20)) / 200

    assert took < 20e-6  # a few microseconds on an idle machine, whatever the rows


def test_an_id_that_comes_again_is_not_fresh() -> None:
    recent = Recent(10)

    assert recent.fresh(["a", "b", "a"]) == [0, 1]
    assert recent.fresh(["b", "c"]) == [1]


def test_an_id_whose_row_was_lost_is_fresh_again() -> None:
    recent = Recent(10)
    recent.fresh(["a", "b"])

    recent.forget(["a"])

    assert recent.fresh(["a", "b"]) == [0]


def test_remembers_as_many_as_asked_and_is_bounded() -> None:
    recent = Recent(100)
    ids = [str(number) for number in range(1000)]
    for window in _tens(ids):
        recent.fresh(window)

    assert recent.fresh(ids[-100:]) == []
    assert len(recent.fresh(ids[:-200])) == 800


def _tens(ids: list[str]) -> list[list[str]]:
    return [ids[first : first + 10] for first in range(0, len(ids), 10)]
