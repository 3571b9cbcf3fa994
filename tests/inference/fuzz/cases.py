"""Ways in which a request can be wrong; each takes chance and returns bytes for one connection."""

import copy
import json
import random
from collections.abc import Callable
from typing import Any

from tests.inference.fuzz import seeds
from tests.inference.fuzz.seeds import INFER, MODEL, Message

Case = Callable[[random.Random], bytes]

_TARGETS = (
    "/", "*", "", "http://other/v2", "//v2", "/v2/../metrics", "/v2/models//infer", "/v2/%00",
    "/v2/models/%ff/infer", "/v2/health/live?x=%", "/v2/models/echo/versions/9/infer", "/metrics",
    f"/v1/models/{MODEL}:predict", f"/v1/models/{MODEL}:explain", "/v2/repository/index", "?",
    "/v2/models/" + "a" * 9000, "/" * 3000, f"{INFER}#x", "/v2/models/é/infer", INFER,
)  # fmt: skip
_METHODS = ("HEAD", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PRI", "get", "P\0ST", "")
_LENGTHS = (
    "-1", "+5", "0x10", "1e3", "99999999999999999999", "18446744073709551616", "5, 5", "5, 6", "",
    " ", "5 5", "abc", "0", "1", "100000000", "\u0665",
)  # fmt: skip
_ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 2**31, 2**63, -(2**63) - 1, 2**64, 10**400, 1e308, "", "x",
    "\0", "\ud800", "x" * 5000, [], {}, [[]], [None], {"a": {}}, [[1, 2], [3]], [1] * 3000, "NaN",
    float("nan"), float("inf"), [1, "a", None], "FP32", "INT64", "BYTES", [2, 2], [4], [2**62, 4],
    [-1, 2], [0, 2], [1.0, 2], ["2", 2], [10**12],
)  # fmt: skip
_LONGEST_NUMBER = 4000


def flipped(chance: random.Random) -> bytes:
    """Change some bytes anywhere."""
    wire = bytearray(_right(chance).wire())
    for _ in range(chance.choice((1, 1, 1, 2, 4, 16))):
        wire[chance.randrange(len(wire))] = chance.randrange(256)
    return bytes(wire)


def cut(chance: random.Random) -> bytes:
    """End in the middle."""
    wire = _right(chance).wire()
    return wire[: chance.randrange(len(wire))]


def wrong_length(chance: random.Random) -> bytes:
    """Say another length than there is."""
    message = _right(chance)
    if chance.random() < 0.5:
        return message.wire(length=str(max(0, len(message.body) + chance.randint(-50, 50))))
    return message.wire(length=chance.choice(_LENGTHS))


def two_lengths(chance: random.Random) -> bytes:
    """Say the length twice, or a length and that there is none."""
    message = _right(chance)
    size = str(len(message.body))
    other = chance.choice((size, "5", *_LENGTHS))
    first, second = chance.choice(
        (
            ("content-length", "Content-Length"),
            ("transfer-encoding", "content-length"),
            ("content-length", "Transfer-Encoding"),
        )
    )
    said = {first: size, second: other}
    said |= {name: "chunked" for name in said if name.lower() == "transfer-encoding"}
    return Message(headers={**message.headers, **said}, body=message.body).wire(length=None)


def bad_chunks(chance: random.Random) -> bytes:
    """Send in pieces whose sizes lie, or whose frame is broken."""
    message = _right(chance)
    sizes = ("-1", "zz", "", "FFFFFFFFFFFFFFFFF", "0x5", "5;" + "e" * 5000, " 5", "5 ", "\u0661")
    pieces = b""
    body = message.body
    while body:
        size = chance.randint(1, 200)
        piece, body = body[:size], body[size:]
        shown = f"{len(piece):x}" if chance.random() < 0.8 else chance.choice(sizes)
        end = b"\r\n" if chance.random() < 0.9 else chance.choice((b"\n", b"", b"\r", b"xx"))
        pieces += shown.encode() + b"\r\n" + piece + end
    last = chance.choice((b"0\r\n\r\n", b"0\r\nx-trailer: 1\r\n\r\n", b"0\r\n", b"", b"00\r\n\r\n"))
    coding = chance.choice(("chunked", "chunked", "chunked", "gzip, chunked", "chunked, gzip", "x"))
    headers = {**message.headers, "transfer-encoding": coding}
    return Message(headers=headers, body=pieces + last).wire(length=None)


def heavy_head(chance: random.Random) -> bytes:
    """Send many headers, or long ones, or ones that are none."""
    message = _right(chance)
    odd = {
        "x-long": "a" * chance.choice((100, 8_000, 20_000, 70_000)),
        "expect": "100-continue",
        "connection": chance.choice(("close", "upgrade", "keep-alive, close", "a" * 300)),
        "upgrade": chance.choice(("h2c", "websocket")),
        "content-encoding": "gzip",
        "traceparent": chance.choice(("00-" + "f" * 32 + "-" + "0" * 16 + "-01", "x", "")),
        "authorization": "Bearer " + "a" * 500,
        "x bad name": "1",
        "x-\0": "\0",
        "x-folded": "a\r\n b",
        "": "empty",
        "content-type": chance.choice(("text/plain", "", "application/json; charset=x", "\xff")),
        **{f"x-{number}": "v" for number in range(chance.choice((1, 50, 2000)))},
    }
    chosen = chance.sample(sorted(odd), chance.randint(1, 4))
    headers = {**message.headers, **{name: odd[name] for name in chosen}}
    if chance.random() < 0.2:
        headers |= {name: value for name, value in odd.items() if name.startswith("x-")}
    return Message(message.method, message.target, headers, message.body).wire()


def pipelined(chance: random.Random) -> bytes:
    """Send several requests at once, perhaps with a wrong one between them."""
    wires = [_right(chance).wire() for _ in range(chance.randint(2, 20))]
    if chance.random() < 0.7:
        wires.insert(chance.randrange(len(wires)), chance.choice(_SINGLE)(chance))
    return b"".join(wires)


def odd_target(chance: random.Random) -> bytes:
    """Ask for paths with methods and versions that are none."""
    method = chance.choice(("GET", "POST", *_METHODS))
    message = Message(method, chance.choice(_TARGETS), {}, chance.choice((b"", b"{}")))
    wire = message.wire()
    version = chance.choice((b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9", b"http/1.1", b""))
    return wire.replace(b"HTTP/1.1", version, 1)


def noise(chance: random.Random) -> bytes:
    """Send what is no HTTP at all."""
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    start = chance.choice((hello, preface, b"\r\n" * 50, b"\0", b"GET", b""))
    return start + chance.randbytes(chance.randint(1, 2000))


def bad_text(chance: random.Random) -> bytes:
    """Break the UTF-8, the escapes or the grammar of the JSON."""
    body = bytearray(json.dumps(seeds.document()).encode())
    broken = (
        b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\\u12", b"\\ud800", b"\0", b'"', b"\\", b"}",
        b"]", b",", b"/**/", b"\xef\xbb\xbf", b"NaN", b"-", b"1e", b"01", b"'",
    )  # fmt: skip
    for _ in range(chance.randint(1, 3)):
        where = chance.randrange(len(body))
        body[where:where] = chance.choice(broken)
    return Message(headers={"content-type": "application/json"}, body=bytes(body)).wire()


def deep(chance: random.Random) -> bytes:
    """Nest without end."""
    depth = chance.choice((10, 300, 1_500, 20_000, 100_000))
    opening, closing = chance.choice((("[", "]"), ('{"a":', "}"), ("[[", "]]")))
    nested = opening * depth + "1" + closing * (depth if chance.random() < 0.7 else 0)
    text = json.dumps(seeds.document())
    inside = (text.replace('"r-1"', nested), text.replace("[1.5", f"[{nested}"))
    whole = chance.choice((nested, *inside))
    return Message(headers={"content-type": "application/json"}, body=whole.encode()).wire()


def giant_number(chance: random.Random) -> bytes:
    """Write numbers that no datatype holds."""
    digits = "9" * chance.choice((19, 20, 39, 400, _LONGEST_NUMBER, 100_000))
    small = f"1e-{digits[:19]}"
    number = chance.choice((digits, f"-{digits}", f"1e{digits}", f"0.{digits}", small))
    text = json.dumps(seeds.document())
    text = text.replace(chance.choice(("1.5", "-2.0", "3.0", "2, 2", "-2, 3")), number, 1)
    return Message(headers={"content-type": "application/json"}, body=text.encode()).wire()


def odd_value(chance: random.Random) -> bytes:
    """Put a value where another kind belongs, or leave it out."""
    return seeds.as_json(_changed(seeds.document(), chance)).wire()


def odd_instance(chance: random.Random) -> bytes:
    """The same in the v1 protocol."""
    message = seeds.as_json(_changed(seeds.instances(), chance))
    target = f"/v1/models/{MODEL}:predict"
    return Message("POST", target, message.headers, message.body).wire()


def binary_lies(chance: random.Random) -> bytes:
    """Say that bytes lie elsewhere, are more, fewer, or of another kind."""
    right = seeds.binary()
    length = int(right.headers["inference-header-content-length"])
    value = json.loads(right.body[:length])
    header = None
    if chance.random() < 0.5:
        near = str(max(0, length + chance.randint(-30, 60)))
        header = chance.choice((*_LENGTHS, near, near))
    else:
        tensor = chance.choice(value["inputs"])
        size = tensor["parameters"]["binary_data_size"]
        sizes = (size - 1, size + 1, 0, -1, -size, 2**31, 2**63, 1e3, True, None, "16", [16], 1e400)
        tensor["parameters"]["binary_data_size"] = chance.choice(sizes)
        if chance.random() < 0.3:
            tensor["data"] = [1, 2, 3, 4]
        if chance.random() < 0.3:
            tensor["shape"] = chance.choice(([2**62, 4], [0, 2], [-1, 2], [4], [2, 2, 1], []))
    wire = seeds.binary(value, header=header)
    return Message("POST", INFER, wire.headers, _scratched(wire.body, length, chance)).wire()


def scratched_bytes(chance: random.Random) -> bytes:
    """Tell no lies, and change the tensors' bytes: other numbers, no UTF-8, wrong lengths."""
    right = seeds.binary()
    length = int(right.headers["inference-header-content-length"])
    body = bytearray(right.body)
    for _ in range(chance.randint(1, 4)):
        body[chance.randrange(length, len(body))] = chance.randrange(256)
    return Message("POST", INFER, right.headers, bytes(body)).wire()


def _scratched(body: bytes, start: int, chance: random.Random) -> bytes:
    """Change, cut or lengthen the bytes behind the JSON now and then."""
    tail = bytearray(body[start:])
    match chance.randrange(4):
        case 0 if tail:
            tail[chance.randrange(len(tail))] = chance.randrange(256)
        case 1:
            tail = tail[: chance.randrange(len(tail) + 1)]
        case 2:
            tail += chance.randbytes(chance.randint(1, 64))
    return body[:start] + bytes(tail)


def _changed(value: Any, chance: random.Random) -> Any:
    """Return a copy with one to three places changed."""
    whole = [copy.deepcopy(value)]
    for _ in range(chance.choice((1, 1, 2, 3))):
        where: Any = whole
        key: Any = 0
        while isinstance(where[key], dict | list) and where[key] and chance.random() < 0.85:
            where = where[key]
            key = chance.choice(list(where)) if isinstance(where, dict) else _index(where, chance)
        if chance.random() < 0.2 and where is not whole:
            del where[key]
        else:
            where[key] = copy.deepcopy(chance.choice(_ODD))
    return whole[0]


def _index(values: list[Any], chance: random.Random) -> int:
    return chance.randrange(len(values))


def _right(chance: random.Random) -> Message:
    """Return a request with nothing wrong."""
    match chance.randrange(5):
        case 0:
            return seeds.binary()
        case 1:
            return Message("GET", chance.choice(("/v2", "/metrics", "/v2/health/ready")))
        case 2:
            v1 = seeds.as_json(seeds.instances())
            return Message("POST", f"/v1/models/{MODEL}:predict", v1.headers, v1.body)
    return seeds.as_json(seeds.document())


_SINGLE: tuple[Case, ...] = (
    flipped, cut, wrong_length, two_lengths, bad_chunks, heavy_head, odd_target, noise, bad_text,
    deep, giant_number, odd_value, odd_instance, binary_lies,
    scratched_bytes,
)  # fmt: skip
CASES: tuple[Case, ...] = (*_SINGLE, pipelined)
