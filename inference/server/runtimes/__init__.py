"""What runs a model: ONNX Runtime, torch.export, TensorFlow."""

import logging
import pathlib

from components.foundation import onnx_runtime, runtimes
from components.foundation.errors import UserError
from components.foundation.programs import Framework
from components.foundation.runtimes.program import Program
from inference.server.runtimes.folder import Folder
from inference.server.runtimes.model import Model

__all__ = ["Model", "load", "place"]

_LOG = logging.getLogger("server")


def load(folder: pathlib.Path, *, name: str, threads: int, unsafe_unsealed: bool = False) -> Model:
    """Load a folder, opened from a release or plain, and predict once.

    Args:
        folder: holds signature.json and one of model.onnx, model.pt2, saved_model/ or
            saved_model.pb; release.json if it was sealed.
        name: what the model is called in requests.
        threads: how many threads one prediction uses.
        unsafe_unsealed: serve a PyTorch or TensorFlow program that nobody signed.

    Raises:
        UserError: a file is missing or changed, the model does not fit its signature, or it
            might do more than compute.
    """
    found = Folder.read(folder, name=name)
    if found.framework is not Framework.ONNX and not found.sealed:
        _unsealed(found, allowed=unsafe_unsealed)
    program = _open(found, threads)
    model = Model(name, found.version, found.signature, program, found.features)
    model.check_signature()
    model.warm_up()
    return model


def place(error: Exception) -> str:
    """Say where a model failed without what it failed on: messages may quote a row."""
    if type(error).__module__.startswith("onnxruntime"):
        return onnx_runtime.place(error)
    return type(error).__name__


def _unsealed(found: Folder, *, allowed: bool) -> None:
    """Hold back a program of a framework: unlike an ONNX graph, it is more than arithmetic."""
    if not allowed:
        raise UserError(
            f"{found.file}: is not of a sealed release, and programs of PyTorch and TensorFlow are "
            "code; seal it, export it to ONNX, or serve what you made yourself with "
            "--unsafe_unsealed_program",
            code="program-unsealed",
        )
    _LOG.warning(
        "%s: serves a program that nobody signed: --unsafe_unsealed_program is set", found.file
    )


def _open(found: Folder, threads: int) -> Program:
    if found.framework is Framework.ONNX:
        from inference.server.runtimes.onnx import OnnxProgram

        return OnnxProgram.open(found.file, signature=found.signature, threads=threads)
    return runtimes.load(found.file, signature=found.signature, threads=threads)
