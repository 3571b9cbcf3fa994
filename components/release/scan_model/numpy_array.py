"""NumPy's .npy: a header that is read as a literal, then numbers, or a pickle of objects."""

import ast
import re
from typing import Final

from components.foundation.formats.wire import Malformed
from components.release.scan_model.finding import shown

_LENGTHS: Final = {b"\x01\x00": 2, b"\x02\x00": 4, b"\x03\x00": 4}
_LONGEST_HEADER: Final = 1 << 16
_PLAIN: Final = re.compile(r"[<>|=][biufcmMSUV]\d+(\[[a-z0-9]+\])?")
_MOST_FIELDS: Final = 1000


def objects(data: memoryview) -> int:
    """Return where an array's pickle begins; 0 for an array of numbers.

    Raises:
        Malformed: it is no array, or its bytes do not fill its shape.
    """
    size = _LENGTHS.get(bytes(data[6:8]), 0)
    length = int.from_bytes(data[8 : 8 + size], "little") if size else 0
    start = 8 + size + length
    if not size or length > _LONGEST_HEADER or start > len(data):
        raise Malformed("no header of NumPy")
    header = _literal(bytes(data[8 + size : start]))
    match header:
        case {"descr": descr, "fortran_order": bool(), "shape": tuple(shape), **more} if not more:
            return start if _holds_objects(descr) else _check_size(descr, shape, data[start:])
    raise Malformed("a header without descr, fortran_order and shape")


def _literal(raw: bytes) -> object:
    try:
        return ast.literal_eval(raw.decode("latin-1").strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError) as error:
        raise Malformed(f"a header that is no literal: {shown(str(error))}") from error


def _holds_objects(descr: object) -> bool:
    """Say whether a type has objects in it, at any depth."""
    waiting, seen = [descr], 0
    while waiting and (seen := seen + 1) < _MOST_FIELDS:
        match waiting.pop():
            case str(text) if not _PLAIN.fullmatch(text):
                return True
            case list(fields) | tuple(fields):
                waiting += [part for f in fields if isinstance(f, tuple) for part in f[1:2]]
            case str():
                pass
            case _:
                return True
    return bool(waiting)


def _check_size(descr: object, shape: tuple[object, ...], data: memoryview) -> int:
    count = 1
    for size in shape:
        if type(size) is not int or not 0 <= size < 1 << 63:
            raise Malformed(f"a size of {shown(str(size))}")
        count = min(count * size, 1 << 64)
    width = _width(descr)
    if width and count * width != len(data):
        raise Malformed(f"{len(data)} bytes, its shape needs {count * width}")
    return 0


def _width(descr: object) -> int:
    """Return the bytes of one element; 0 for a type of several fields, which is not summed up."""
    if not isinstance(descr, str):
        return 0
    kind, digits = descr[1], re.findall(r"\d+", descr)[0]
    return int(digits[:10]) * (4 if kind == "U" else 1)
