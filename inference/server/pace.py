"""What a batch costs: learned while serving, asked before a deadline is promised."""

from typing import Final

_WEIGHT: Final = 0.05  # of the newest batch
_WORTH: Final = 0.05  # a batch grows until its fixed cost is this share of it
_LEAST: Final = 16  # rows that go together whatever they cost, so that there is something to learn


class Pace:
    """Seconds as a line over rows: exponentially weighted least squares of what batches took."""

    def __init__(self) -> None:
        self._rows = self._seconds = 0.0  # means
        self._spread = self._shared = 0.0  # variance of rows, covariance with seconds

    def learn(self, rows: int, seconds: float) -> None:
        """Take in what one batch took."""
        weight = _WEIGHT if self._rows else 1.0
        off_rows, off_seconds = rows - self._rows, seconds - self._seconds
        self._rows += weight * off_rows
        self._seconds += weight * off_seconds
        if weight < 1.0:
            self._spread = (1 - weight) * (self._spread + weight * off_rows * off_rows)
            self._shared = (1 - weight) * (self._shared + weight * off_rows * off_seconds)

    def seconds(self, rows: float) -> float:
        """Guess what a batch takes; 0 before the first."""
        fixed, each = self._line()
        return fixed + each * rows

    def rows(self, seconds: float) -> float:
        """Guess how many rows a batch may have, to be done in a time."""
        fixed, each = self._line()
        return (seconds - fixed) / each if each else float("inf")

    def worth(self) -> float:
        """Say from how many rows on a larger batch saves next to nothing."""
        fixed, each = self._line()
        return max(_LEAST, fixed / each / _WORTH) if each else float("inf")

    def _line(self) -> tuple[float, float]:
        """Return the fixed cost of a batch and the cost of each row, neither below zero."""
        if not self._rows:
            return 0.0, 0.0
        most = self._seconds / self._rows
        each = self._shared / self._spread if self._spread else most
        each = min(max(each, 0.0), most)
        return self._seconds - each * self._rows, each
