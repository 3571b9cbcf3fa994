"""Which headers pass through the router; those of one connection do not (RFC 9110, 7.6.1)."""

from collections.abc import Iterable
from typing import Final

from inference.transport.messages import Headers

VARIANT: Final = b"x-falaj-variant"
_CONNECTION: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
# What both sides of the router write themselves.
_REQUEST: Final = _CONNECTION | {b"host", b"content-length", b"expect", VARIANT}
_ANSWER: Final = _CONNECTION | {b"content-length", b"content-type", b"date", VARIANT}


def of_request(headers: Iterable[tuple[bytes, bytes]], *, named: bytes) -> Headers:
    """Return what the upstream is sent; `named` is the value of the header Connection."""
    return _without(headers, _REQUEST, named)


def of_answer(headers: Headers) -> Headers:
    """Return what the client is sent, but for the media type."""
    return _without(headers, _ANSWER, value(headers, b"connection"))


def value(headers: Headers, name: bytes, default: bytes = b"") -> bytes:
    """Return a header's first value."""
    return next((value for key, value in headers if key == name), default)


def _without(
    headers: Iterable[tuple[bytes, bytes]], dropped: frozenset[bytes], named: bytes
) -> Headers:
    if named:
        dropped |= {name.strip().lower() for name in named.split(b",")}
    return tuple(header for header in headers if header[0] not in dropped)
