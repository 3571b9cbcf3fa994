"""SIGTERM unwinds a block once; outside of it everything is as it was."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from components.foundation.termination import unwinding


def is_told(number: signal.Signals) -> None:
    """Be told to end, and go on unless something says otherwise."""
    os.kill(os.getpid(), number)
    time.sleep(5)


@contextlib.contextmanager
def noting(told: list[str]) -> Iterator[None]:
    """What is to be put right: it takes a while, and is told to end again meanwhile."""
    try:
        yield
    except KeyboardInterrupt:
        os.kill(os.getpid(), signal.SIGTERM)
        told.append("put right")
        raise


def test_a_block_is_unwound_once_and_ends_as_a_shell_says_it() -> None:
    told: list[str] = []

    with pytest.raises(SystemExit) as left, unwinding(), noting(told):
        is_told(signal.SIGTERM)

    assert told == ["put right"]
    assert left.value.code == 143


def test_ctrl_c_stays_what_it_is() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored here

    with pytest.raises(KeyboardInterrupt), unwinding():
        is_told(signal.SIGINT)

    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("raised", [None, ValueError])
def test_afterwards_the_handler_is_the_one_of_before(raised: type[Exception] | None) -> None:
    before = signal.getsignal(signal.SIGTERM)

    with contextlib.suppress(ValueError), unwinding():
        assert signal.getsignal(signal.SIGTERM) != before
        if raised:
            raise raised

    assert signal.getsignal(signal.SIGTERM) == before


def test_in_another_thread_the_block_runs_as_it_is() -> None:
    ran: list[bool] = []

    def work() -> None:
        with unwinding():
            ran.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert ran == [True]
