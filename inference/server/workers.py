"""Several processes at the same work; one that dies is replaced."""

import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Final

from components.foundation.orphans import die_with_parent

Work = Callable[[int], int]

_LOG = logging.getLogger("workers")
_SIGNALS: Final = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_USAGE: Final = 2  # exit code of an error that another try cannot mend
_PAUSES_S: Final = (0.1, 0.5, 2.0, 5.0)  # before a worker that keeps dying is started again
_STEADY_S: Final = 10.0  # one that lived so long has not kept dying


class Supervisor:
    """Forks workers and waits; knows nothing of what they do.

    Args:
        count: how many.
        work: what worker 0, 1, ... does; returns its exit code.
        died: told which worker ended.
        ending: called before the workers are told to end, to let go of what they share.

    Made before any thread is started: a fork takes only one along.
    """

    def __init__(
        self, count: int, work: Work, *, died: Callable[[int], None], ending: Callable[[], None]
    ) -> None:
        self._count, self._work, self._died, self._ending = count, work, died, ending
        self._pids: dict[int, int] = {}  # pid -> worker
        self._due: dict[int, float] = {}  # worker -> when it is to be started again
        self._started: dict[int, float] = {}
        self._deaths = dict.fromkeys(range(count), 0)
        self._code: int | None = None  # set once we end

    def run(self) -> int:
        """Keep the workers at work until a signal says to end; return the exit code."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        for worker in range(self._count):
            self._start(worker)
        while self._pids or (self._due and self._code is None):
            self._heed(signal.sigtimedwait(_SIGNALS, self._pause()))
            self._start_due()
        return self._code or 0

    def _start(self, worker: int) -> None:
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            self._be(worker)
        self._pids[pid] = worker
        self._started[worker] = time.monotonic()

    def _be(self, worker: int) -> None:
        """Be a worker, in its own process, to the end."""
        code = 1
        try:
            die_with_parent()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            code = self._work(worker)
        finally:
            logging.shutdown()
            os._exit(code)

    def _heed(self, told: "signal.struct_siginfo | None") -> None:
        match told.si_signo if told else None:
            case signal.SIGCHLD:
                self._bury()
            case signal.SIGTERM | signal.SIGINT:
                self._end(0)
            case signal.SIGHUP:
                self._tell(signal.SIGHUP)

    def _bury(self) -> None:
        while self._pids:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            self._buried(self._pids.pop(pid), os.waitstatus_to_exitcode(status))

    def _buried(self, worker: int, code: int) -> None:
        self._died(worker)
        if self._code is not None:
            self._code = self._code or max(code, 0)
            return
        if code == _USAGE:
            self._end(code)
            return
        lived = time.monotonic() - self._started[worker]
        self._deaths[worker] = 0 if lived > _STEADY_S else self._deaths[worker] + 1
        pause = _PAUSES_S[min(self._deaths[worker], len(_PAUSES_S) - 1)]
        _LOG.error("worker %d ended with %d; started again in %g s", worker, code, pause)
        self._due[worker] = time.monotonic() + pause

    def _end(self, code: int) -> None:
        self._code = code
        self._ending()
        self._tell(signal.SIGTERM)

    def _tell(self, number: signal.Signals) -> None:
        for pid in self._pids:
            os.kill(pid, number)

    def _pause(self) -> float:
        return max(0.0, min(self._due.values(), default=3600.0) - time.monotonic())

    def _start_due(self) -> None:
        now = time.monotonic()
        for worker in [worker for worker, due in self._due.items() if due <= now]:
            del self._due[worker]
            if self._code is None:
                self._start(worker)
