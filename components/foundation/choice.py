"""A setting that is one of a few words, told as text."""

import enum
from collections.abc import Iterable
from typing import TypeVar

from components.foundation.errors import UserError, nearest

Word = TypeVar("Word", bound=enum.StrEnum)


def chosen(text: str, choices: Iterable[Word], *, setting: str) -> Word:
    """Return the choice that a text names.

    Args:
        text: what was given.
        choices: at least two; of an enum, the enum itself.
        setting: what it is called where it is given.

    Raises:
        UserError: it is none of them; the message lists them, and names the nearest.
    """
    known = {str(choice): choice for choice in choices}
    if text not in known:
        *others, last = known
        raise UserError(
            f"{setting} {text!r}: expected {', '.join(others)} or {last}; "
            f"{nearest(text, list(known))}",
            code="choice-unknown",
        )
    return known[text]
