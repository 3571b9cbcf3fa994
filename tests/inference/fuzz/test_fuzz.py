"""No sequence of bytes makes the server fail, hang, grow or answer the next request wrongly.

FUZZ says how many connections are tried (default 3000); the same number tries the same bytes.
"""

import collections
import functools
import os
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from tests.inference.fuzz import seeds
from tests.inference.fuzz.cases import CASES
from tests.inference.fuzz.client import End, Story, read, told
from tests.inference.identities import write_identities
from tests.inference.processes import Process, served

COUNT = int(os.environ.get("FUZZ", "3000"))
_THREADS = 16
_GROWTH_MIB = 32
_SHOWN = 5


@dataclass
class Tally:
    """What came back from each kind of case."""

    answers: dict[str, collections.Counter[str]] = field(
        default_factory=lambda: collections.defaultdict(collections.Counter)
    )
    wrong: list[tuple[str, bytes, Story]] = field(default_factory=list)

    def add(self, name: str, wire: bytes, story: Story) -> None:
        words = [str(status) for status in story.statuses] or [f"({story.end.value})"]
        self.answers[name].update(words)
        if story.end is End.HUNG or story.rest or max(story.statuses, default=0) >= 500:
            self.wrong.append((name, wire, story))

    def table(self) -> Iterator[str]:
        columns = sorted({word for counter in self.answers.values() for word in counter})
        yield f"{'':<16}" + "".join(f"{column:>10}" for column in columns)
        for name, counter in self.answers.items():
            yield f"{name:<16}" + "".join(f"{counter[column]:>10}" for column in columns)
        total = sum(self.answers.values(), collections.Counter[str]())
        yield f"{'all':<16}" + "".join(f"{total[column]:>10}" for column in columns)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("fuzz") / "model"
    with served(write_identities(folder, seeds.DATATYPES), name=seeds.MODEL) as process:
        yield process


def shower(server: Process, *, first: int, count: int) -> Tally:
    """Try cases in turn, some connections at once; every case has chance of its own."""
    tally = Tally()

    def attempt(number: int) -> tuple[str, bytes, Story]:
        case = CASES[number % len(CASES)]
        wire = case(random.Random(number))  # noqa: S311 - the same bytes every time
        return case.__name__, wire, told(server.http, wire)

    with ThreadPoolExecutor(_THREADS) as pool:
        for name, wire, story in pool.map(attempt, range(first, first + count)):
            tally.add(name, wire, story)
    return tally


def ask(server: Process, message: seeds.Message) -> Story:
    """Send a request that is right, and let the connection close behind it."""
    headers = {**message.headers, "connection": "close"}
    again = seeds.Message(message.method, message.target, headers, message.body)
    return told(server.http, again.wire())


def test_survives_whatever_comes(server: Process, capsys: pytest.CaptureFixture[str]) -> None:
    warm = min(COUNT // 4, 5_000)
    shower(server, first=0, count=warm)
    before = server.resident()

    tally = shower(server, first=warm, count=COUNT - warm)

    grown = server.resident() - before
    with capsys.disabled():
        print(f"\n{COUNT} connections, {grown:+.1f} MiB", *tally.table(), sep="\n")
    shown = [(name, wire[:600], story) for name, wire, story in tally.wrong[:_SHOWN]]
    assert not tally.wrong, f"{len(tally.wrong)} went wrong: {shown}"
    assert grown < _GROWTH_MIB
    assert server.alive
    for message in (seeds.as_json(seeds.document()), seeds.binary()):
        assert ask(server, message).statuses == (200,)


def test_what_is_no_http_leaves_nothing_behind(server: Process) -> None:
    noisy = functools.partial(told, server.http, b"\0 is no method\r\n\r\n")
    with ThreadPoolExecutor(_THREADS) as pool:
        before = 0.0
        for count in (500, 2_000):
            before = server.resident()
            list(pool.map(lambda _: noisy(), range(count)))

    assert server.resident() - before < 3


def test_most_of_what_comes_is_wrong_and_some_is_right(server: Process) -> None:
    tally = shower(server, first=0, count=40 * len(CASES))

    total = sum(tally.answers.values(), collections.Counter[str]())
    assert tally.answers.keys() == {case.__name__ for case in CASES}
    assert total["400"] > total["200"] > 0


@pytest.mark.parametrize(
    ("received", "statuses", "rest"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", (200,), b""),
        (b"HTTP/1.1 204 \r\n\r\nHTTP/1.1 400 x\r\ncontent-length: 1\r\n\r\nx", (204, 400), b""),
        (b"", (), b""),
        (b"Traceback", (), b"Traceback"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}junk", (200,), b"junk"),
    ],
    ids=["one", "two", "none", "noise", "noise-behind"],
)
def test_answers_are_told_apart(received: bytes, statuses: tuple[int, ...], rest: bytes) -> None:
    assert read(received) == (statuses, rest)


def test_the_same_number_makes_the_same_bytes() -> None:
    for case in CASES:
        first, again, other = (case(random.Random(seed)) for seed in (1, 1, 2))  # noqa: S311
        assert first == again != other


def test_seeds_are_right_as_they_are(server: Process) -> None:
    v1 = seeds.as_json(seeds.instances())
    predict = seeds.Message("POST", f"/v1/models/{seeds.MODEL}:predict", v1.headers, v1.body)
    for message in (seeds.as_json(seeds.document()), seeds.binary(), predict):
        assert ask(server, message).statuses == (200,)
