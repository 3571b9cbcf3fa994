"""What a training function of a user is told, and how it is found and called."""

import contextlib
import importlib
import inspect
import pathlib
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from components.foundation import digests
from components.foundation.errors import FalajError, UserError, nearest
from components.foundation.signature import Signature
from components.training.data import Rows
from components.training.objective import CHANCES, Loss, Objective


@dataclass(frozen=True, slots=True)
class Column:
    """One input, and what it looks like in the training rows (missing values left out).

    Attributes:
        name: of the feature.
        integer: an INT64 input, a code or a count; else FP32, where NaN means missing.
        mean: 0 if every value is missing.
        deviation: 1 if it never varies.
        size: of an integer, the largest value plus one; 0 of a float.
    """

    name: str
    integer: bool
    mean: float
    deviation: float
    size: int

    @classmethod
    def of(cls, name: str, values: NDArray[Any]) -> Self:
        integer = values.dtype.kind != "f"
        size = max(int(values.max()), 0) + 1 if integer else 0
        known = values[np.isfinite(values)].astype(np.float64)
        if not known.size:
            return cls(name, integer, 0.0, 1.0, size)
        return cls(name, integer, float(known.mean()), float(known.std()) or 1.0, size)


@dataclass(frozen=True, slots=True)
class Spec:
    """What a model is to be built for; a training function gets it and returns the model.

    Attributes:
        signature: inputs and output, in order.
        columns: the inputs again, with what they look like in the training rows.
        base_rate: mean of the labels of the training rows; of classes, the share of positive.
        objective: the loss, and of a regression the labels' mean and deviation. The model
            gives a logit a row; of a regression, how many deviations the label is off its mean.
    """

    signature: Signature
    columns: tuple[Column, ...]
    base_rate: float
    objective: Objective = CHANCES

    @classmethod
    def of(cls, signature: Signature, rows: Rows, loss: Loss = Loss.LOG_LOSS) -> Self:
        """Compute what the model needs to know of the training rows."""
        columns = tuple(Column.of(t.name, rows.inputs[t.name]) for t in signature.inputs)
        if loss is Loss.LOG_LOSS:
            return cls(signature, columns, rows.base_rate)
        deviation = float(rows.labels.std(dtype=np.float64)) or 1.0
        return cls(signature, columns, rows.base_rate, Objective(loss, rows.base_rate, deviation))


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """A user's function, `package.module:function`; `EntryPoint.load(str(e)) == e`."""

    text: str
    function: Callable[..., Any]

    def __str__(self) -> str:
        return self.text

    @classmethod
    def load(cls, text: str) -> Self:
        """Import the function.

        Raises:
            UserError: the text has no colon, or the module or the function is not there,
                or importing the module fails.
        """
        module_name, colon, name = text.partition(":")
        if not colon or not module_name or not name:
            raise UserError(
                f"entry point {text!r}: expected package.module:function",
                code="entry-point-unknown",
            )
        with your_code(text):
            module = importlib.import_module(module_name)
        if not callable(getattr(module, name, None)):
            known = [n for n, _ in inspect.getmembers(module, inspect.isfunction)]
            raise UserError(
                f"entry point {text!r}: no such function; {nearest(name, known)}",
                code="entry-point-unknown",
            )
        return cls(text, getattr(module, name))

    @property
    def code(self) -> str:
        """Digest of the file the function stands in: a changed file is another model."""
        return str(digests.of_file(pathlib.Path(inspect.getfile(self.function))))

    def build(self, spec: Spec, parameters: Mapping[str, Any]) -> Any:
        """Call the function with the spec, and the parameters by keyword.

        Raises:
            UserError: a parameter it does not take, or it raised.
        """
        taken = dict(list(inspect.signature(self.function).parameters.items())[1:])
        for name in parameters:
            if name not in taken:
                raise UserError(
                    f"entry point {self}: takes no parameter {name!r}; "
                    f"{nearest(name, list(taken))}",
                    code="training-parameter-unknown",
                )
        wire = {name: _from_wire(value, taken[name].default) for name, value in parameters.items()}
        with your_code(self.text):
            return self.function(spec, **wire)


@contextlib.contextmanager
def your_code(what: str, *, sees_rows: bool = False) -> Iterator[None]:
    """Mark the boundary: whatever a user's code raises is theirs to mend, and says so.

    Args:
        what: the entry point.
        sees_rows: the code is given rows, so what it says may quote one: say where it failed.
    """
    try:
        yield
    except FalajError:
        raise
    except Exception as error:
        said = _place(error) if sees_rows else f": {error}"
        raise UserError(
            f"your code failed: {what}: {type(error).__name__}{said}",
            code="training-code-failed",
        ) from error


def _place(error: Exception) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f" in {frame.name} ({pathlib.Path(frame.filename).name}, line {frame.lineno})"


def _from_wire(value: Any, default: Any) -> Any:
    """Turn 64.0 into 64 where the function's default is an integer: KFP has only doubles."""
    whole = isinstance(value, float) and value.is_integer()
    return int(value) if whole and type(default) is int else value
