"""Rows of two for every datatype of the protocol, at its edges."""

from typing import Any

import ml_dtypes
import numpy as np

from components.foundation.signature import Array

DATATYPES = (
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16",
    "FP32", "FP64", "BF16", "BYTES",
)  # fmt: skip
_FLOATS = {
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "BF16": ml_dtypes.bfloat16,  # which numpy lacks and Triton's client asks for
}


def rows(datatype: str) -> Array:
    """Return two rows that every wire form can carry."""
    if datatype == "BOOL":
        return np.array([[True, False], [False, True]])
    if datatype == "BYTES":
        return np.array([[b"a", b""], ["ü".encode(), b"long" * 100]], np.object_)
    if datatype in _FLOATS:
        # Each of these is exact in sixteen bits, of either kind.
        return np.array([[0.5, -1.25], [0.0, 96.0]], _FLOATS[datatype])
    kind: Any = np.dtype(datatype.lower())
    edges = np.iinfo(kind)
    return np.array([[edges.min, edges.max], [0, 1]], kind)


def same(got: Array, datatype: str) -> None:
    """Raise AssertionError unless an answer is what was sent."""
    want = rows(datatype)
    assert got.shape == want.shape, (datatype, got.shape)
    assert got.dtype == want.dtype, (datatype, got.dtype)
    assert np.array_equal(got, want), (datatype, got, want)
