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

DTYPES: Mapping[str, np.dtype[Any]] = {
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "INT64": np.dtype(np.int64),
    "INT32": np.dtype(np.int32),
    "BOOL": np.dtype(np.bool_),
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
            UserError: a column is missing, or an integer column has nulls.
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
    """Return numbers as JSON has them; one that it cannot say (NaN, infinity) becomes None."""
    plain = values.astype(object)
    if values.dtype.kind == "f":
        plain[~np.isfinite(values)] = None
    listed: list[Any] = plain.tolist()
    return listed


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
    return column.to_numpy(zero_copy_only=False).astype(tensor.dtype)
