"""What a batch costs: learned while serving, asked before a deadline is promised."""

import math
from typing import Final

_WEIGHT: Final = 0.05  # of the newest batch
_WORTH: Final = 0.05  # a batch grows until its fixed cost is this share of it
_LEAST: Final = 16  # rows that go together whatever they cost, so that there is something to learn


class Pace:
    """Seconds as a line over rows: exponentially weighted least squares of what batches took."""

    def __init__(self) -> None:
        self._rows = self._seconds = 0.0  # means
        self._spread = self._shared = 0.0  # variance of rows, covariance with seconds
        self._fixed = self._each = 0.0  # the line: neither is ever below zero

    def learn(self, rows: int, seconds: float) -> None:
        """Take in what one batch took."""
        weight = _WEIGHT if self._rows else 1.0
        off_rows, off_seconds = rows - self._rows, seconds - self._seconds
        self._rows += weight * off_rows
        self._seconds += weight * off_seconds
        if weight < 1.0:
            self._spread = (1 - weight) * (self._spread + weight * off_rows * off_rows)
            self._shared = (1 - weight) * (self._shared + weight * off_rows * off_seconds)
        most = self._seconds / self._rows
        each = self._shared / self._spread if self._spread else most
        self._each = min(max(each, 0.0), most)
        self._fixed = self._seconds - self._each * self._rows

    def seconds(self, rows: float) -> float:
        """Guess what a batch takes; 0 before the first."""
        return self._fixed + self._each * rows

    def rows(self, seconds: float) -> float:
        """Guess how many rows a batch may have, to be done in a time."""
        return (seconds - self._fixed) / self._each if self._each else math.inf

    def worth(self) -> float:
        """Say from how many rows on a larger batch saves next to nothing."""
        return max(_LEAST, self._fixed / self._each / _WORTH) if self._each else math.inf
