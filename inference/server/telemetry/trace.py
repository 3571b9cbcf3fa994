"""W3C Trace Context: whose work this is, in the headers traceparent and tracestate.

We are strict in what we read and go on with a trace of our own where it is wrong, as
https://www.w3.org/TR/trace-context/ asks: a request never fails for its trace.
"""

import re
from typing import NamedTuple

from inference.server.random_digits import word

_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_NO_TRACE, _NO_SPAN = b"0" * 32, b"0" * 16
_KNOWN_FLAGS = 0x03  # sampled, random; the others are to be sent as zero
_RANDOM = 0x02

_KEY = rb"[a-z0-9][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13}"
_VALUE = rb"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
_ONE = rb"(?:%b)=%b" % (_KEY, _VALUE)
_MEMBER = re.compile(_ONE)
_MEMBERS, _BYTES = 32, 512  # of a tracestate; it may not be longer, we need not keep more
_PLAIN = re.compile(rb"%b(?:,%b){0,%d}" % (_ONE, _ONE, _MEMBERS - 1))  # nothing between members


class Trace(NamedTuple):
    """A span of ours in a trace; a tuple, because one is made for every request.

    Attributes:
        trace_id: 32 hexadecimal digits.
        span_id: 16 of them, ours.
        parent_id: the caller's span, empty where the trace began here.
        flags: sampled is 1.
        state: what vendors pass along, to be sent on as it is.
    """

    trace_id: str
    span_id: str
    parent_id: str = ""
    flags: int = 0
    state: bytes = b""

    def child(self) -> "Trace":
        """Return a span below this one."""
        return Trace(self.trace_id, word(), self.span_id, self.flags, self.state)

    def header(self) -> bytes:
        """Return the traceparent by which whom we call learns of this span."""
        return b"00-%b-%b-%02x" % (self.trace_id.encode(), self.span_id.encode(), self.flags)

    def within(self, share: float) -> bool:
        """Say whether a sample of this share holds the trace; the same for each of its spans."""
        return int(self.trace_id[-14:], 16) < share * (1 << 56)


def received(parent: bytes | None, state: bytes = b"") -> Trace:
    """Return our span in the caller's trace, or in a new one where there is none.

    Args:
        parent: the value of traceparent; several values joined are no value.
        state: the value, or the values joined by commas, of tracestate.
    """
    found = _PARENT.fullmatch(parent) if parent else None
    if found is None:
        return _new()
    version, trace, span, flags, more = found.groups()
    if version == b"ff" or (more and version == b"00") or trace == _NO_TRACE or span == _NO_SPAN:
        return _new()
    known = 1 if flags == b"01" else int(flags, 16) & _KNOWN_FLAGS
    kept = _kept(state) if state else b""
    return Trace(trace.decode(), word(), span.decode(), known, kept)


def _new() -> Trace:
    # All zeros once in 2^64 spans: not worth a question.
    return Trace(word() + word(), word(), flags=_RANDOM)


def _kept(state: bytes) -> bytes:
    """Return what is passed on: whole members from the left; nothing where one is malformed."""
    if len(state) <= _BYTES and _PLAIN.fullmatch(state):
        return state  # as almost all are: one match is quicker than taking it apart
    members = [member for part in state.split(b",") if (member := part.strip(b" \t"))]
    if len(members) > _MEMBERS or not all(map(_MEMBER.fullmatch, members)):
        return b""
    kept, length = [], -1
    for member in members:
        length += 1 + len(member)
        if length > _BYTES:
            break
        kept.append(member)
    return b",".join(kept)
