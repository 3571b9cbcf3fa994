"""One tensor on the wire and in numpy: values of JSON, and raw bytes.

Raw is little-endian, row major, without padding; an element of BYTES is its length in four
bytes and then itself. FP16 is float16 in numpy, BF16 is float32 whose values BF16 holds, BYTES
is an object array of bytes. A `null` in a float tensor of JSON means missing (NaN).
"""

import math
import struct
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, NoReturn

import numpy as np

from components.foundation.signature import DTYPES, Array, Tensor, as_bf16
from inference.server.protocol.messages import Rejected

Buffer = bytes | bytearray | memoryview

# How the struct module calls the type that JSON values are packed as; it refuses what does not
# fit, and packs and rounds in one go, which takes a third of the time of numpy's array().
_PACKED = {
    "BOOL": "?",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
    "BF16": "f",
}
_INTEGERS: frozenset[type] = frozenset({int})
_FLOATS: frozenset[type] = frozenset({int, float, type(None)})
_KINDS: Mapping[str, frozenset[type]] = {  # the types of Python that JSON may hold
    **{datatype: _FLOATS if kind in "efd" else _INTEGERS for datatype, kind in _PACKED.items()},
    "BOOL": frozenset({bool}),
    "BYTES": frozenset({str, bytes}),  # bytes where somebody decoded them already
}
_LITTLE = {datatype: dtype.newbyteorder("<") for datatype, dtype in DTYPES.items()}
_RAW: Mapping[str, np.dtype[Any]] = {**_LITTLE, "BF16": np.dtype("<u2")}
_LENGTH = struct.Struct("<I")
_DATATYPES = {dtype: name for name, dtype in DTYPES.items() if name not in ("BF16", "BYTES")}


def of_array(values: Array, said: str | None) -> str:
    """Name the datatype of an output, which the signature said is so (BF16 looks like FP32)."""
    if said == "BF16" and values.dtype == np.float32:
        return said
    return _DATATYPES.get(values.dtype, "BYTES")


def from_json(data: Any, tensor: Tensor, shape: tuple[int, ...]) -> Array:
    """Read JSON values, flat or nested as the shape says.

    Args:
        data: a list, or an array of numbers where a quicker parser made one.
        tensor: name and datatype.
        shape: the one to have, already found to be one of the tensor's.

    Raises:
        Rejected: too many or too few values, or one that is not of the datatype.
    """
    if isinstance(data, np.ndarray):
        _check_count(data.size, tensor, shape)
        return _narrowed(data, tensor).reshape(shape)
    if type(data) is not list:
        raise Rejected(400, f"input {tensor.name!r}: data is missing or no list")
    if data and type(data[0]) is list:
        data = _unrolled(data, tensor, shape)
    _check_count(len(data), tensor, shape)
    kinds = set(map(type, data))
    if not kinds <= _KINDS[tensor.datatype]:
        _refuse(tensor)
    if tensor.datatype == "BYTES":
        return _objects([v.encode() if type(v) is str else v for v in data], shape)
    if type(None) in kinds:
        data = [math.nan if value is None else value for value in data]
    return _packed(data, tensor, shape)


def from_raw(raw: Buffer, tensor: Tensor, shape: tuple[int, ...]) -> Array:
    """Read raw bytes; the array is a view of them wherever it can be, and then read-only.

    Raises:
        Rejected: too many or too few bytes, or ones that no value of the datatype has.
    """
    if tensor.datatype == "BYTES":
        return _objects(_elements(raw, tensor, math.prod(shape)), shape)
    dtype = _RAW[tensor.datatype]
    if len(raw) != math.prod(shape) * dtype.itemsize:
        want = f"expected {math.prod(shape) * dtype.itemsize} for shape {list(shape)}"
        raise Rejected(400, f"input {tensor.name!r}: {len(raw)} bytes, {want}")
    values: Array = np.ndarray(shape, dtype, raw)
    if not values.flags.aligned:
        values = values.copy()  # runtimes may take for granted that values lie on their size
    if tensor.datatype == "BF16":
        wide = values.reshape(-1).astype(np.uint32) << np.uint32(16)
        return wide.view(np.float32).reshape(shape)
    if tensor.datatype == "BOOL" and values.view(np.uint8).max(initial=0) > 1:
        raise Rejected(400, f"input {tensor.name!r}: a byte of BOOL is neither 0 nor 1")
    return values


def to_json(values: Array, name: str) -> Any:
    """Return what orjson writes as the flat values of a tensor; NaN and infinity as null.

    Raises:
        Rejected: bytes that are no text, which JSON cannot hold.
    """
    flat = np.ascontiguousarray(values).reshape(-1)
    return flat if flat.dtype.kind in "fiub" else _texts(flat.tolist(), name)


def to_raw(values: Array, datatype: str) -> Buffer:
    """Return the raw bytes of an array, as a view of it where it lies that way already."""
    if datatype == "BYTES":
        return _joined(values.reshape(-1).tolist())
    if datatype == "BF16":
        values = as_bf16(values).reshape(-1).view(np.uint32) >> np.uint32(16)
    flat = np.ascontiguousarray(values, dtype=_RAW[datatype]).reshape(-1)
    return flat.view(np.uint8).data


def texts(values: Array, name: str) -> list[Any]:
    """Return an array's rows, nested, with bytes as text; raises Rejected where they are none."""
    listed: list[Any] = np.frompyfunc(lambda value: _text(value, name), 1, 1)(values).tolist()
    return listed


def _texts(values: Sequence[Any], name: str) -> list[str]:
    return [_text(value, name) for value in values]


def _text(value: Any, name: str) -> str:
    try:
        return value.decode() if isinstance(value, bytes) else str(value)
    except UnicodeDecodeError:
        raise Rejected(
            400,
            f"output {name!r}: holds bytes that are no UTF-8; ask for it over v2 with binary_data",
        ) from None


def _joined(values: Sequence[Any]) -> bytes:
    pieces = [value if isinstance(value, bytes) else str(value).encode() for value in values]
    return b"".join(chain.from_iterable((_LENGTH.pack(len(piece)), piece) for piece in pieces))


def _elements(raw: Buffer, tensor: Tensor, count: int) -> list[bytes]:
    """Cut raw BYTES into elements; raises Rejected unless they are exactly as many."""
    view = memoryview(raw)
    elements: list[bytes] = []
    start = 0
    while start + _LENGTH.size <= len(view) and len(elements) < count:
        (length,) = _LENGTH.unpack_from(view, start)
        start += _LENGTH.size
        elements.append(bytes(view[start : start + length]))
        start += length
    if start != len(view) or len(elements) != count:
        got = f"{len(view)} bytes that are not {count} elements of BYTES"
        raise Rejected(400, f"input {tensor.name!r}: {got}, each after its length in 4 bytes")
    return elements


def _objects(values: list[bytes], shape: tuple[int, ...]) -> Array:
    return np.fromiter(values, dtype=object, count=len(values)).reshape(shape)


def _packed(data: list[Any], tensor: Tensor, shape: tuple[int, ...]) -> Array:
    try:
        raw = struct.pack(f"<{len(data)}{_PACKED[tensor.datatype]}", *data)
    except (struct.error, OverflowError):
        _refuse(tensor)
    values: Array = np.ndarray(shape, _LITTLE[tensor.datatype], raw)
    return _as_bf16(values, tensor) if tensor.datatype == "BF16" else values


def _narrowed(values: Array, tensor: Tensor) -> Array:
    """Change the dtype of numbers; raises Rejected for one that does not fit."""
    with np.errstate(over="ignore"):
        cast = values.astype(tensor.dtype, copy=False)
    if tensor.datatype == "BF16":
        return _as_bf16(cast, tensor)
    fits = not np.isinf(cast).any() if tensor.dtype.kind == "f" else (cast == values).all()
    if not fits:
        _refuse(tensor)
    return cast


def _as_bf16(values: Array, tensor: Tensor) -> Array:
    rounded = as_bf16(values)
    if np.isinf(rounded).any():
        _refuse(tensor)
    return rounded


def _unrolled(data: list[Any], tensor: Tensor, shape: tuple[int, ...]) -> list[Any]:
    """Flatten lists that are nested as the shape says; raises Rejected for any others."""
    level, fits = data, bool(shape) and len(data) == shape[0]
    for size in shape[1:]:
        if not fits or set(map(type, level)) != {list} or set(map(len, level)) != {size}:
            fits = False
            break
        level = list(chain.from_iterable(level))
    if not fits:
        raise Rejected(400, f"input {tensor.name!r}: data is not nested as its shape {list(shape)}")
    return level


def _check_count(got: int, tensor: Tensor, shape: tuple[int, ...]) -> None:
    if got != math.prod(shape):
        want = f"expected {math.prod(shape)} for shape {list(shape)}"
        raise Rejected(400, f"input {tensor.name!r}: {got} values, {want}")


def _refuse(tensor: Tensor) -> NoReturn:
    raise Rejected(400, f"input {tensor.name!r}: data is not all {tensor.datatype} values")
