"""What passes between a client and an upstream: no header of one connection (RFC 9110, 7.6.1)."""

from collections.abc import Iterable, Mapping
from typing import Final

from inference.transport.client import Answer
from inference.transport.messages import Headers, Reply

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
# What who forwards writes itself, on either side.
_REQUEST: Final = _CONNECTION | {b"host", b"content-length", b"expect"}
_ANSWER: Final = _CONNECTION | {b"content-length", b"content-type", b"date"}
_UNTYPED: Final = b"application/octet-stream"
_NONE: Final = frozenset[bytes]()


def of_request(headers: Mapping[bytes, bytes], *, but: frozenset[bytes] = _NONE) -> Headers:
    """Return what the upstream is sent of a client's headers; `but` names what is not, besides."""
    return _without(headers.items(), _REQUEST | but, headers.get(b"connection", b""))


def reply(answer: Answer, *, but: frozenset[bytes] = _NONE) -> Reply:
    """Return what the client is sent of an upstream's answer; `but` names headers that are not."""
    headers = answer.headers
    told = _without(headers, _ANSWER | but, _value(headers, b"connection", b""))
    kind = _value(headers, b"content-type", _UNTYPED)
    return Reply(answer.status, answer.body, kind, told)


def _value(headers: Headers, name: bytes, default: bytes) -> bytes:
    """Return a header's first value."""
    return next((value for key, value in headers if key == name), default)


def _without(
    headers: Iterable[tuple[bytes, bytes]], dropped: frozenset[bytes], named: bytes
) -> Headers:
    if named:
        dropped |= {name.strip().lower() for name in named.split(b",")}
    return tuple(header for header in headers if header[0] not in dropped)
