"""Ports for servers that tests start by number.

A port that Linux lends to whoever asks for any (32768 and up) may be lent to another before the
server has it. These lie below, above those of SeaweedFS; each worker has its own, and takes one
again only after all others.
"""

import itertools
import os
import random
import socket

_ALL = range(30_240, 32_768)


def of_worker(name: str, *, workers: int) -> range:
    """Return the ports of one worker of several: gw0, gw1, ..."""
    return _ALL[int(name.removeprefix("gw")) :: workers]


def free() -> int:
    """Return a port that nothing listens on now."""
    for _ in _ALL:
        port = next(_turns)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError(f"no port from {_ALL.start} to {_ALL.stop - 1} is free")


_OURS = of_worker(
    os.environ.get("PYTEST_XDIST_WORKER", "gw0"),
    workers=int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")),
)
_turns = itertools.cycle(random.sample(_OURS, len(_OURS)))
