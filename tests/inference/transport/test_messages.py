"""Whatever a handler does, its client is answered and told no more than it may know."""

import asyncio
import json

import pytest

from inference.transport.incoming import Incoming
from inference.transport.limits import Budget, Limits
from inference.transport.messages import Handler, Rejected, Reply, Request, settled


def raising(error: BaseException) -> Handler:
    async def handler(request: Request) -> Reply:
        raise error

    return handler


def answered(handler: Handler) -> Reply:
    return asyncio.run(settled(handler, Incoming(Limits(), Budget(0))))


def test_a_refusal_is_an_answer_with_its_status_and_headers() -> None:
    reply = answered(raising(Rejected(429, "too many", headers=((b"retry-after", b"3"),))))

    assert (reply.status, reply.headers) == (429, ((b"retry-after", b"3"),))
    assert json.loads(reply.body) == {"error": "too many"}


def test_a_failure_is_told_by_a_number_that_the_log_explains(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reply = answered(raising(ValueError("secret")))

    told = json.loads(reply.body)["error"]
    assert (reply.status, told[:28]) == (500, "the server failed; incident ")
    assert told[28:] in caplog.text
    assert "ValueError: secret" in caplog.text
    assert "secret" not in told


def test_a_client_that_has_gone_is_answered_by_nobody() -> None:
    with pytest.raises(asyncio.CancelledError):
        answered(raising(asyncio.CancelledError()))
