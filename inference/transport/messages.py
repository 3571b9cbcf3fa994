"""What a handler is given and gives back."""

import json
import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from components.foundation.errors import FalajError

_LOG = logging.getLogger("http")

Buffer = bytes | bytearray | memoryview
Headers = tuple[tuple[bytes, bytes], ...]
JSON = b"application/json"
RETRY_SOON: Headers = ((b"retry-after", b"1"),)


class Rejected(FalajError):
    """A request that will not be answered; `status` is the HTTP status that says why."""

    def __init__(self, status: int, message: str, *, headers: Headers = ()) -> None:
        super().__init__(message, code="request-rejected")
        self.status, self.headers = status, headers


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer."""

    status: int
    body: bytes = b""
    kind: bytes = JSON
    headers: Headers = ()

    @classmethod
    def refusal(cls, rejected: Rejected) -> "Reply":
        """Say in JSON why a request was rejected."""
        body = json.dumps({"error": str(rejected)}).encode()
        return cls(rejected.status, body, headers=rejected.headers)


class Request(Protocol):
    """A request whose head is there; its body is read when it is asked for."""

    @property
    def method(self) -> str: ...
    @property
    def target(self) -> bytes:
        """Path and query as they came: what is passed on is not decoded and encoded again."""

    @property
    def path(self) -> str: ...
    @property
    def query(self) -> str: ...
    @property
    def headers(self) -> Mapping[bytes, bytes]:
        """By lower-case name; one that came several times is joined by commas."""

    async def body(self, *, aligned_at: int = 0) -> Buffer:
        """Read the body; raises Rejected 408, 413 or 429 where a limit says so.

        Args:
            aligned_at: which byte of it should lie where an array may begin; it mostly does.
        """


class Handler(Protocol):
    """Answers requests, one at a time a connection; cancelled when its client has gone."""

    async def __call__(self, request: Request, /) -> Reply: ...


async def settled(handler: Handler, request: Request) -> Reply:
    """Have a request answered, if only by a refusal."""
    try:
        return await handler(request)
    except Rejected as rejected:
        return Reply.refusal(rejected)
    # Whatever a handler raises, its client learns that it failed and under which number.
    except Exception:
        incident, told = failed("the server")
        _LOG.exception("incident %s", incident)
        return Reply.refusal(told)


def failed(what: str) -> tuple[str, Rejected]:
    """Give a failure a number for the log, and the refusal that tells its client no more."""
    incident = uuid.uuid4().hex[:12]
    return incident, Rejected(500, f"{what} failed; incident {incident}")


def not_allowed(*allowed: str) -> Rejected:
    """Refuse a method, naming the ones there are."""
    methods = ", ".join(allowed)
    return Rejected(405, f"only {methods} is allowed here", headers=((b"allow", methods.encode()),))
