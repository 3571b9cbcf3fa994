"""What may be asked of an API server again when it did not answer, and how often.

Asked again is what surely was not done, whatever it is: the connection was refused, or the
server says that it took on too much (429). What may have been done is asked again only if
doing it twice is as doing it once: reading, applying and deleting. Creating and replacing are
not: the second try would find what the first one made and take it for somebody else's.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from components.foundation.kubernetes.failures import Answered, distrusts

T = TypeVar("T")

_REPEATABLE = ("GET", "PATCH", "DELETE")  # every PATCH of ours is an apply
_NOT_TAKEN_ON = 429
_PASSING = (502, 503, 504)  # a balancer before an API server that restarts says 502


@dataclass(frozen=True)
class Retries:
    """How patiently to ask.

    Attributes:
        attempts: how often at most.
        first_s: the wait before the second; each further one is twice as long.
        longest_s: no wait is longer, and a server that asks for more is not waited for.
    """

    attempts: int = 5
    first_s: float = 0.2
    longest_s: float = 10.0
    sleep: Callable[[float], None] = time.sleep

    def run(self, verb: str, send: Callable[[], T]) -> T:
        """Send until it is answered; raises what the last try raised."""
        import urllib3.exceptions

        for attempt in range(1, self.attempts):
            try:
                return send()
            except (Answered, urllib3.exceptions.HTTPError) as error:
                asked = pause(verb, error)
                if asked is None or asked > self.longest_s:
                    raise
                self.sleep(max(asked, self._wait(attempt)))
        return send()

    def _wait(self, attempt: int) -> float:
        """Double from one to the next, and scatter: many may have been turned away at once."""
        longest = min(self.first_s * 2 ** (attempt - 1), self.longest_s)
        return random.uniform(longest / 2, longest)  # noqa: S311 - a wait, not a secret


def pause(verb: str, error: Exception) -> float | None:
    """Return the seconds that a server asks to wait (0: none); None if it may not be tried again.

    Args:
        verb: what was asked, as in HTTP.
        error: an answer that says no, or what urllib3 raised for none.
    """
    if isinstance(error, Answered):
        return _pause_after(verb, error)
    if distrusts(error):
        return None
    return 0.0 if _unsent(error) or verb in _REPEATABLE else None


def _pause_after(verb: str, answer: Answered) -> float | None:
    asked = _asked(answer)
    if answer.status == _NOT_TAKEN_ON:
        return asked or 0.0
    passing = answer.status in _PASSING or (answer.status == 500 and asked is not None)
    return (asked or 0.0) if passing and verb in _REPEATABLE else None


def _asked(answer: Answered) -> float | None:
    """Read Retry-After in seconds; API servers write no dates there."""
    try:
        return max(0.0, float(answer.headers["retry-after"]))
    except (KeyError, ValueError):
        return None


def _unsent(error: Exception) -> bool:
    """Say whether not a byte was sent: there was no connection."""
    import urllib3.exceptions

    never = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
    return isinstance(error, never)
