"""Bad input, through each step's face: one sentence, the exit code, the error code, nothing moved.

Where a row is at fault its values must not get into messages, logs, lineage or the audit log:
every case plants PLANTED in the data and looks for it everywhere.
"""

from collections.abc import Callable
from dataclasses import dataclass

from components.foundation import error_catalogue

PLANTED = "Maryam-784-1990"
NUMBER = 784199012345678901  # as an identity number in a column of integers
EXITS = {"user": 2, "refused": 3, "infrastructure": 75}


@dataclass(frozen=True, slots=True)
class Said:
    """How a step ended: exit code and error code, its sentence, and all that was written down."""

    exit_code: int
    code: str
    message: str
    everywhere: str


Fails = Callable[..., Said]


def check(said: Said, code: str, *words: str) -> None:
    """Hold what was said to its code, its exit code and its words, and to no value of a row."""
    assert said.code == code, said.message
    assert said.exit_code == EXITS[error_catalogue.entry(code).kind]
    for word in words:
        assert word in said.message
    for planted in (PLANTED, str(NUMBER)):
        assert planted not in said.everywhere
