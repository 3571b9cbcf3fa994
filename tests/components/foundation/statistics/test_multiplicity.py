import numpy as np
import pytest

from components.foundation.errors import UserError
from components.foundation.statistics.multiplicity import (
    Correction,
    adjusted,
    benjamini_hochberg,
    bonferroni,
)


def test_bonferroni_multiplies_by_how_many_there_are() -> None:
    assert bonferroni([0.01, 0.5]).tolist() == [0.02, 1.0]


def test_benjamini_hochberg_gives_the_known_example_in_the_order_given() -> None:
    """Adjusted by hand: p * m / rank, then the smallest of itself and those above it."""
    p = [0.30, 0.01, 0.04, 0.03]

    assert benjamini_hochberg(p) == pytest.approx([0.30, 0.04, 0.04 * 4 / 3, 0.04 * 4 / 3])


def test_no_tests_are_no_problem() -> None:
    assert adjusted([], Correction.BENJAMINI_HOCHBERG).size == 0


@pytest.mark.parametrize("correction", list(Correction))
def test_alarms_of_pure_noise_stay_at_alpha(correction: Correction) -> None:
    """Of 4,000 families of 40 null tests at most alpha = 5 % may raise a flag, +- 4 sd."""
    p = np.random.default_rng(1).random((4000, 40))

    alarms = np.mean([adjusted(row, correction).min() <= 0.05 for row in p])

    assert alarms <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / 4000)
    assert alarms >= 0.05 - 4 * np.sqrt(0.05 * 0.95 / 4000) - 0.002


def test_refuses_another_name() -> None:
    with pytest.raises(UserError, match="did you mean 'bonferroni'"):
        Correction.parse("bonferoni")
