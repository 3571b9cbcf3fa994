"""A program that is what its signature says, whatever runs it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from components.foundation.errors import UserError
from components.foundation.runtimes.program import Port, Program
from components.foundation.signature import Array, Signature, Tensor

_EXPORT = "export the model and its signature together"


@dataclass(frozen=True, slots=True)
class Model:
    """A model ready to predict, from any number of threads at once.

    Attributes:
        features: what its release says that it was trained with; empty where it says nothing.
    """

    name: str
    version: str
    signature: Signature
    program: Program
    features: Mapping[str, str] = field(default_factory=dict)

    @property
    def platform(self) -> str:
        """What runs it, in the words of the protocol's metadata."""
        return self.program.platform

    @property
    def batches(self) -> bool:
        """Whether any number of rows may be predicted together."""
        tensors = (*self.signature.inputs, *self.signature.outputs)
        return all(tensor.shape[:1] == (-1,) for tensor in tensors)

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return every output by name; raises what the model raises, and Rejected."""
        return self.program.predict(inputs)

    def check_signature(self) -> None:
        """Raise UserError unless the model takes and gives what the signature says."""
        for kind, said, found in (
            ("input", self.signature.inputs, self.program.inputs),
            ("output", self.signature.outputs, self.program.outputs),
        ):
            for name in sorted({tensor.name for tensor in said} ^ found.keys()):
                side = "the model lacks it" if name not in found else "the signature lacks it"
                raise UserError(
                    f"{self.name}: {kind} {name!r}: {side}; {_EXPORT}",
                    code="model-signature-mismatch",
                )
            for tensor in said:
                self._check_tensor(kind, tensor, found[tensor.name])

    def _check_tensor(self, kind: str, tensor: Tensor, port: Port) -> None:
        if (port.datatype, port.shape) != (tensor.datatype, tensor.shape):
            raise UserError(
                f"{self.name}: {kind} {tensor.name!r}: the model has {port.datatype} "
                f"{list(port.shape)}, the signature {tensor.datatype} {list(tensor.shape)}; "
                f"{_EXPORT}",
                code="model-signature-mismatch",
            )

    def warm_up(self) -> None:
        """Predict a row of zeros, so that the first request finds everything in place."""
        row = {tensor.name: _zeros(tensor) for tensor in self.signature.inputs}
        try:
            self.predict(row)
        # Runtimes raise many classes over Exception; each means that the model cannot predict.
        except Exception as error:
            raise UserError(
                f"{self.name}: fails on a row of zeros: {error}; {_EXPORT}", code="model-fails"
            ) from error


def _zeros(tensor: Tensor) -> Array:
    shape = [max(size, 1) for size in tensor.shape]
    if tensor.datatype == "BYTES":
        return np.full(shape, b"", object)
    return np.zeros(shape, tensor.dtype)
