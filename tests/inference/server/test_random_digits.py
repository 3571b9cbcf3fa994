"""Words of random digits: each one new, in every thread and in every process."""

import os
import re
from concurrent.futures import ThreadPoolExecutor

from inference.server.random_digits import word

MANY = 2000  # more than are drawn from the system at once


def forked() -> list[str]:
    """Return what a child process draws first."""
    read, write = os.pipe()
    if not (pid := os.fork()):
        os.write(write, " ".join(word() for _ in range(5)).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(write)
    with os.fdopen(read) as said:
        return said.read().split()


def test_a_word_is_sixteen_hexadecimal_digits() -> None:
    assert re.fullmatch("[0-9a-f]{16}", word())


def test_no_word_comes_twice_whichever_thread_asks() -> None:
    with ThreadPoolExecutor(4) as pool:
        words = list(pool.map(lambda _: word(), range(MANY)))

    assert len(set(words)) == MANY


def test_processes_that_were_forked_draw_words_of_their_own() -> None:
    word()

    words = [*forked(), *forked(), word(), word()]

    assert len(set(words)) == len(words) == 12
