"""ONNX graphs, on ONNX Runtime.

Weights may lie in files beside the graph. A path that leaves the folder, also over a link, is
refused by ONNX Runtime itself; a sealed folder's digests cover them all.
"""

import pathlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from components.foundation import onnx_runtime
from components.foundation.errors import UserError
from components.foundation.runtimes.program import Port
from components.foundation.signature import Array, Signature
from inference.server.runtimes import onnx_values

if TYPE_CHECKING:
    import onnxruntime


@dataclass(frozen=True, slots=True)
class OnnxProgram:
    """A graph in a session.

    Attributes:
        plain: ONNX Runtime takes and gives our arrays as they are.
    """

    session: "onnxruntime.InferenceSession"
    signature: Signature
    plain: bool

    platform = "onnxruntime_onnx"

    @classmethod
    def open(cls, file: pathlib.Path, *, signature: Signature, threads: int) -> Self:
        """Load a graph; raises UserError where it is none, or beyond the runtime."""
        if impossible := onnx_values.cannot(signature):
            raise UserError(f"{file}: {impossible}", code="model-signature-mismatch")
        session = onnx_runtime.open_session(file, threads=threads)
        return cls(session, signature, onnx_values.are_the_same(signature))

    @property
    def inputs(self) -> Mapping[str, Port]:
        return _ports(self.session.get_inputs())

    @property
    def outputs(self) -> Mapping[str, Port]:
        return _ports(self.session.get_outputs())

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        if self.plain:
            return onnx_runtime.predict(self.session, self.signature, inputs)
        return onnx_values.predict(self.session, self.signature, inputs)


def _ports(nodes: Iterable[Any]) -> dict[str, Port]:
    return {
        node.name: Port(
            onnx_values.DATATYPES.get(node.type, node.type),
            tuple(size if isinstance(size, int) else -1 for size in node.shape),
        )
        for node in nodes
    }
