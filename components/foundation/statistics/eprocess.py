"""Compare two error rates while the requests arrive, valid at whatever time one looks.

Evidence of harm is an e-process on the candidate's share of errors: while the candidate
errs no more often than the champion, its expected value is at most 1 at any stopping time,
so P(it ever reaches 1 / alpha) <= alpha (Ville). Only two counters a version are needed.

Within one interval, given the requests of both arms and the errors of both together, equal
rates make the candidate's errors hypergeometric. A binomial with the measured share q of
requests is larger than that in convex order (Hoeffding 1963), and the likelihood ratio is
convex in the count; so the ratio against the binomial is an e-value whatever the rate was
in this interval. Products over intervals hence survive incidents that strike both arms,
changing weights, and uneven arrivals. A mixture over rate ratios keeps it an e-process.

How large the difference can be at most comes from a Beta-mixture confidence sequence for
each arm (Robbins; Howard et al., arXiv 1810.08240, section 4).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

# Rate ratios that the mixture bets on, evenly on the log scale: a quarter more errors than
# the champion, up to errors where the champion has practically none.
RATIOS: Floats = np.geomspace(1.25, 200.0, 24)

_BISECTIONS = 60


@dataclass(frozen=True, slots=True)
class Arm:
    """What one version has answered."""

    requests: int = 0
    errors: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.errors <= self.requests:
            raise ValueError(f"{self.errors} errors of {self.requests} requests")

    def __add__(self, other: "Arm") -> "Arm":
        return Arm(self.requests + other.requests, self.errors + other.errors)

    @property
    def rate(self) -> float:
        return self.errors / self.requests if self.requests else 0.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything two arms have shown so far; `Comparison.from_dict(c.to_dict()) == c`.

    Attributes:
        log_ratios: the log likelihood ratio for each entry of RATIOS.
    """

    champion: Arm = Arm()
    candidate: Arm = Arm()
    log_ratios: tuple[float, ...] = (0.0,) * len(RATIOS)

    def after(self, champion: Arm, candidate: Arm) -> "Comparison":
        """Return the comparison after one more interval's requests and errors."""
        gained = log_likelihood_ratios(
            champion.requests, champion.errors, candidate.requests, candidate.errors
        )
        return Comparison(
            self.champion + champion,
            self.candidate + candidate,
            tuple(float(x) for x in np.asarray(self.log_ratios) + gained),
        )

    @property
    def e_value(self) -> float:
        """Return the evidence that the candidate errs more often; 1 is none."""
        return math.exp(min(700.0, self.log_e_value))

    @property
    def log_e_value(self) -> float:
        return float(mixed(np.asarray(self.log_ratios)))

    def harmful(self, *, alpha: float) -> bool:
        """Say whether the candidate errs more often; wrongly so with probability <= alpha."""
        return self.log_e_value >= -math.log(alpha)

    def difference(self, *, alpha: float) -> tuple[float, float]:
        """Bound candidate rate - champion rate, with confidence 1 - alpha at any time."""
        low, high = bounds(self.candidate, alpha=alpha / 2), bounds(self.champion, alpha=alpha / 2)
        return low[0] - high[1], low[1] - high[0]

    def statement(self, *, alpha: float) -> str:
        """Say in one sentence what is known of the difference."""
        low, high = self.difference(alpha=alpha)
        return (
            f"with {1 - alpha:.0%} confidence the candidate's error rate differs from the "
            f"champion's by {low:+.2%} to {high:+.2%} "
            f"({self.candidate.errors} of {self.candidate.requests} against "
            f"{self.champion.errors} of {self.champion.requests} requests)"
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            "champion": [self.champion.requests, self.champion.errors],
            "candidate": [self.candidate.requests, self.candidate.errors],
            "log_ratios": list(self.log_ratios),
        }

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Self:
        ratios: Sequence[float] = value["log_ratios"]
        return cls(Arm(*value["champion"]), Arm(*value["candidate"]), tuple(ratios))


def log_likelihood_ratios(
    champion_requests: ArrayLike,
    champion_errors: ArrayLike,
    candidate_requests: ArrayLike,
    candidate_errors: ArrayLike,
) -> Floats:
    """Return, for each rate ratio (last axis), the log likelihood ratio of an interval.

    An interval without requests in one of the arms says nothing: zeros.
    """
    n, k = np.asarray(champion_requests, float), np.asarray(champion_errors, float)
    m, j = np.asarray(candidate_requests, float), np.asarray(candidate_errors, float)
    comparable = (n > 0) & (m > 0)
    share = np.where(comparable, m / np.maximum(n + m, 1), 0.5)[..., None]
    spread = share * RATIOS + 1 - share  # the candidate's share of errors is share*ratio/spread
    gained = j[..., None] * np.log(RATIOS) - (j + k)[..., None] * np.log(spread)
    return np.where(comparable[..., None], gained, 0.0)


def mixed(log_ratios: Floats) -> Floats:
    """Return the log of the even mixture over the last axis."""
    top = log_ratios.max(axis=-1)
    weights = np.exp(log_ratios - top[..., None]).mean(axis=-1)
    result: Floats = np.asarray(top + np.log(weights))
    return result


def bounds(arm: Arm, *, alpha: float) -> tuple[float, float]:
    """Bound an arm's error rate with confidence 1 - alpha, at any stopping time."""
    if not arm.requests:
        return 0.0, 1.0
    threshold = -math.log(alpha)
    low = _edge(arm, threshold, 0.0) if arm.errors else 0.0
    high = _edge(arm, threshold, 1.0) if arm.errors < arm.requests else 1.0
    return low, high


def _edge(arm: Arm, threshold: float, outside: float) -> float:
    """Bisect between the observed rate and 0 or 1 for where the mixture rejects a rate."""
    inside = arm.rate
    for _ in range(_BISECTIONS):
        middle = (inside + outside) / 2
        if _log_mixture(arm, middle) < threshold:
            inside = middle
        else:
            outside = middle
    return outside


def _log_mixture(arm: Arm, rate: float) -> float:
    """Return the log likelihood ratio of a uniform mixture of rates against one rate."""
    hits, misses = arm.errors, arm.requests - arm.errors
    mixture = math.lgamma(hits + 1) + math.lgamma(misses + 1) - math.lgamma(arm.requests + 2)
    return mixture - _times(hits, rate) - _times(misses, 1 - rate)


def _times(count: int, probability: float) -> float:
    if not count:
        return 0.0
    return count * math.log(probability) if probability > 0 else -math.inf
