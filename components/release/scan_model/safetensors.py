"""safetensors: a header of JSON, then tensors that fill the file without gap or overlap."""

import json
from collections.abc import Mapping
from typing import Any, Final

from components.foundation.formats.wire import Malformed
from components.release.scan_model.finding import shown

_LONGEST_HEADER: Final = 100_000_000  # the format's own bound
_MOST_TENSORS: Final = 1_000_000
_METADATA: Final = "__metadata__"
_BITS: Final = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
    **{"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6},
}
_MOST_DIMENSIONS: Final = 64


def check(data: memoryview) -> int:
    """Return how many tensors a file holds; raises Malformed where it is not as it should be."""
    if len(data) < 8:
        raise Malformed("shorter than the length of its header")
    length = int.from_bytes(data[:8], "little")
    if not 2 <= length <= min(_LONGEST_HEADER, len(data) - 8):
        raise Malformed(f"a header of {length} bytes in a file of {len(data)}")
    tensors = _header(bytes(data[8 : 8 + length]))
    spans = sorted(_span(shown(name), tensor) for name, tensor in tensors.items())
    _check_filled(spans, len(data) - 8 - length)
    return len(spans)


def _header(raw: bytes) -> Mapping[str, Any]:
    if raw[:1] != b"{":
        raise Malformed("a header that does not begin with {")
    try:
        header = json.loads(raw, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"a header that is no JSON: {shown(str(error))}") from error
    metadata = header.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise Malformed("metadata that are not texts by name")
    if len(header) > _MOST_TENSORS:
        raise Malformed(f"{len(header)} tensors, at most {_MOST_TENSORS}")
    return dict(header)


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of JSON; raises Malformed where a key occurs twice, so readers may differ."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise Malformed("one key twice")
    return made


def _span(name: str, tensor: Any) -> tuple[int, int, str]:
    match tensor:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [int(start), int(end)]}:
            bits = _BITS.get(dtype, 0) * _elements(name, shape)
            if dtype not in _BITS or len(tensor) != 3:
                raise Malformed(f"{name}: type {shown(dtype)}, or more than is known of a tensor")
            if bits % 8 or end - start != bits // 8 or start < 0:
                raise Malformed(f"{name}: {end - start} bytes, its shape needs {bits / 8:g}")
            return start, end, name
    raise Malformed(f"{name}: no tensor of dtype, shape and data_offsets")


def _elements(name: str, shape: list[Any]) -> int:
    count = 1
    for size in shape[: _MOST_DIMENSIONS + 1]:
        if type(size) is not int or not 0 <= size < 1 << 63:
            raise Malformed(f"{name}: a size of {shown(str(size))}")
        count = min(count * size, 1 << 64)
    if len(shape) > _MOST_DIMENSIONS:
        raise Malformed(f"{name}: {len(shape)} dimensions, at most {_MOST_DIMENSIONS}")
    return count


def _check_filled(spans: list[tuple[int, int, str]], size: int) -> None:
    at = 0
    for start, end, name in spans:
        if start != at:
            kind = "overlaps the tensor before it" if start < at else "follows bytes of no tensor"
            raise Malformed(f"{name}: {kind}")
        at = end
    if at != size:
        raise Malformed(f"{size - at} bytes that belong to no tensor")
