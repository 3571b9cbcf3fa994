"""Programs of frameworks, opened in one way wherever a model runs: judged, tried or served.

ONNX graphs are opened by `onnx_runtime`.
"""

import importlib.util
import pathlib

from components.foundation.errors import UserError
from components.foundation.programs import PROGRAMS, Framework
from components.foundation.runtimes.program import Program
from components.foundation.signature import Signature


def load(file: pathlib.Path, *, signature: Signature, threads: int) -> Program:
    """Load a program of PyTorch or TensorFlow that only computes.

    Args:
        file: where it lies, by its name in `PROGRAMS`.
        signature: of the model.
        threads: how many one prediction uses.

    Raises:
        UserError: its framework is not installed, it cannot be loaded, or might do more.
    """
    if PROGRAMS[file.name] is Framework.TORCH:
        _need("torch", file)
        from components.foundation.runtimes.torch_export import TorchProgram

        return TorchProgram.open(file, signature=signature, threads=threads)
    _need("tensorflow", file)
    from components.foundation.runtimes.saved_model import SavedModel

    where = file if file.is_dir() else file.parent
    return SavedModel.open(where, signature=signature, threads=threads)


def _need(package: str, file: pathlib.Path) -> None:
    if importlib.util.find_spec(package) is None:
        raise UserError(
            f"{file}: needs {package}, which is not installed here; run it where it is, or "
            "export it to ONNX",
            code="program-needs-framework",
        )
