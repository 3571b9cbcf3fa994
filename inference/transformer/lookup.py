"""Look features up in threads: so many at once, so many waiting, each within its time."""

import asyncio
import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from components.foundation.signature import Tensor
from inference.transformer.plan import Columns
from inference.transport.messages import RETRY_SOON, Rejected

Entities = Sequence[Mapping[str, Any]]
_LOG = logging.getLogger("transformer")


class FeatureSource(Protocol):
    """A feature service of an online store."""

    @property
    def keys(self) -> Sequence[Tensor]:
        """What names an entity."""

    @property
    def features(self) -> Sequence[str]:
        """The names of what it gives."""

    def lookup(self, entities: Entities, features: Sequence[str]) -> Columns:
        """Return these features of the entities, None where there is none; blocks."""


class Lookups:
    """A source's threads; made and used on one event loop."""

    def __init__(self, source: FeatureSource, *, threads: int, queue: int) -> None:
        self.source = source
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="lookup")
        self._places = threading.BoundedSemaphore(threads + queue)

    async def find(self, entities: Entities, features: Sequence[str], *, seconds: float) -> Columns:
        """Look up.

        A lookup that is late goes on in its thread and keeps its place until it ends, so a store
        that hangs fills the queue and is not asked for ever more.

        Raises:
            Rejected: 429 where all places are taken, 504 where it takes longer, 502 where the
                store fails.
        """
        if not self._places.acquire(blocking=False):
            raise Rejected(429, "too many lookups are waiting; try again", headers=RETRY_SOON)
        task: Future[Columns] = self._pool.submit(self.source.lookup, entities, features)
        task.add_done_callback(lambda _: self._places.release())
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.wrap_future(task)
        except TimeoutError:
            raise Rejected(504, "the online store did not answer in time") from None
        except Exception as error:  # each store has its own, with no root that Feast would name
            _LOG.exception("the online store failed")
            raise Rejected(502, "the online store failed") from error

    def close(self) -> None:
        """Wait for nothing; lookups that have not begun are dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)
