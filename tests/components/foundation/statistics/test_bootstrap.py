from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from components.foundation.errors import UserError
from components.foundation.statistics import bootstrap, metrics, ranking
from components.foundation.statistics.bootstrap import Replicates


def _rows(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    chance = 1 / (1 + np.exp(1 - random.normal(size=count)))
    return (random.random(count) < chance).astype(float), chance


def _replicate(labels: ArrayLike, models: Sequence[ArrayLike], **how: Any) -> list[Replicates]:
    y = np.asarray(labels, dtype=np.float64)
    prepared = [ranking.Resampled.of(y, np.asarray(m, dtype=np.float64)) for m in models]
    return bootstrap.replicate(prepared, y.size, **how)


def test_replicates_are_metrics_of_resampled_rows() -> None:
    labels, scores = _rows(1, 60)
    (found,) = _replicate(labels, [scores], resamples=5, seed=3)
    random = np.random.default_rng(3)
    draws = random.integers(0, 60, size=(5, 60))

    for place, draw in enumerate(draws):
        assert found["auc"][place] == pytest.approx(metrics.auc(labels[draw], scores[draw]))
        assert found["log_loss"][place] == pytest.approx(
            metrics.log_loss(labels[draw], scores[draw])
        )
        assert found["brier"][place] == pytest.approx(metrics.brier(labels[draw], scores[draw]))


def test_the_same_seed_gives_the_same_resamples_whatever_the_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    labels, scores = _rows(2, 100)
    (first,) = _replicate(labels, [scores], resamples=20, seed=1)
    monkeypatch.setattr(bootstrap, "_CELLS", 300)
    (second,) = _replicate(labels, [scores], resamples=20, seed=1)

    np.testing.assert_allclose(first["auc"], second["auc"])


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    """95 % intervals of log loss, 200 trials: between 180 and 199 cover (p < 0.002 outside)."""
    labels, scores = _rows(3, 1_000_000)
    truth = metrics.log_loss(labels, scores)
    covered = 0
    for trial in range(200):
        some = slice(trial * 400, (trial + 1) * 400)
        (found,) = _replicate(labels[some], [scores[some]], resamples=200, seed=trial)
        interval = bootstrap.interval(0.0, found["log_loss"])
        covered += interval.low <= truth <= interval.high

    assert 180 <= covered <= 199


def test_paired_differences_are_narrower_than_the_models_apart() -> None:
    labels, scores = _rows(4, 2000)
    worse = np.clip(scores + 0.02, 0, 1)
    one, two = _replicate(labels, [scores, worse], resamples=200, seed=1)

    assert np.std(one["log_loss"] - two["log_loss"]) < np.std(one["log_loss"]) / 3


def test_rows_that_vary_together_give_wider_intervals() -> None:
    random = np.random.default_rng(5)
    groups = np.repeat(np.arange(40), 50)
    luck = random.normal(size=40)[groups]
    labels = (random.random(2000) < 1 / (1 + np.exp(-luck))).astype(float)
    scores = np.full(2000, 0.5) + random.normal(scale=0.001, size=2000)
    (alone,) = _replicate(labels, [scores + labels * 0.1], resamples=200, seed=1)
    (together,) = _replicate(labels, [scores + labels * 0.1], resamples=200, seed=1, groups=groups)

    assert np.std(together["brier"]) > 2 * np.std(alone["brier"])


def test_resamples_of_one_class_are_left_out_of_an_interval() -> None:
    labels, scores = [1, 0, 0], [0.9, 0.1, 0.2]
    (found,) = _replicate(labels, [scores], resamples=50, seed=1)

    assert np.isnan(found["auc"]).any()
    assert bootstrap.interval(1.0, found["auc"]).to_dict() == {"estimate": 1, "low": 1, "high": 1}


def test_refuses_to_resample_nothing() -> None:
    with pytest.raises(UserError, match="0 rows"):
        bootstrap.replicate([], 0, resamples=10, seed=1)
