"""What a model takes and gives, in the words of the Open Inference Protocol."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from components.foundation.errors import UserError, nearest

if TYPE_CHECKING:
    import pyarrow as pa

Array = np.ndarray[Any, np.dtype[Any]]

# BF16 is carried as floats that it can hold (see as_bf16), BYTES as objects that are bytes.
DTYPES: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BF16": np.dtype(np.float32),
    "BYTES": np.dtype(object),
}


@dataclass(frozen=True, slots=True)
class Tensor:
    """A named tensor; -1 in the shape is the batch, always first."""

    name: str
    datatype: str
    shape: tuple[int, ...] = (-1,)

    def __post_init__(self) -> None:
        if self.datatype not in DTYPES:
            known = nearest(self.datatype, list(DTYPES))
            raise UserError(
                f"tensor {self.name}: datatype {self.datatype!r}; {known}",
                code="signature-malformed",
            )

    @property
    def dtype(self) -> np.dtype[Any]:
        return DTYPES[self.datatype]


@dataclass(frozen=True, slots=True)
class Signature:
    """Inputs and outputs in order; `Signature.from_dict(s.to_dict()) == s`."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        try:
            return cls(_tensors(value["inputs"]), _tensors(value["outputs"]))
        except (KeyError, TypeError) as error:
            raise UserError(
                f"signature: {error}; expected inputs and outputs, each a list of "
                "{name, datatype, shape}",
                code="signature-malformed",
            ) from error

    def feed(self, rows: "pa.Table") -> dict[str, Array]:
        """Turn table columns into the tensors a runtime takes.

        Returns:
            One array of shape (rows,) an input, in the input's dtype; nulls of float
            columns become NaN.

        Raises:
            UserError: a column is missing, one that is no float has nulls, or an integer
                does not fit its type.
        """
        return {tensor.name: _column(rows, tensor) for tensor in self.inputs}

    def request(self, inputs: Mapping[str, Array], *, id: str = "") -> bytes:
        """Write an Open Inference Protocol request in JSON; a missing value becomes null."""
        tensors = [
            {
                "name": tensor.name,
                "datatype": tensor.datatype,
                "shape": list(inputs[tensor.name].shape),
                "data": json_values(inputs[tensor.name].reshape(-1)),
            }
            for tensor in self.inputs
        ]
        value = {"id": id, "inputs": tensors} if id else {"inputs": tensors}
        return json.dumps(value, allow_nan=False).encode()


def json_values(values: Array) -> list[Any]:
    """Return values as JSON has them.

    A number that JSON cannot say (NaN, infinity) becomes None, bytes become text.
    """
    plain = values.astype(object)
    if values.dtype.kind == "f":
        plain[~np.isfinite(values)] = None
    if values.dtype.kind == "O":
        plain = np.frompyfunc(_text, 1, 1)(plain)
    listed: list[Any] = plain.tolist()
    return listed


def as_bf16(values: Array) -> Array:
    """Round floats to the nearest that BF16 holds, ties to even; as float32.

    `as_bf16(as_bf16(x)) == as_bf16(x)`; NaN stays NaN, and what is too large is infinite.
    """
    bits = np.atleast_1d(values).astype(np.float32).view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    quiet = bits | np.uint32(0x400000)  # so that cutting a NaN's lower bits leaves a NaN
    nan = (bits & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000)
    kept = np.where(nan, quiet, rounded) & np.uint32(0xFFFF0000)
    return kept.view(np.float32).reshape(np.shape(values))


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def _tensors(values: Sequence[Mapping[str, Any]]) -> tuple[Tensor, ...]:
    return tuple(Tensor(v["name"], v["datatype"], tuple(v["shape"])) for v in values)


def _column(rows: "pa.Table", tensor: Tensor) -> Array:
    if tensor.name not in rows.column_names:
        raise UserError(
            f"the model wants {tensor.name!r}, the rows lack it; "
            f"{nearest(tensor.name, rows.column_names)}",
            code="model-input-missing",
        )
    column = rows.column(tensor.name)
    if column.null_count and tensor.dtype.kind != "f":
        raise UserError(
            f"column {tensor.name!r} has {column.null_count} nulls, the model wants "
            f"{tensor.datatype}; fill them in the features",
            code="model-input-null",
        )
    return _cast(column.to_numpy(zero_copy_only=False), tensor)


def _cast(values: Array, tensor: Tensor) -> Array:
    """Change a column's type; raises UserError for an integer that does not fit."""
    if tensor.datatype == "BYTES":
        given = [v.encode() if isinstance(v, str) else v for v in values.tolist()]
        return np.fromiter(given, dtype=object, count=len(given))
    cast = as_bf16(values) if tensor.datatype == "BF16" else values.astype(tensor.dtype)
    if tensor.dtype.kind in "iu" and values.dtype.kind in "iu" and not (cast == values).all():
        raise UserError(
            f"column {tensor.name!r} goes from {values.min()} to {values.max()}, the model "
            f"wants {tensor.datatype}; scale it in the features",
            code="model-input-range",
        )
    return cast
