import asyncio
import json
import os
from collections.abc import Iterator

import pytest

from inference.server.telemetry.access_log import AccessLog
from inference.server.telemetry.following import Followed, Follower, current
from inference.transport.messages import Rejected

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01".encode()


def lost(lines: int) -> None:
    raise AssertionError


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def follow(follower: Follower, parent: bytes | None = PARENT) -> Followed:
    return follower.follow(parent, b"", method="POST", path="/p?q=1")


def test_only_what_has_a_trace_or_a_log_is_followed(pipe: tuple[int, int]) -> None:
    silent = Follower(AccessLog(0, dropped=lost), variant="a")
    log = AccessLog(1, dropped=lost, file=pipe[1])

    assert silent.wants(PARENT)
    assert not silent.wants(None)
    assert Follower(log, variant="a").wants(None)
    log.close()


def test_a_task_knows_what_it_answers_until_it_has(pipe: tuple[int, int]) -> None:
    follower = Follower(AccessLog(0, dropped=lost), variant="a")

    async def answer() -> Followed | None:
        with follow(follower):
            await asyncio.sleep(0)
            return current()

    async def all_at_once() -> tuple[Followed | None, Followed | None]:
        return await asyncio.gather(answer(), answer())

    first, second = asyncio.run(all_at_once())
    assert first is not None
    assert second is not None
    assert first.trace.span_id != second.trace.span_id
    with follow(follower) as followed:
        assert current() is followed
    assert current() is None


@pytest.mark.parametrize(
    ("ended", "status"),
    [
        (None, 200),
        (Rejected(429, "too much"), 429),
        (asyncio.CancelledError(), 499),
        (ValueError("a secret"), 500),
    ],
    ids=["answered", "refused", "gone", "failed"],
)
def test_the_line_says_how_it_ended(
    pipe: tuple[int, int], ended: BaseException | None, status: int
) -> None:
    log = AccessLog(1, dropped=lost, file=pipe[1])

    def answer() -> None:
        with follow(Follower(log, variant="b")) as followed:
            followed.model, followed.version, followed.rows = "delays", "7", 3
            if ended is not None:
                raise ended
            followed.answered(200, 11)

    if ended is None:
        answer()
    else:
        with pytest.raises(type(ended)):
            answer()
    log.close()

    line = json.loads(os.read(pipe[0], 4096))
    assert (line["status"], line["bytes_out"]) == (status, 0 if ended else 11)
    assert (line["trace_id"], line["path"]) == (TRACE, "/p")
    assert (line["model"], line["version"], line["variant"], line["rows"]) == (
        "delays",
        "7",
        "b",
        3,
    )
