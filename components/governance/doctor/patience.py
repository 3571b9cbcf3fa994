"""Wait for an answer so long and no longer, whatever keeps it."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from components.foundation.errors import InfrastructureError

T = TypeVar("T")


class Unanswered(InfrastructureError):
    """There was no answer in time."""


def within(seconds: float, ask: Callable[[], T]) -> T:
    """Ask, and wait so long for the answer; what hangs is left behind, and ends with the process.

    Time limits of clients do not bound this: they hold for each try and each piece of an answer.

    Raises:
        Unanswered: there was no answer in time.
    """
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return answer.result(seconds)
    except TimeoutError as error:
        raise Unanswered(f"no answer within {seconds:g} s", code="doctor-unanswered") from error
