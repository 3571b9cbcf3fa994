"""Look again and again until something is so, ever less often.

What comes is seen after a tenth more than the time that it took, and a slot that takes minutes does
not cost the API server thousands of requests.
"""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_FIRST_S = 0.2
_LONGEST_S = 2.0
_GROWTH = 1.1


def last(look: Callable[[], T], *, enough: Callable[[T], bool], seconds: float) -> T:
    """Look until that is enough or time is up; return what was seen last."""
    deadline, pause = time.monotonic() + seconds, _FIRST_S
    while not enough(seen := look()) and (left := deadline - time.monotonic()) > 0:
        time.sleep(min(pause, left))
        pause = min(pause * _GROWTH, _LONGEST_S)
    return seen


def until(holds: Callable[[], bool], seconds: float) -> bool:
    """Look until something holds; say whether it came."""
    return last(holds, enough=bool, seconds=seconds)
