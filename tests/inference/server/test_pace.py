"""What a batch costs: a line that is found again, and never below zero."""

import math
import random

import pytest

from inference.server.pace import Pace


def learned(fixed: float, each: float, sizes: list[int], *, noise: float = 0.0) -> Pace:
    pace, chance = Pace(), random.Random(7)  # noqa: S311 - nothing secret
    for rows in sizes:
        pace.learn(rows, (fixed + each * rows) * chance.uniform(1 - noise, 1 + noise))
    return pace


@pytest.mark.parametrize(("fixed", "each"), [(0.01, 0.002), (0.0, 0.002), (0.01, 0.0)])
def test_a_line_is_found_again(fixed: float, each: float) -> None:
    sizes = random.Random(1).choices(range(1, 100), k=200)  # noqa: S311 - nothing secret

    pace = learned(fixed, each, sizes, noise=0.05)

    assert pace.seconds(10) == pytest.approx(fixed + 10 * each, rel=0.15)
    assert pace.seconds(80) == pytest.approx(fixed + 80 * each, rel=0.15)


def test_batches_of_one_size_say_nothing_of_others_but_their_mean() -> None:
    pace = learned(0.01, 0.001, [20] * 50)

    assert pace.seconds(20) == pytest.approx(0.03)
    assert pace.seconds(40) == pytest.approx(0.06)


def test_what_was_learned_of_sizes_outlasts_a_time_of_one_size() -> None:
    pace = learned(0.01, 0.001, [*range(1, 100), *[50] * 300])

    assert pace.seconds(10) == pytest.approx(0.02, rel=0.1)


def test_a_cost_that_changes_is_learned_anew() -> None:
    pace = learned(0.01, 0.001, list(range(1, 100)))
    for rows in range(1, 200):
        pace.learn(rows % 90 + 1, 0.05 + 0.002 * (rows % 90 + 1))

    assert pace.seconds(50) == pytest.approx(0.15, rel=0.1)


def test_the_rows_for_a_time_take_that_time() -> None:
    pace = learned(0.01, 0.002, list(range(1, 50)))

    assert pace.seconds(pace.rows(0.2)) == pytest.approx(0.2)


def test_a_batch_is_worth_growing_while_its_fixed_cost_counts() -> None:
    assert learned(0.01, 0.001, list(range(1, 50))).worth() == pytest.approx(200, rel=0.05)
    assert learned(0.0, 0.001, list(range(1, 50))).worth() == 16
    assert learned(0.01, 0.0, list(range(1, 50))).worth() > 1e4


def test_before_the_first_batch_nothing_is_held_against_anybody() -> None:
    assert Pace().seconds(100) == 0
    assert Pace().rows(0.001) == Pace().worth() == math.inf


def test_no_cost_is_below_zero_where_larger_batches_happened_to_be_faster() -> None:
    pace = Pace()
    for rows, seconds in [(1, 0.05), (10, 0.02), (20, 0.01)] * 10:
        pace.learn(rows, seconds)

    assert pace.seconds(1) >= 0
    assert pace.seconds(1000) >= pace.seconds(1)
