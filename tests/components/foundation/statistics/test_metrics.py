import math

import numpy as np
import pytest

from components.foundation.errors import UserError
from components.foundation.statistics import metrics
from components.foundation.statistics.metrics import Calibration, Confusion, Losses, Scores

RANDOM = np.random.default_rng(7)
LABELS = RANDOM.integers(0, 2, 400)
SCORES = np.round(RANDOM.random(400), 2)  # two digits: many ties


def test_auc_is_the_share_of_pairs_in_order_with_ties_as_half() -> None:
    positive, negative = SCORES[LABELS == 1], SCORES[LABELS == 0]
    won = (positive[:, None] > negative).mean() + (positive[:, None] == negative).mean() / 2

    assert metrics.auc(LABELS, SCORES) == pytest.approx(won)


def test_auc_is_unknown_with_one_class() -> None:
    assert math.isnan(metrics.auc([1, 1], [0.2, 0.9]))
    assert Scores.of([1, 1], [0.2, 0.9]).to_dict()["auc"] is None


def test_losses_are_what_their_definitions_say() -> None:
    assert metrics.log_loss([1, 0], [0.8, 0.4]) == pytest.approx(
        -(math.log(0.8) + math.log(0.6)) / 2
    )
    assert metrics.brier([1, 0], [0.8, 0.4]) == pytest.approx((0.04 + 0.16) / 2)


def test_a_certain_wrong_score_costs_much_but_not_everything() -> None:
    assert 10 < metrics.log_loss([1], [0.0]) < 20


FIRST, SECOND = slice(0, 150), slice(150, None)


def test_losses_of_parts_add_up_to_those_of_the_whole() -> None:
    parts = Losses.of(LABELS[FIRST], SCORES[FIRST]) + Losses.of(LABELS[SECOND], SCORES[SECOND])

    assert parts.rows == 400
    assert parts.log_loss == pytest.approx(metrics.log_loss(LABELS, SCORES))
    assert parts.brier == pytest.approx(metrics.brier(LABELS, SCORES))


def test_confusions_of_parts_add_up_and_thresholds_do_not_mix() -> None:
    first, second = (Confusion.at(0.5, LABELS[part], SCORES[part]) for part in (FIRST, SECOND))

    assert first + second == Confusion.at(0.5, LABELS, SCORES)
    with pytest.raises(UserError, match="same threshold"):
        first + Confusion.at(0.6, LABELS, SCORES)


def test_calibrations_of_parts_add_up_and_bins_do_not_mix() -> None:
    first, second = (Calibration.of(LABELS[part], SCORES[part]) for part in (FIRST, SECOND))
    whole = Calibration.of(LABELS, SCORES)

    assert (first + second).rows == whole.rows
    assert (first + second).expected_error == pytest.approx(whole.expected_error)
    with pytest.raises(UserError, match="same bins"):
        first + Calibration.of(LABELS, SCORES, bins=3)


def test_a_score_at_the_threshold_is_called_positive() -> None:
    found = Confusion.at(0.5, [1, 0, 1, 0], [0.5, 0.5, 0.4, 0.4])

    assert found.matrix == [[1, 1], [1, 1]]
    assert found.precision == found.recall == found.accuracy == 0.5


def test_scores_that_keep_their_promise_have_no_calibration_error() -> None:
    labels = [1] * 3 + [0] * 7 + [1] * 8 + [0] * 2
    kept = Calibration.of(labels, [0.3] * 10 + [0.8] * 10)
    broken = Calibration.of(labels, [0.8] * 10 + [0.3] * 10)

    assert kept.expected_error == pytest.approx(0)
    assert broken.expected_error == pytest.approx(0.5)
    assert Calibration.from_dict(kept.to_dict()) == kept


@pytest.mark.parametrize(
    ("labels", "scores", "word"),
    [
        ([0, 1], [0.5], "shape"),
        ([0, 2], [0.5, 0.5], "neither 0 nor 1"),
        ([0, 1], [0.5, float("nan")], "without NaN"),
        ([0, 1], [0.5, 1.5], "sigmoid"),
    ],
    ids=["lengths", "label", "nan", "logit"],
)
def test_refuses_what_are_no_labels_or_probabilities(
    labels: list[int], scores: list[float], word: str
) -> None:
    with pytest.raises(UserError, match=word):
        Scores.of(labels, scores)
