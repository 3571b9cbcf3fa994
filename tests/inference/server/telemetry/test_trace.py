import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.server.telemetry.trace import Trace, received

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GIVEN = f"00-{TRACE}-{SPAN}-01".encode()
OURS = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[0-3]")


def digits(size: int) -> st.SearchStrategy[str]:
    text = st.text("0123456789abcdef", min_size=size, max_size=size)
    return text.filter(lambda made: set(made) != {"0"})


def test_goes_on_with_the_caller_s_trace_in_a_span_of_its_own() -> None:
    trace = received(GIVEN, b"congo=t61rcWkgMzE")

    assert (trace.trace_id, trace.parent_id, trace.flags) == (TRACE, SPAN, 1)
    assert trace.span_id != SPAN
    assert trace.state == b"congo=t61rcWkgMzE"
    assert trace.header() == f"00-{TRACE}-{trace.span_id}-01".encode()


def test_a_child_is_another_span_of_the_same_trace() -> None:
    trace = received(GIVEN, b"a=1")
    child = trace.child()

    assert child._replace(span_id="", parent_id="") == trace._replace(span_id="", parent_id="")
    assert child.parent_id == trace.span_id
    assert child.span_id not in {trace.span_id, SPAN}


@pytest.mark.parametrize(
    "header",
    [
        None,
        b"",
        f"ff-{TRACE}-{SPAN}-01".encode(),
        f"00-{'0' * 32}-{SPAN}-01".encode(),
        f"00-{TRACE}-{'0' * 16}-01".encode(),
        f"00-{TRACE.upper()}-{SPAN}-01".encode(),
        f"00-{TRACE}-{SPAN}-1".encode(),
        f"00-{TRACE}-{SPAN}-01-more".encode(),
        f"00-{TRACE}-{SPAN}-01-".encode(),
        f"01-{TRACE}-{SPAN}-01more".encode(),
        f"00-{TRACE}-{SPAN}-01\n".encode(),
        f" 00-{TRACE}-{SPAN}-01".encode(),
        GIVEN + b"," + GIVEN,
        f"00-{TRACE[:-1]}-{SPAN}-01".encode(),
        f"00-{TRACE}g-{SPAN}-01".encode(),
        f"0-{TRACE}-{SPAN}-01".encode(),
        f"00_{TRACE}_{SPAN}_01".encode(),
    ],
)
def test_starts_a_trace_where_none_is_given_as_it_must_be(header: bytes | None) -> None:
    trace = received(header, b"a=1")

    assert OURS.fullmatch(trace.header())
    assert (trace.parent_id, trace.state) == ("", b"")
    assert trace.trace_id != TRACE


@pytest.mark.parametrize("more", ["", "-", "-what-the future\xe9 holds"])
def test_tolerates_a_version_of_the_future_and_answers_in_its_own(more: str) -> None:
    trace = received(f"cc-{TRACE}-{SPAN}-ff{more}".encode("latin-1"))

    assert (trace.trace_id, trace.parent_id) == (TRACE, SPAN)
    assert trace.header().endswith(b"-03")


@given(trace=digits(32), span=digits(16), flags=st.integers(0, 255), version=st.integers(0, 254))
@settings(max_examples=100, deadline=None)
def test_whatever_is_valid_goes_on(trace: str, span: str, flags: int, version: int) -> None:
    found = received(f"{version:02x}-{trace}-{span}-{flags:02x}".encode())

    assert (found.trace_id, found.parent_id, found.flags) == (trace, span, flags & 3)
    again = received(found.header())
    assert (again.trace_id, again.parent_id) == (trace, found.span_id)


@given(
    st.binary(max_size=80) | st.builds(lambda a, b: GIVEN[:a] + b, st.integers(0, 55), st.binary())
)
@settings(max_examples=200, deadline=None)
def test_no_header_breaks_it(header: bytes) -> None:
    assert OURS.fullmatch(received(header, header).header())


@pytest.mark.parametrize(
    ("state", "kept"),
    [
        (b"a=1, b=2 ,\tc=3", b"a=1,b=2,c=3"),
        (b"a=1,,b=2", b"a=1,b=2"),
        (b"tenant@system=x y", b"tenant@system=x y"),
        (b",".join(b"k%d=v" % n for n in range(32)), b",".join(b"k%d=v" % n for n in range(32))),
        (b",".join(b"k%d=v" % n for n in range(33)), b""),
        (b"a=1,b", b""),
        (b"A=1", b""),
        (b"a=", b""),
        (b"a=\xff", b""),
        (b"a=1\r\nx: y", b""),
        (b"a=" + b"v" * 256, b"a=" + b"v" * 256),
        (b"a=" + b"v" * 257, b""),
        (b"a=" + b"v" * 250 + b",b=" + b"v" * 250, b"a=" + b"v" * 250 + b",b=" + b"v" * 250),
        (b"a=" + b"v" * 250 + b",b=" + b"v" * 250 + b",c=12345", None),
    ],
)
def test_passes_on_a_state_that_is_well_formed_within_bounds(
    state: bytes, kept: bytes | None
) -> None:
    expected = state.rpartition(b",")[0] if kept is None else kept

    assert received(GIVEN, state).state == expected
    assert len(expected) <= 512


def test_a_trace_is_in_a_sample_everywhere_or_nowhere() -> None:
    traces = [received(None) for _ in range(4000)]

    sampled = [trace for trace in traces if trace.within(0.25)]
    assert 800 < len(sampled) < 1200
    assert all(trace.child().within(0.25) for trace in sampled)
    assert all(received(trace.header()).within(0.25) for trace in sampled)
    assert all(trace.within(1.0) and not trace.within(0.0) for trace in traces)


def test_spans_of_forked_processes_differ() -> None:
    import os

    reading, writing = os.pipe()
    if os.fork() == 0:
        os.write(writing, received(None).header())
        os._exit(0)
    os.wait()

    other = os.read(reading, 100)
    assert received(None).trace_id.encode() not in other
    os.close(reading)
    os.close(writing)


def test_the_extremes_of_the_sample_are_exact() -> None:
    lowest, highest = Trace("0" * 31 + "1", SPAN), Trace("f" * 32, SPAN)

    assert lowest.within(0.001)
    assert not highest.within(0.999)
    assert highest.within(1.0)
