"""Use the cores there are: many files at once, or one file's work in two threads.

Reading, hashing, encrypting and writing let other threads go on. No more threads work than
there are cores: with one more than that, every piece takes a tenth longer.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_FEW = 8  # pieces that are not worth the start of a thread
_MOST = 4  # files at once: each holds a few chunks, and some parts of an upload

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def each(function: Callable[[_In], _Out], items: Iterable[_In]) -> list[_Out]:
    """Return what a function makes of each item, in order; the first error ends it all."""
    todo = list(items)
    threads = min(_MOST, cores(), len(todo))
    pool = ThreadPoolExecutor(max(1, threads))
    try:
        with _busy.more(threads):
            return list(pool.map(function, todo))
    finally:
        pool.shutdown(cancel_futures=True)


def ahead(pieces: Iterator[_Out], *, count: int) -> Iterator[_Out]:
    """Yield what an iterator yields, each piece made while its predecessor is used.

    Two pieces are in use at a time: the one that was yielded and the one in the making. Where no
    core is idle, or there are few of them by `count`, each is made when it is asked for.
    """
    if count <= _FEW or not _busy.spares(cores()):
        yield from pieces
        return
    thread, end = ThreadPoolExecutor(1), object()
    try:
        with _busy.more(1):
            coming = thread.submit(next, pieces, end)
            while (piece := coming.result()) is not end:
                coming = thread.submit(next, pieces, end)
                yield piece  # type: ignore[misc]  # `end` is no piece, which mypy cannot tell
    finally:
        thread.shutdown(cancel_futures=True)


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Busy:
    """How many threads of ours are at work; whoever calls is one of them."""

    def __init__(self) -> None:
        self._lock, self._threads = threading.Lock(), 0

    @contextlib.contextmanager
    def more(self, threads: int) -> Iterator[None]:
        with self._lock:
            self._threads += threads
        try:
            yield
        finally:
            with self._lock:
                self._threads -= threads

    def spares(self, cores: int) -> bool:
        return max(1, self._threads) < cores


_busy = _Busy()
