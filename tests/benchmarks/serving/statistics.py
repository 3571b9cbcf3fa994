"""What repeated measurements say: a median, how far they lay apart, and ratios."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Self


@dataclass(frozen=True, slots=True)
class Sample:
    """The same thing measured several times."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("a sample needs at least one value")

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def spread(self) -> float:
        """How far the outermost values lie apart, as a share of the median."""
        if not self.median or math.isinf(self.median):
            return 0.0
        return (max(self.values) - min(self.values)) / self.median

    def over(self, other: "Sample") -> Self:
        """Divide round by round, so that what slowed a whole round cancels out."""
        pairs = zip(self.values, other.values, strict=True)
        return type(self)(tuple(a / b if b else math.inf for a, b in pairs))


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of all values does not exceed."""
    if not values:
        raise ValueError("no values, no percentile")
    rank = math.ceil(share * len(values))
    return sorted(values)[max(rank, 1) - 1]
