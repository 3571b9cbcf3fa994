"""The folder that a model is, in any framework: signature.json, model.json and the model.

program.pt2     torch.export, the batch open
saved_model/    TensorFlow
model.onnx      what is served
"""

import json
import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.foundation import digests
from components.foundation.errors import UserError
from components.foundation.signature import Signature

PROGRAM = "program.pt2"
SAVED_MODEL = "saved_model"
ONNX = "model.onnx"
CARD = "model.json"
SIGNATURE = "signature.json"


@dataclass(frozen=True, slots=True)
class Card:
    """Where a model comes from: a function of its inputs, so no times and no paths.

    Attributes:
        framework: "torch" or "tensorflow"; stays so when the model is exported.
        version: of the framework.
        entry_point: the function that built it.
        code: digest of the file the function stands in.
        parameters: what the function was called with.
        plan: how it was trained, seed included.
        train: the training table, pinned.
        validation: the table it stopped by, pinned.
        label: the column it learnt.
        rows: training rows with a label.
        base_rate: share of positive labels in them.
        epochs_run: passes over the rows.
        best_epoch: whose weights these are.
        weights: digest of the weights alone.
        data: digest of the rows it learnt from and stopped by, whatever version held them.
    """

    framework: str
    version: str
    entry_point: str
    code: str
    parameters: Mapping[str, Any]
    plan: Mapping[str, Any]
    train: str
    validation: str
    label: str
    rows: int
    base_rate: float
    epochs_run: int
    best_epoch: int
    weights: str
    band: Sequence[float] | None = None  # of a regression: holds 9 of 10 validation errors
    data: str = ""  # of models made before there was one
    export: Mapping[str, Any] = field(default_factory=dict)  # of an ONNX folder: how it was made
    provenance: Mapping[str, Any] = field(default_factory=dict)  # as scan_model reads it
    declares: Mapping[str, Any] = field(default_factory=dict)  # as scan_model reads it


@dataclass(frozen=True, slots=True)
class Model:
    """A model folder that was opened."""

    folder: pathlib.Path
    signature: Signature
    card: Card


def write(folder: pathlib.Path, signature: Signature, card: Card) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    _dump(folder / "signature.json", signature.to_dict())
    facts = asdict(card)
    for name in ("band", "provenance", "declares"):  # a card without says what it always said
        if not facts[name]:
            del facts[name]
    _dump(folder / CARD, facts)


def read(folder: pathlib.Path) -> Model:
    """Open a model folder; raises UserError saying which file is missing or wrong."""
    signature = read_signature(folder)
    try:
        return Model(folder, signature, Card(**_load(folder / CARD)))
    except TypeError as error:
        raise UserError(
            f"{folder / 'model.json'}: {error}; was it written by a trainer?",
            code="model-folder-incomplete",
        ) from error


def read_signature(folder: pathlib.Path) -> Signature:
    """Read what a model folder says it takes and gives."""
    return Signature.from_dict(_load(folder / SIGNATURE))


def arrays_digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Digest named arrays by name, type, shape and content."""
    parts = {
        name: [str(array.dtype), list(array.shape), str(digests.of_bytes(_contiguous(array)))]
        for name, array in arrays.items()
    }
    return str(digests.of_json(parts))


def _contiguous(array: NDArray[Any]) -> bytes:
    return np.ascontiguousarray(array).tobytes()


def _dump(path: pathlib.Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def _load(path: pathlib.Path) -> Any:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise UserError(
            f"{path.parent}: has no {path.name}; expected a model folder, as trainers and "
            "export_onnx write",
            code="model-folder-incomplete",
        ) from None
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}: {error}; expected JSON", code="model-folder-incomplete"
        ) from error
