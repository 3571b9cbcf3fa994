"""Metrics of numbers, by hand, and their intervals by simulation."""

import math

import numpy as np
import pytest

from components.foundation.errors import UserError
from components.foundation.statistics import bootstrap, regression
from components.foundation.statistics.regression import Errors, Resampled, Scores


def _rows(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rents: the model explains 80 % of their variance and promises 2 too much."""
    truth = random.normal(100, 20, count)
    return truth + random.normal(0, 10, count), truth + 2


def test_metrics_of_four_rows_are_those_of_a_pencil() -> None:
    found = Scores.of([1, 2, 3, 6], [2, 2, 2, 2])

    assert (found.mae, found.bias, found.median_absolute_error) == (1.5, -1.0, 1.0)
    assert found.rmse == pytest.approx(math.sqrt(18 / 4))
    assert found.r2 == pytest.approx(1 - 18 / 14)
    assert found.wape == pytest.approx(6 / 12)
    assert (found.rows, found.mean_label, found.mean_score) == (4, 3.0, 2.0)


def test_the_mean_explains_nothing_and_the_truth_everything() -> None:
    labels, _ = _rows(np.random.default_rng(1), 500)

    assert Scores.of(labels, np.full(500, labels.mean())).r2 == pytest.approx(0, abs=1e-12)
    assert Scores.of(labels, labels).r2 == 1.0


def test_labels_that_are_all_equal_have_no_r2() -> None:
    assert Scores.of([5, 5], [4, 6]).to_dict()["r2"] is None


def test_large_labels_of_small_spread_keep_their_digits() -> None:
    labels, predictions = _rows(np.random.default_rng(2), 1000)
    moved = Scores.of(labels + 1e9, predictions + 1e9)

    assert moved.r2 == pytest.approx(Scores.of(labels, predictions).r2, abs=1e-6)


def test_days_add_up_to_the_month() -> None:
    labels, predictions = _rows(np.random.default_rng(3), 900)
    parts = [slice(0, 200), slice(200, 900)]
    one, two = (Errors.of(labels[p], predictions[p], centre=100.0) for p in parts)

    whole, scores = one + two, Scores.of(labels, predictions)

    for name in ("mae", "rmse", "r2", "bias", "wape", "mean_label"):
        assert getattr(whole, name) == pytest.approx(getattr(scores, name)), name
    with pytest.raises(UserError, match="same centre"):
        one + Errors.of(labels, predictions, centre=99.0)


@pytest.mark.parametrize("rows", [1, 2, 61], ids=["one", "even", "odd"])
def test_replicates_are_metrics_of_resampled_rows(rows: int) -> None:
    labels, predictions = _rows(np.random.default_rng(4), rows)
    prepared = Resampled.of(labels, predictions)
    (found,) = bootstrap.replicate([prepared], rows, resamples=7, seed=3)
    draws = np.random.default_rng(3).integers(0, rows, size=(7, rows))

    for place, draw in enumerate(draws):
        wanted = Scores.of(labels[draw], predictions[draw])
        for name, values in found.items():
            assert values[place] == pytest.approx(getattr(wanted, name), nan_ok=True), name


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    """95 % intervals of 400 rows, 200 trials each: 178 to 199 cover (p < 0.002 outside)."""
    random = np.random.default_rng(5)
    truth = Scores.of(*_rows(random, 2_000_000))
    names = ("mae", "rmse", "r2", "bias", "median_absolute_error", "wape")
    held = dict.fromkeys(names, 0)
    for trial in range(200):
        labels, predictions = _rows(random, 400)
        prepared = Resampled.of(labels, predictions)
        (found,) = bootstrap.replicate([prepared], 400, resamples=200, seed=trial)
        for name in names:
            interval = bootstrap.interval(0.0, found[name])
            held[name] += interval.low <= getattr(truth, name) <= interval.high

    assert all(178 <= count <= 199 for count in held.values()), held


def test_rows_of_a_group_give_wider_intervals_when_they_err_together() -> None:
    random = np.random.default_rng(6)
    groups = np.repeat(np.arange(40), 25)
    labels = random.normal(size=1000) + 2 * random.normal(size=40)[groups]
    prepared = [Resampled.of(labels, np.zeros(1000))]
    (alone,) = bootstrap.replicate(prepared, 1000, resamples=200, seed=1)
    (together,) = bootstrap.replicate(prepared, 1000, resamples=200, seed=1, groups=groups)

    assert np.std(together["bias"]) > 2 * np.std(alone["bias"])


def test_deciles_hold_every_row_once_in_order_of_prediction() -> None:
    labels, predictions = _rows(np.random.default_rng(7), 1000)
    found = regression.deciles(labels, predictions)

    assert [one.rows for one in found] == [100] * 10
    assert [one.predicted for one in found] == sorted(one.predicted for one in found)
    assert np.mean([one.observed for one in found]) == pytest.approx(labels.mean())
    assert all(one.low < one.predicted - one.observed < one.high for one in found)


def test_equal_predictions_share_a_bin() -> None:
    found = regression.deciles([1, 2, 3, 4], [5, 5, 5, 5])

    assert [(one.rows, one.observed) for one in found] == [(4, 2.5)]


def test_a_band_covers_the_labels_within_it() -> None:
    assert regression.covered([1, 2, 3, 9], [2, 2, 2, 2], (-1, 1)) == 0.75


@pytest.mark.parametrize("strange", [math.nan, math.inf])
def test_refuses_a_number_that_is_none(strange: float) -> None:
    with pytest.raises(UserError, match="a label is missing or infinite"):
        Scores.of([1, strange], [1, 1])
    with pytest.raises(UserError, match="a prediction is missing or infinite"):
        Scores.of([1, 1], [1, strange])
