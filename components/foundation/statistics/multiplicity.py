"""Many tests at once: adjusted p-values, so that alpha speaks of all of them together."""

import enum
from typing import assert_never

import numpy as np
from numpy.typing import ArrayLike, NDArray

from components.foundation.choice import chosen


class Correction(enum.StrEnum):
    """What alpha bounds: false discoveries among the flagged, or any false flag at all."""

    BENJAMINI_HOCHBERG = "benjamini-hochberg"
    BONFERRONI = "bonferroni"

    @classmethod
    def parse(cls, text: str) -> "Correction":
        return chosen(text, cls, setting="correction")


def adjusted(p_values: ArrayLike, correction: Correction) -> NDArray[np.float64]:
    """Return p-values that may each be compared with alpha, in the order given."""
    p = np.asarray(p_values, dtype=np.float64)
    match correction:
        case Correction.BENJAMINI_HOCHBERG:
            return benjamini_hochberg(p)
        case Correction.BONFERRONI:
            return bonferroni(p)
        case _:
            assert_never(correction)


def bonferroni(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjust so that the chance of any false flag is at most alpha, whatever the dependence."""
    p = np.asarray(p_values, dtype=np.float64)
    return np.minimum(1.0, p * p.size)


def benjamini_hochberg(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjust so that the expected share of false ones among the flagged is at most alpha.

    Holds for independent or positively dependent tests (Benjamini and Hochberg 1995).
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p)[::-1]  # the largest first: each is bounded by those above it
    ranks = np.arange(p.size, 0, -1)
    stepped = np.minimum.accumulate(np.minimum(1.0, p[order] * p.size / np.maximum(ranks, 1)))
    result = np.empty_like(stepped)
    result[order] = stepped
    return result
