"""Observations on their way to a sink, without ever holding a prediction up.

    add -> memory (bytes bounded) -> writer -> spool folder (bytes bounded) -> uploader -> sink

`add` puts a reference down and returns. The writer encodes and appends to parts in the spool
folder; the uploader sends sealed parts, oldest first, and tries again for as long as it takes.
Whatever finds no room, newest first, is dropped and counted; nothing waits and nothing fails.

What is promised for a row: it is sent at least once from the moment it is on disk, also when
the process is killed, under a name and with bytes that stay the same; so a part sent twice is
one object. An id that comes again soon, to the same process, is one row. That is no more than
a saving: who counts joins by id and takes the first of each
(`components/monitoring/measure_performance/join.py`), since retries may reach other processes.

Without a usable spool folder (missing and not to be made, read-only, somebody else's) parts
wait in memory: less is kept through an outage, and an outage at the end loses it; serving is
not refused for that.
"""

import logging
import pathlib
import time
from collections.abc import Callable
from typing import Self

from inference.observer.disk import Disk
from inference.observer.limits import Limits
from inference.observer.observation import Prediction, Source
from inference.observer.shelf import Memory, Shelf
from inference.observer.sinks import Sink
from inference.observer.uploader import Uploader
from inference.observer.waiting import Waiting
from inference.observer.writer import Writer

__all__ = ["Limits", "Spool"]

_LOG = logging.getLogger("observer")


class Spool:
    """Takes predictions from any thread; two threads of ours do the rest."""

    def __init__(
        self,
        source: Source,
        sink: Sink,
        shelf: Shelf,
        *,
        dropped: Callable[[int], None],
        limits: Limits,
    ) -> None:
        self._shelf, self._dropped, self._limits = shelf, dropped, limits
        self._waiting = Waiting(most=limits.held_bytes, dropped=dropped)
        self._uploader = Uploader(shelf, sink, dropped=dropped, limits=limits)
        self._writer = Writer(
            source, self._waiting, shelf, uploader=self._uploader, dropped=dropped, limits=limits
        )

    @classmethod
    def open(
        cls,
        source: Source,
        sink: Sink,
        folder: pathlib.Path,
        *,
        dropped: Callable[[int], None],
        limits: Limits,
    ) -> Self:
        """Open a spool in a folder that other processes may share, and start it.

        Args:
            source: who answers.
            sink: where parts end up.
            folder: where they wait; made if it is missing.
            dropped: told the number of rows whenever some are lost; called from any thread.
            limits: how much may be held.
        """
        spool = cls(source, sink, _shelf(sink, folder, limits), dropped=dropped, limits=limits)
        spool._uploader.start()
        spool._writer.start()
        return spool

    def add(self, prediction: Prediction) -> None:
        """Take a prediction, or count its rows as dropped; never wait, never raise."""
        self._waiting.put(prediction)

    def close(self) -> None:
        """Send what is left, for as long as the limits allow.

        What is on disk then stays for the next process that opens the folder (for a pod's
        emptyDir that is a restarted container; it goes with the pod); the rest is dropped.
        """
        until = time.monotonic() + self._limits.close_seconds
        self._waiting.close()
        written = self._writer.finish(until)
        sent = self._uploader.finish(until)
        left = self._shelf.left()
        if lost := self._waiting.clear() + self._writer.in_hand + left.lost:
            _LOG.error("%d observations were not written in time", lost)
            self._dropped(lost)
        if left.kept:
            _LOG.warning("%d observations stay in the spool for the next start", left.kept)
        if written and sent:
            self._shelf.release()


def _shelf(sink: Sink, folder: pathlib.Path, limits: Limits) -> Shelf:
    try:
        return Disk.at(folder, sink.destination, limit=limits.spool_bytes)
    except OSError as error:
        _LOG.warning("spool folder %s: %s; observations wait in memory", folder, error.strerror)
        return Memory(limits.held_bytes)
