"""Who gets which variant: a salted hash of the subject, and nothing that is remembered.

Every variant draws a lot for the subject, from BLAKE2b keyed by salt and variant, and the
earliest wins: `-ln(u) / weight` is an exponential time, and the first of several such comes
from a variant with a probability that is its share of the weights, exactly. We do not lay the
variants side by side on [0, 1): there, three variants and one that grows move the border
between the other two as well, and people change from one to the other for nothing.

Laws: the same salt, weights and subject give the same variant, in whatever order the variants
are listed; other salts give independent ones; where one variant grows and the others keep
their proportions, subjects move into it and nowhere else; where one goes, only its own move.
"""

import hashlib
import math
from collections.abc import Mapping
from typing import Final

_STEPS: Final = 2.0**-53  # what a float can hold of a hash between 0 and 1


class Split:
    """Weights of one experiment, ready to be asked."""

    __slots__ = ("_lots",)

    def __init__(self, *, salt: str, weights: Mapping[str, float]) -> None:
        """Take the weights; those of zero get nobody, so one must be above."""
        self._lots = [
            (name, hashlib.blake2b(digest_size=8, key=_key(salt, name)), -1 / weight)
            for name, weight in sorted(weights.items())
            if weight > 0
        ]

    def assign(self, subject: bytes) -> str:
        """Return the variant of a subject."""
        return min((self._time(lot, subject), lot[0]) for lot in self._lots)[1]

    @staticmethod
    def _time(lot: "tuple[str, hashlib.blake2b, float]", subject: bytes) -> float:
        drawn = lot[1].copy()
        drawn.update(subject)
        point = (int.from_bytes(drawn.digest(), "big") >> 11) + 0.5
        return math.log(point * _STEPS) * lot[2]


def assign(subject: bytes, *, salt: str, weights: Mapping[str, float]) -> str:
    """Return the variant of a subject; `Split` is the same for many subjects."""
    return Split(salt=salt, weights=weights).assign(subject)


def _key(salt: str, name: str) -> bytes:
    # The length keeps ("ab", "c") and ("a", "bc") apart.
    said = b"%d:%b%b" % (len(salt.encode()), salt.encode(), name.encode())
    return hashlib.blake2b(said, digest_size=32, person=b"falaj-router").digest()
