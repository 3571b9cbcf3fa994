"""How long an object store may keep us waiting: one place for every client of it."""

import datetime
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from components.foundation.errors import InfrastructureError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

_T = TypeVar("_T")
_ENDLESS = datetime.timedelta(hours=12)  # of one request that keeps moving


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the object store may keep one request waiting, tries and pauses together.

    Attributes:
        total: seconds after which a request is not tried again.
    """

    total: float = 60.0

    @property
    def silence(self) -> float:
        """Seconds without a byte after which a try is given up; a body may take any time."""
        return self.total / 4

    @property
    def connecting(self) -> float:
        return min(5.0, self.silence)

    @property
    def longest_pause(self) -> float:
        return max(0.2, self.total / 12)  # the clients take none shorter than their first, 0.1

    def pauses(self) -> Iterator[float]:
        """Yield the pause before each further try, until the total has passed since the first."""
        yield 0.1
        until = time.monotonic() + self.total
        for number in itertools.count(1):
            yield min(0.1 * 2**number, self.longest_pause)
            if time.monotonic() > until:
                return

    def again(self, do: Callable[[], _T]) -> _T:
        """Do what may be done twice, until it is done; the clients themselves retry too little."""
        for pause in self.pauses():
            try:
                return do()
            except InfrastructureError as error:
                last = error
            time.sleep(pause)
        raise last

    def client(self) -> "ClientConfig":
        return {
            "connect_timeout": datetime.timedelta(seconds=self.connecting),
            "read_timeout": datetime.timedelta(seconds=self.silence),
            "timeout": _ENDLESS,
        }

    def retries(self) -> "RetryConfig":
        longest = datetime.timedelta(seconds=self.longest_pause)
        first = datetime.timedelta(milliseconds=100)
        return {
            "max_retries": 1000,  # time decides
            "retry_timeout": datetime.timedelta(seconds=self.total),
            "backoff": {"init_backoff": first, "max_backoff": longest, "base": 2},
        }

    def delta_options(self) -> dict[str, str]:
        """Say the same in deltalake's words, which lack one for silence.

        So a whole answer must come within half of the total; large ones come in many requests.
        """
        return {
            "connect_timeout": _words(self.connecting),
            "timeout": _words(self.total / 2),
            "max_retries": "1000",
            "retry_timeout": _words(self.total),
            "backoff_config.init_backoff": "100ms",
            "backoff_config.max_backoff": _words(self.longest_pause),
        }


def _words(seconds: float) -> str:
    return f"{seconds * 1000:.0f}ms"
