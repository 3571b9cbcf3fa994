"""The thread that sends sealed parts to the sink, oldest first, until each is there."""

import logging
import math
import threading
import time
from collections.abc import Callable

from components.foundation.errors import FalajError
from inference.observer.limits import Limits
from inference.observer.shelf import Part, Shelf
from inference.observer.sinks import Sink

_LOG = logging.getLogger("observer")
_SAY_SECONDS = 60.0  # between two lines about the same trouble
_GRACE_SECONDS = 0.1  # for a thread that is not stuck to see that its time is over


class Trouble:
    """Says that something fails, not more often than people can read, and when it is over."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._said: float | None = None

    def met(self, error: Exception | str) -> None:
        now = time.monotonic()
        if self._said is None or now - self._said > _SAY_SECONDS:
            self._said = now
            _LOG.warning("%s: %s", self._what, error)

    def over(self) -> None:
        if self._said is not None:
            self._said = None
            _LOG.info("no longer: %s", self._what)


class Uploader:
    """Sends parts; a part that cannot be sent is tried again, with growing pauses."""

    def __init__(
        self, shelf: Shelf, sink: Sink, *, dropped: Callable[[int], None], limits: Limits
    ) -> None:
        self._shelf, self._sink, self._dropped = shelf, sink, dropped
        self._limits = limits
        self.idle = True  # nothing waited when it looked last
        self._adopted = -math.inf
        self._wake, self._ending = threading.Event(), threading.Event()
        self._until: float | None = None  # set when no more parts come
        self._trouble = Trouble("observations wait for their store")
        self._thread = threading.Thread(target=self._work, name="observer-upload", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def notify(self) -> None:
        """Say that there is a part to send."""
        self.idle = False
        self._wake.set()

    def finish(self, until: float) -> bool:
        """Send what is left until a monotonic time; say whether the thread has ended."""
        self._until = until
        self._ending.set()
        self._wake.set()
        self._thread.join(max(0.0, until - time.monotonic()) + _GRACE_SECONDS)
        return not self._thread.is_alive()

    def _work(self) -> None:
        pause = self._limits.retry_seconds
        while not self._over():
            try:
                sent = self._next()
            except (FalajError, OSError) as error:
                self._trouble.met(error)
                self._pause(pause)
                pause = min(pause * 2, self._limits.longest_retry_seconds)
                continue
            pause = self._limits.retry_seconds
            if sent:
                self._trouble.over()
            elif self._until is not None:
                return
            else:
                self._wake.wait(self._limits.adopt_seconds)

    def _next(self) -> bool:
        """Send the oldest part; say whether there was one."""
        if self._until is None and time.monotonic() - self._adopted >= self._limits.adopt_seconds:
            self._adopted = time.monotonic()
            self._adopt()
        self._wake.clear()  # before the look: what is sealed after it wakes us again
        part = self._shelf.oldest()
        self.idle = part is None
        if part is not None:
            self._send(part)
        return part is not None

    def _over(self) -> bool:
        return self._until is not None and time.monotonic() > self._until

    def _pause(self, seconds: float) -> None:
        """Wait after a failure; not long once the end has begun."""
        if self._until is not None:
            left = self._until - time.monotonic()
            time.sleep(max(0.0, min(self._limits.retry_seconds, left)))
        else:
            self._ending.wait(seconds)

    def _adopt(self) -> None:
        if torn := self._shelf.adopt():
            _LOG.warning("%d observations of a process that died were torn", torn)
            self._dropped(torn)

    def _send(self, part: Part) -> None:
        try:
            data = self._shelf.read(part)
        except FileNotFoundError:
            _LOG.warning("%s: was removed before it was sent", part.name)
            self._dropped(part.rows)
            return
        self._sink.write(part.name, data)
        self._shelf.done(part)
