"""The claims are about probabilities, so they are tested by simulation with fixed seeds."""

import json
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from components.foundation.statistics import eprocess
from components.foundation.statistics.eprocess import Arm, Comparison

RUNS, INTERVALS = 4000, 150
ALPHA = 0.05


def paths(
    *, champion: NDArray[np.float64], candidate: NDArray[np.float64], share: float, rate: float = 20
) -> NDArray[np.float64]:
    """Simulate log e-values: one row a run, one column an interval."""
    rng = np.random.default_rng(7)
    shape = (RUNS, INTERVALS)
    n, m = rng.poisson(rate * (1 - share), shape), rng.poisson(rate * share, shape)
    k, j = rng.binomial(n, champion), rng.binomial(m, candidate)
    gained = eprocess.log_likelihood_ratios(n, k, m, j)
    return eprocess.mixed(np.cumsum(gained, axis=1))


def constant(rate: float) -> NDArray[np.float64]:
    return np.full(INTERVALS, rate)


@pytest.mark.parametrize("share", [0.1, 0.5], ids=["a tenth", "half"])
@pytest.mark.parametrize("rate", [0.005, 0.3], ids=["rare errors", "many errors"])
def test_equal_versions_are_blamed_at_most_as_often_as_alpha_at_any_time(
    share: float, rate: float
) -> None:
    log_e = paths(champion=constant(rate), candidate=constant(rate), share=share)

    blamed = (log_e.max(axis=1) >= math.log(1 / ALPHA)).mean()

    assert blamed <= ALPHA


def test_a_shared_incident_is_not_blamed_on_the_candidate() -> None:
    incident = constant(0.002)
    incident[40:80] = 0.5

    log_e = paths(champion=incident, candidate=incident, share=0.1)

    assert (log_e.max(axis=1) >= math.log(1 / ALPHA)).mean() <= ALPHA


def test_a_better_candidate_is_blamed_even_less() -> None:
    log_e = paths(champion=constant(0.05), candidate=constant(0.01), share=0.3)

    assert (log_e.max(axis=1) >= math.log(1 / ALPHA)).mean() <= ALPHA / 10


def test_ten_percent_errors_are_found_within_a_few_hundred_requests() -> None:
    log_e = paths(champion=constant(0.002), candidate=constant(0.1), share=0.1)

    crossed = log_e >= math.log(1 / ALPHA)
    first = np.where(crossed.any(axis=1), crossed.argmax(axis=1) + 1, INTERVALS + 1) * 20

    assert crossed.any(axis=1).mean() > 0.99
    assert np.median(first) <= 500


def test_the_confidence_sequence_covers_at_every_time() -> None:
    rng = np.random.default_rng(3)
    truth, looks, missed = 0.03, range(10, 800, 40), 0
    for _ in range(500):
        errors = np.cumsum(rng.random(800) < truth)
        arms = [Arm(n, int(errors[n - 1])) for n in looks]
        inside = (eprocess.bounds(arm, alpha=ALPHA) for arm in arms)
        missed += not all(low <= truth <= high for low, high in inside)

    assert missed / 500 <= ALPHA


def test_bounds_match_the_closed_form_without_errors() -> None:
    # 1 / ((n + 1) (1 - p)^n) = 1 / alpha solved for p.
    low, high = eprocess.bounds(Arm(200, 0), alpha=0.025)

    assert low == 0
    assert high == pytest.approx(1 - (0.025 / 201) ** (1 / 200), rel=1e-6)


def test_an_interval_without_one_arm_says_nothing() -> None:
    seen = Comparison().after(Arm(100, 50), Arm())

    assert seen.e_value == pytest.approx(1)


def test_harm_is_what_crosses_one_over_alpha() -> None:
    seen = Comparison().after(Arm(900, 1), Arm(100, 10))

    assert seen.harmful(alpha=0.05)
    assert not seen.harmful(alpha=0.5 / seen.e_value)


def test_the_difference_is_bounded_from_both_sides() -> None:
    low, high = Comparison().after(Arm(5000, 50), Arm(5000, 200)).difference(alpha=ALPHA)

    assert 0 < low < 0.03 < high < 0.06


def test_comparisons_survive_json() -> None:
    seen = Comparison().after(Arm(100, 1), Arm(10, 2)).after(Arm(50, 0), Arm(50, 3))

    assert Comparison.from_dict(json.loads(json.dumps(seen.to_dict()))) == seen


def test_refuses_more_errors_than_requests() -> None:
    with pytest.raises(ValueError, match="3 errors of 2 requests"):
        Arm(2, 3)


def test_the_statement_carries_the_numbers() -> None:
    said = Comparison().after(Arm(900, 9), Arm(100, 1)).statement(alpha=ALPHA)

    assert "95% confidence" in said
    assert "1 of 100 against 9 of 900" in said
