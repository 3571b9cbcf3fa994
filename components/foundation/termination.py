"""Who is told to end may put things right first: SIGTERM unwinds a block as Ctrl-C does."""

import contextlib
import signal
import threading
from collections.abc import Iterator


class _Terminated(KeyboardInterrupt):
    """SIGTERM came."""


@contextlib.contextmanager
def unwinding() -> Iterator[None]:
    """Unwind the block on SIGTERM, by a KeyboardInterrupt; further ones change nothing.

    A pod that is deleted gets SIGTERM first, and SIGKILL after its grace period. Handlers are the
    main thread's alone; in another one the block runs as it is.

    Raises:
        SystemExit: SIGTERM came; with 143, as a shell says it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    except _Terminated as ended:
        raise SystemExit(128 + signal.SIGTERM) from ended
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _Terminated
