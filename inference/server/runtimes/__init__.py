"""What runs a model: ONNX Runtime, torch.export, TensorFlow."""

import pathlib

from components.foundation.onnx_runtime import place
from inference.server.runtimes.onnx import Model

__all__ = ["Model", "load", "place"]


def load(folder: pathlib.Path, *, name: str, threads: int) -> Model:
    """Load a folder; raises UserError where it is not what its signature or release says."""
    return Model.load(folder, name=name, threads=threads)
