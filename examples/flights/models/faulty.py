"""A model that really fails: its table of carriers ends too early.

Such a model passes a glance: it loads, and most flights get the scores of the model it was
made from. ONNX Runtime fails on the others (Gather: index out of bounds), which is what a
canary is for. Cut at US Airways, it fails on 12 % of the flights of July.
"""

import pathlib
import shutil
from typing import TYPE_CHECKING

from components.foundation.errors import UserError
from components.training.artifact import ONNX

if TYPE_CHECKING:
    import onnx

CODE = "carrier_code"
KEEP = 13  # unknown and the first twelve carriers; US, VX, WN and YV are cut off


def truncate(
    source: pathlib.Path, target: pathlib.Path, *, keep: int = KEEP, code: str = CODE
) -> None:
    """Copy an ONNX folder, with only the first rows of the table that a code looks up.

    Args:
        source: ONNX folder.
        target: where the faulty one goes; may be the same folder.
        keep: codes from here on make the runtime fail.
        code: the input.

    Raises:
        UserError: nothing in the graph is looked up by the code.
    """
    import onnx

    if source != target:
        shutil.copytree(source, target, dirs_exist_ok=True)
    model = onnx.load(source / ONNX)
    for name in _looked_up(model.graph, code):
        _cut(model.graph, name, keep)
    (target / ONNX).unlink()  # files of an opened release are read-only
    onnx.save(model, target / ONNX)


def _looked_up(graph: "onnx.GraphProto", code: str) -> set[str]:
    """Name the tables that are gathered from at places that come from an input."""
    stored = {tensor.name for tensor in graph.initializer}
    reached, tables = {code}, set()
    for node in graph.node:  # in topological order
        if node.op_type == "Gather" and node.input[1] in reached and node.input[0] in stored:
            tables.add(node.input[0])
        elif reached & set(node.input):
            reached.update(node.output)
    if not tables:
        raise UserError(
            f"no table is looked up by {code!r}; is it an input of this model?",
            code="example-fault",
        )
    return tables


def _cut(graph: "onnx.GraphProto", name: str, keep: int) -> None:
    import onnx.numpy_helper

    tensor = next(tensor for tensor in graph.initializer if tensor.name == name)
    rows = onnx.numpy_helper.to_array(tensor)
    if not 0 < keep < len(rows):
        raise UserError(
            f"{name} has {len(rows)} rows; expected to keep fewer, not {keep}", code="example-fault"
        )
    tensor.CopyFrom(onnx.numpy_helper.from_array(rows[:keep].copy(), name))
