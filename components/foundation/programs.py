"""A model's program: which file it is, by its name, and which framework runs it."""

import enum
from collections.abc import Iterable, Mapping
from typing import Final

from components.foundation.errors import UserError


class Framework(enum.Enum):
    """What runs a program."""

    ONNX = "ONNX"
    TORCH = "PyTorch"
    TENSORFLOW = "TensorFlow"


PROGRAMS: Final[Mapping[str, Framework]] = {
    "model.onnx": Framework.ONNX,
    "model.pt2": Framework.TORCH,
    "program.pt2": Framework.TORCH,  # as our trainer writes it
    "saved_model": Framework.TENSORFLOW,  # in a folder of its own
    "saved_model.pb": Framework.TENSORFLOW,  # beside its signature
}


def only(paths: Iterable[str], *, where: str) -> str:
    """Return the name of the one program among the files of a model, `where` they lie.

    Raises:
        UserError: there is none, or there are several.
    """
    tops = {path.partition("/")[0] for path in paths}
    found = [name for name in PROGRAMS if name in tops]
    if not found:
        first, *others = PROGRAMS
        raise UserError(
            f"{where}: {first}: missing, and so are {', '.join(others)}; expected one",
            code="model-folder-incomplete",
        )
    if len(found) > 1:
        raise UserError(
            f"{where}: holds {' and '.join(found)}; leave the one that is to be served",
            code="model-folder-ambiguous",
        )
    return found[0]
