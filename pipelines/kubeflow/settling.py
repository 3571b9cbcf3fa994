"""Make what has a name once, whatever happens on the way."""

import time
from collections.abc import Callable
from typing import TypeVar

from components.foundation.storage import Conflict
from pipelines.kubeflow.failures import Unsettled

T = TypeVar("T")
PAUSES = (0.2, 0.5, 1.0, 2.0)


def once(find: Callable[[], T | None], make: Callable[[], T]) -> tuple[T, bool]:
    """Find a thing, else make it; return it and whether it was made now.

    For what has a name that KFP gives only once. Where no answer to `make` came, the thing is
    looked for, and made again only if it is not there; if the first comes late, KFP refuses one.
    """
    if (found := find()) is not None:
        return found, False
    for pause in PAUSES:
        try:
            return make(), True
        except Conflict:
            if (found := find()) is None:
                raise
            return found, False
        except Unsettled:
            time.sleep(pause)
            if (found := find()) is not None:
                return found, True
    return make(), True
