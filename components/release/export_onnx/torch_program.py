"""PyTorch's exported program: to ONNX, and its own answers."""

import contextlib
import io
import logging
import pathlib
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from components.foundation.errors import UserError
from components.foundation.signature import Signature
from components.training.artifact import PROGRAM
from components.training.data import Arrays, Floats32

if TYPE_CHECKING:
    import onnx


def convert(folder: pathlib.Path, signature: Signature) -> "onnx.ModelProto":
    """Translate through the dynamo exporter.

    Raises:
        UserError: the model uses an operator without a translation; it is named.
    """
    import torch

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it misses torchvision, we do not
    program = torch.export.load(folder / PROGRAM)
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # the exporter prints its progress
            exported = torch.onnx.export(
                program,
                (),
                input_names=[tensor.name for tensor in signature.inputs],
                output_names=[tensor.name for tensor in signature.outputs],
                dynamo=True,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise UserError(
            f"{_operator(error)}: PyTorch cannot say this in ONNX; build the model without it",
            code="onnx-operator",
        ) from error
    if exported is None:
        raise UserError("PyTorch exported nothing; is the program whole?", code="onnx-malformed")
    proto: onnx.ModelProto = exported.model_proto
    return proto


def score(folder: pathlib.Path, signature: Signature, inputs: Arrays) -> Floats32:
    """Return what the program itself says of some rows."""
    import torch

    module = torch.export.load(folder / PROGRAM).module()
    tensors = [torch.from_numpy(inputs[tensor.name]) for tensor in signature.inputs]
    with torch.no_grad():
        answer: Any = module(*tensors)
    return np.asarray(answer.numpy(), np.float32)


def _operator(error: BaseException) -> str:
    """Find the operator that a chain of errors complains of."""
    chain = [error]
    while (cause := chain[-1].__cause__) is not None:
        chain.append(cause)
    found = re.search(r"aten[.:]+[\w.]+|\b[a-z_]+::\w+", " ".join(map(str, chain)))
    return found.group() if found else str(chain[-1]).splitlines()[0]
