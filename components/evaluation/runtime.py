"""A model as it is served: the runtime of its program, over rows."""

import json
import pathlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Self

import numpy as np

from components.foundation import digests, onnx_runtime, programs, runtimes
from components.foundation.errors import UserError
from components.foundation.programs import Framework
from components.foundation.signature import Array, Signature
from components.foundation.statistics.metrics import Floats
from components.training import artifact

if TYPE_CHECKING:
    import pyarrow as pa

Predict = Callable[[Mapping[str, Array]], dict[str, Array]]

_CHUNK = 8192  # rows a call; more do not go faster, and take memory


@dataclass(frozen=True)
class ServedModel:
    """A folder with a program and signature.json, opened.

    Attributes:
        program: the program's name, one of `programs.PROGRAMS`.
    """

    folder: pathlib.Path
    signature: Signature
    program: str

    @classmethod
    def open(cls, path: pathlib.Path | str) -> Self:
        """Read the signature; raises UserError unless the folder has one program."""
        folder = pathlib.Path(path)
        names = [found.name for found in folder.iterdir()] if folder.is_dir() else []
        program = programs.only(names, where=str(folder))
        return cls(folder, artifact.read_signature(folder), program)

    @property
    def file(self) -> pathlib.Path:
        """Where the program lies."""
        return self.folder / self.program

    @property
    def digest(self) -> str:
        """Digest of what is run: the program and its weights, not where they come from."""
        beside = self.program == "saved_model.pb"  # the weights lie in folders beside it
        return str(digests.of_path(self.folder if beside else self.file))

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
        return self._predict(inputs)

    def run(self, inputs: Mapping[str, Array]) -> Floats:
        """Return one answer for each element of the inputs."""
        rows = len(next(iter(inputs.values())))
        parts = [
            self._call({name: array[start : start + _CHUNK] for name, array in inputs.items()})
            for start in range(0, rows, _CHUNK)
        ]
        return np.concatenate(parts) if parts else np.empty(0)

    def _call(self, inputs: dict[str, Array]) -> Floats:
        predict = self._predict
        try:
            answers = predict(inputs)
        except MemoryError:
            raise
        # Runtimes raise many classes over Exception; each means that they refuse these rows.
        except Exception as error:
            raise UserError(
                f"{self.file}: fails on some rows ({_place(error)}); do they hold codes that it "
                "was not trained on?",
                code="model-fails",
            ) from error
        scores: Floats = answers[self.signature.outputs[0].name].astype(np.float64)
        return scores

    @cached_property
    def _predict(self) -> Predict:
        if programs.PROGRAMS[self.program] is Framework.ONNX:
            session = onnx_runtime.open_session(self.file)
            return partial(onnx_runtime.predict, session, self.signature)
        return runtimes.load(self.file, signature=self.signature, threads=1).predict


def _place(error: Exception) -> str:
    """Say where a program failed, without the row that it may quote."""
    onnx = type(error).__module__.startswith("onnxruntime")
    return onnx_runtime.place(error) if onnx else type(error).__name__
