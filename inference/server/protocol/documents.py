"""JSON bodies: small ones read by orjson, large numeric ones by simdjson into arrays.

For 150,000 floats simdjson takes a third of the time, as no number becomes an object of
Python. It is believed only where its reading is surely orjson's too; a body in which anything
is out of the ordinary (null, text among the numbers, lists within lists that are not as deep
as the shape says, an integer that fits no machine word) goes to orjson, which alone refuses.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from components.foundation.signature import Array
from inference.server.protocol.messages import Rejected
from inference.server.protocol.tensors import Buffer

_PIECE = 1 << 17  # bytes looked at at once
_FEW = 32  # brackets, each of which is searched for
LARGE = 8192  # bytes; below, orjson is as quick
_BUFFERS: Mapping[str, str] = {
    **dict.fromkeys(("FP16", "FP32", "FP64", "BF16"), "d"),
    **dict.fromkeys(("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32"), "i"),
    "UINT64": "u",
}
_BUFFER_TYPES: Mapping[str, type[np.generic]] = {"d": np.float64, "i": np.int64, "u": np.uint64}


class _Unsure(Exception):
    """The body may mean something else to orjson."""


def load(body: Buffer) -> dict[str, Any]:
    """Read an object; `data` of an input may be an array of its numbers instead of a list.

    Raises:
        Rejected: the body is no JSON, or no object.
    """
    if len(body) >= LARGE:
        try:
            return _quickly(body)
        except (_Unsure, ValueError, TypeError, AttributeError, LookupError, RuntimeError):
            pass  # whatever it stumbled over, orjson says what is wrong with it, or nothing is
    return load_plain(body)


def load_plain(body: Buffer) -> dict[str, Any]:
    """Read an object of Python's own types; raises Rejected like load()."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as broken:
        raise Rejected(400, f"the body is not JSON: {broken.msg}, position {broken.pos}") from None
    if not isinstance(value, dict):
        raise Rejected(400, "the body is no JSON object; expected {inputs: [...]}")
    return value


def _quickly(body: Buffer) -> dict[str, Any]:
    """Read numbers into arrays; raises one of several errors where that is not safe.

    simdjson flattens lists within lists whatever their lengths, hence the count of brackets:
    there are no more of them than in the lists that were looked at.
    """
    import simdjson

    octets = np.frombuffer(body, np.uint8)
    if octets[0] != ord("{"):
        raise _Unsure  # a byte order mark, say, which simdjson skips
    brackets = _brackets(octets)  # first: the body, just received, is copied by simdjson next
    members = _members(simdjson.Parser().parse(body))
    entries = [_members(entry) for entry in members.pop("inputs")]
    data = [entry.pop("data") for entry in entries]
    document = {name: _plain(value) for name, value in members.items()}
    document["inputs"] = [{k: _plain(v) for k, v in entry.items()} for entry in entries]
    lists = _lists(document)
    for entry, values in zip(document["inputs"], data, strict=True):
        lists += _lists_of_numbers(values, entry["shape"])
        entry["data"] = _numbers(values, entry["datatype"])
    if brackets != lists:
        raise _Unsure
    return document


def _brackets(octets: Array) -> int:
    """Count "[": a few by a search for each, many in pieces.

    A mask of the whole body would be given back and faulted in anew.
    """
    text, at = octets.view(f"S{len(octets)}"), -1
    for found in range(_FEW):
        at = int(np.strings.find(text, b"[", at + 1)[0])
        if at < 0:
            return found
    pieces = range(0, len(octets), _PIECE)
    return sum(int(np.count_nonzero(octets[at : at + _PIECE] == ord("["))) for at in pieces)


def _members(value: Any) -> dict[str, Any]:
    """Take an object apart one level deep; of two members with one name orjson has the last."""
    names = list(value.keys())
    if len(set(names)) != len(names):
        raise _Unsure
    return {name: value[name] for name in names}


def _plain(value: Any) -> Any:
    if hasattr(value, "as_dict"):
        return value.as_dict()
    return value.as_list() if hasattr(value, "as_list") else value


def _lists(value: Any) -> int:
    """Count the lists in a value."""
    match value:
        case dict():
            return sum(map(_lists, value.values()))
        case list():
            return 1 + sum(map(_lists, value))
    return 0


def _lists_of_numbers(data: Any, shape: Sequence[int]) -> int:
    """Count the lists in data that is flat, or nested as the shape says; else raise."""
    if not hasattr(data[0], "as_list"):
        return 1
    level: list[Any] = []
    count = 0
    for depth, size in enumerate(shape):
        level = [row for rows in level for row in rows] if depth else [data]
        if set(map(len, level)) != {size}:
            raise _Unsure
        count += len(level)
    return count


def _numbers(data: Any, datatype: str) -> Array:
    """Copy numbers, which as_buffer() refuses unless all are of its type or widen to it."""
    letter = _BUFFERS[datatype]
    return np.frombuffer(data.as_buffer(of_type=letter), _BUFFER_TYPES[letter])
