"""Do the same to many files at once: hashing and encrypting let other threads go on."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_MOST = 4  # files at once: each holds two chunks, and some parts of an upload

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def each(function: Callable[[_In], _Out], items: Iterable[_In]) -> list[_Out]:
    """Return what a function makes of each item, in order; the first error ends it all."""
    pool = ThreadPoolExecutor(min(_MOST, os.cpu_count() or 1))
    try:
        return list(pool.map(function, items))
    finally:
        pool.shutdown(cancel_futures=True)
