"""One error root; a message says what, got, expected, and what to do.

Only faces and command lines turn these into exit codes.
"""

import errno

FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)  # what a full disk says, or a quota on it


class FalajError(Exception):
    """Root of every error raised on purpose.

    Attributes:
        code: what happened, in a word that stays the same while messages are reworded;
            errors.yaml beside this file has the cause and the cure of each.
    """

    exit_code = 1

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def shown(self) -> str:
        """The message and its code, as people see them."""
        return f"{self} [{self.code}]"


class UserError(FalajError):
    """The input is wrong; trying again with the same input cannot help."""

    exit_code = 2


class Refused(FalajError):
    """A policy or a gate said no."""

    exit_code = 3


class InfrastructureError(FalajError):
    """Something beneath us failed; the same call may work later (EX_TEMPFAIL)."""

    exit_code = 75


def nearest(got: str, known: list[str]) -> str:
    """Say which of the known names was probably meant, or list them all."""
    import difflib

    close = difflib.get_close_matches(got, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known))}"
