"""Random hexadecimal digits for ids, drawn from the system many at once.

A system call of its own for each request would also let go of the interpreter's lock each time,
which a thread that predicts takes then, and has to be waited for.
"""

import os
from typing import Final

_WORD: Final = 8  # bytes
_AT_ONCE: Final = 512  # words
_words: list[str] = []
os.register_at_fork(after_in_child=_words.clear)  # else two workers would give the same ids


def word() -> str:
    """Return 16 digits that nobody can guess; for any thread."""
    try:
        return _words.pop()
    except IndexError:
        digits = os.urandom(_WORD * _AT_ONCE).hex()
        first, *more = [digits[at : at + 2 * _WORD] for at in range(0, len(digits), 2 * _WORD)]
        _words.extend(more)
        return first
