"""Export a model folder and judge whether both models say the same."""

import dataclasses
import pathlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from components.evaluation.runtime import ServedModel
from components.foundation.errors import UserError
from components.foundation.tables import TableRef, Tables
from components.foundation.verdict import Decision, Verdict
from components.release.export_onnx import graph
from components.training import artifact
from components.training.artifact import Model
from components.training.data import Arrays, Floats32

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far the exported model's scores are from the framework's own."""

    rows: int
    max_difference: float
    tolerance: float

    def verdict(self, model: ServedModel) -> Verdict:
        """Accept if no row differs by more than the tolerance."""
        close = self.max_difference <= self.tolerance
        return Verdict(
            "export to ONNX",
            Decision.ACCEPT if close else Decision.REFUSE,
            f"scores of {self.rows} rows differ by at most {self.max_difference:.1e}, "
            f"{'within' if close else 'more than'} {self.tolerance:.0e}",
            dataclasses.asdict(self),
            judged=model.digest,
        )


def export(source: pathlib.Path, target: pathlib.Path) -> ServedModel:
    """Write the ONNX folder of a trained model.

    Raises:
        UserError: the source is no model folder, or an operator has no ONNX form.
    """
    model = artifact.read(source)
    proto = _convert(model)
    content = graph.finish(proto, model.signature)
    shutil.rmtree(target, ignore_errors=True)
    card = dataclasses.replace(model.card, export=_made_with(proto))
    artifact.write(target, model.signature, card)
    (target / artifact.ONNX).write_bytes(content)
    return ServedModel.open(target)


def compare(
    source: pathlib.Path, exported: ServedModel, inputs: Arrays, *, tolerance: float
) -> Comparison:
    """Score the same rows in the framework and in ONNX Runtime."""
    own = _score(artifact.read(source), inputs)
    served = exported.run(dict(inputs))
    apart = np.abs(own - served) / np.maximum(1.0, np.abs(own))  # a chance's as it is
    difference = float(np.max(apart, initial=0.0))
    return Comparison(own.size, difference if np.isfinite(difference) else 1.0, tolerance)


def sample(tables: Tables, ref: TableRef, model: ServedModel, *, rows: int) -> Arrays:
    """Read some rows, spread over the table; raises UserError if it is empty."""
    table = tables.read(ref, [tensor.name for tensor in model.signature.inputs])
    if not table.num_rows:
        raise UserError(
            f"{ref}: has no rows; expected some to compare both models on", code="no-rows"
        )
    places = np.unique(np.linspace(0, table.num_rows - 1, rows).astype(np.int64))
    return model.signature.feed(table.take(places))


def _convert(model: Model) -> "onnx.ModelProto":
    match model.card.framework:
        case "torch":
            from components.release.export_onnx import torch_program

            return torch_program.convert(model.folder, model.signature)
        case "tensorflow":
            from components.release.export_onnx import saved_model

            return saved_model.convert(model.folder, model.signature)
        case other:
            raise UserError(
                f"{model.folder}: framework {other!r}; expected torch or tensorflow",
                code="model-folder-incomplete",
            )


def _score(model: Model, inputs: Arrays) -> Floats32:
    if model.card.framework == "torch":
        from components.release.export_onnx import torch_program

        return torch_program.score(model.folder, model.signature, inputs)
    from components.release.export_onnx import saved_model

    return saved_model.score(model.folder, model.signature, inputs)


def _made_with(proto: "onnx.ModelProto") -> Mapping[str, Any]:
    opset = next(entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx"))
    return {"opset": opset, "onnx": metadata.version("onnx")}
