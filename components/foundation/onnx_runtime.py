"""ONNX Runtime, opened in one way wherever a model runs: judged, tried, scored or served."""

import pathlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from components.foundation.errors import UserError
from components.foundation.signature import Array, Signature

if TYPE_CHECKING:
    import onnxruntime


def open_session(path: pathlib.Path, *, threads: int = 1) -> "onnxruntime.InferenceSession":
    """Load a graph on the CPU; raises UserError when the file is missing or no graph.

    Args:
        path: of the .onnx file.
        threads: how many one prediction uses; for small models more cost more than they save.
    """
    import onnxruntime

    if not path.exists():
        raise UserError(
            f"{path}: missing; expected the folder of an ONNX model", code="model-folder-incomplete"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # its errors are raised, with the reason
    # Else threads that wait for work turn a core for nothing, between any two predictions.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    onnxruntime.disable_telemetry_events()
    try:
        return onnxruntime.InferenceSession(
            path, sess_options=options, providers=["CPUExecutionProvider"]
        )
    # onnxruntime raises many classes over Exception; each means that the file does not load.
    except Exception as error:
        raise UserError(
            f"{path}: ONNX Runtime cannot load it: {error}; export it again",
            code="model-unloadable",
        ) from error


def predict(
    session: "onnxruntime.InferenceSession", signature: Signature, inputs: Mapping[str, Array]
) -> dict[str, Array]:
    """Return every output of the signature, by name."""
    names = [tensor.name for tensor in signature.outputs]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))


def place(error: Exception) -> str:
    """Name the operator that failed; what follows in the message may quote a row."""
    found = re.search(r"while running (\w+) node", str(error))
    return f"in {found[1]}" if found else type(error).__name__
