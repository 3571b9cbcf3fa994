"""A model as it is served: ONNX Runtime over rows."""

import json
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np

from components.foundation import digests, onnx_runtime
from components.foundation.errors import UserError
from components.foundation.signature import Array, Signature
from components.foundation.statistics.metrics import Floats
from components.training import artifact

if TYPE_CHECKING:
    import onnxruntime
    import pyarrow as pa

_CHUNK = 8192  # rows a call; more do not go faster, and take memory


@dataclass(frozen=True)
class OnnxModel:
    """A folder with model.onnx and signature.json, opened."""

    folder: pathlib.Path
    signature: Signature

    @classmethod
    def open(cls, path: pathlib.Path | str) -> Self:
        """Read the signature; raises UserError if the folder is no ONNX model."""
        folder = pathlib.Path(path)
        if not (folder / artifact.ONNX).exists():
            raise UserError(
                f"{folder}: has no {artifact.ONNX}; export_onnx makes one",
                code="model-folder-incomplete",
            )
        return cls(folder, artifact.read_signature(folder))

    @property
    def digest(self) -> str:
        """Digest of what is run: the graph and its weights, not where they come from."""
        return str(digests.of_file(self.folder / artifact.ONNX))

    @cached_property
    def band(self) -> tuple[float, float] | None:
        """Where nine tenths of its errors on the validation rows lie, if it was told."""
        path = self.folder / artifact.CARD
        card = json.loads(path.read_text()) if path.exists() else {}
        found = card.get("band")
        return (float(found[0]), float(found[1])) if found else None

    def score(self, rows: "pa.Table") -> Floats:
        """Return a probability or a number a row, as the model's task is.

        Raises:
            UserError: the rows lack a column, or the runtime refuses some of them.
        """
        return self.run(self.signature.feed(rows))

    def outputs(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return every output, as a server would give them."""
        return onnx_runtime.predict(self._session, self.signature, inputs)

    def run(self, inputs: Mapping[str, Array]) -> Floats:
        """Return one answer for each element of the inputs."""
        rows = len(next(iter(inputs.values())))
        parts = [
            self._call({name: array[start : start + _CHUNK] for name, array in inputs.items()})
            for start in range(0, rows, _CHUNK)
        ]
        return np.concatenate(parts) if parts else np.empty(0)

    def _call(self, inputs: dict[str, Array]) -> Floats:
        from onnxruntime.capi import onnxruntime_pybind11_state as errors

        try:
            answers = self._session.run([self.signature.outputs[0].name], inputs)
        except (errors.InvalidArgument, errors.Fail, errors.RuntimeException) as error:
            raise UserError(
                f"{self.folder / artifact.ONNX}: fails on some rows "
                f"({onnx_runtime.place(error)}); do they hold codes that it was not trained on?",
                code="model-fails",
            ) from error
        scores: Floats = answers[0].astype(np.float64)
        return scores

    @cached_property
    def _session(self) -> "onnxruntime.InferenceSession":
        return onnx_runtime.open_session(self.folder / artifact.ONNX)
