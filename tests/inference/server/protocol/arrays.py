"""Arrays of every datatype for property tests, and what equals what."""

from typing import Any

import hypothesis.strategies as st
import numpy as np
from hypothesis.extra import numpy as hnp

from components.foundation.signature import DTYPES, Array, as_bf16

DATATYPES = sorted(DTYPES)
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, max_side=4)


def arrays(datatype: str, shape: Any, *, finite: bool = False) -> st.SearchStrategy[Array]:
    """Draw arrays of a datatype; finite ones hold NaN at most, which JSON has as null."""
    dtype = DTYPES[datatype]
    if datatype == "BYTES":
        elements = st.text(max_size=5).map(str.encode) if finite else st.binary(max_size=5)
        return hnp.arrays(dtype, shape, elements=elements, fill=st.nothing())
    if dtype.kind != "f":
        return hnp.arrays(dtype, shape)
    bits = hnp.arrays(np.dtype(f"u{dtype.itemsize}"), shape)
    drawn = bits.map(lambda patterns: patterns.view(dtype))
    if datatype == "BF16":
        drawn = drawn.map(as_bf16)
    return drawn.map(_finite) if finite else drawn


def _finite(values: Array) -> Array:
    return np.where(np.isinf(values), values.dtype.type(np.nan), values)


def assert_same(got: Array, want: Array) -> None:
    """Assert equal values, shape and dtype, where NaN is NaN and -0 is not 0."""
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    if want.dtype.kind == "f":
        np.testing.assert_array_equal(np.signbit(got[got == 0]), np.signbit(want[want == 0]))
    np.testing.assert_array_equal(got, want)
