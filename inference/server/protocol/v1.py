"""The v1 protocol's `:predict`: rows or columns in plain JSON, as TensorFlow Serving has them.

`{"instances": [...]}` are rows: a value each where the model has one input, else an object with
a member an input. `{"inputs": {...}}` are columns, the batch first in each; where the model has
one input, its column may stand there alone. v1 names no datatypes and no shapes, so both follow
from the signature and from how deep the lists are. Bytes may come as `{"b64": "..."}`.
"""

import binascii
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import orjson

from components.foundation.signature import Array, Signature, Tensor
from inference.server.protocol import checks, documents, tensors
from inference.server.protocol.messages import InferRequest, Rejected
from inference.server.protocol.tensors import Buffer


def parse(body: Buffer, signature: Signature) -> InferRequest:
    """Read a request; raises Rejected with status 400 naming what does not fit."""
    value = documents.load_plain(body)
    if ("instances" in value) == ("inputs" in value):
        raise Rejected(400, "expected either instances (rows) or inputs (columns)")
    if "instances" in value:
        columns = _turned(value["instances"], signature)
    else:
        columns = _columns(value["inputs"], signature)
    inputs = {t.name: _array(columns[t.name], t) for t in signature.inputs if t.name in columns}
    return checks.request(signature, inputs)


def encode(request: InferRequest, outputs: Mapping[str, Array]) -> bytes:
    """Write predictions, one a row: the value where there is one output, else an object.

    Raises:
        Rejected: an output holds bytes that are no text.
    """
    wanted = {output.name: outputs[output.name] for output in request.outputs}
    return orjson.dumps(
        {"predictions": _predictions(wanted, request.rows)}, option=orjson.OPT_SERIALIZE_NUMPY
    )


def _predictions(outputs: Mapping[str, Array], rows: int) -> Any:
    columns = {name: _column(values, name) for name, values in outputs.items()}
    if len(columns) == 1:
        return next(iter(columns.values()))
    if any(len(column) != rows for column in columns.values()):
        return [columns]  # no batch to take rows from, so all of it is one prediction
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _column(values: Array, name: str) -> Any:
    """Return what orjson writes as an output's rows."""
    rows = np.ascontiguousarray(values)  # of a lone value, a list of it
    return rows if rows.dtype.kind in "fiub" else tensors.texts(rows, name)


def _turned(instances: Any, signature: Signature) -> dict[str, Any]:
    """Turn rows into columns."""
    if type(instances) is not list or not instances:
        raise Rejected(400, "instances: expected a list with a row or more")
    names = [tensor.name for tensor in signature.inputs]
    if len(names) == 1 and not _has_members(instances[0], names[0]):
        return {names[0]: instances}
    for row, instance in enumerate(instances):
        if type(instance) is not dict:
            raise Rejected(400, f"instances: row {row} is no object with a member an input")
        if instance.keys() != set(names):
            _refuse_members(instance, names)
    return {name: [instance[name] for instance in instances] for name in names}


def _columns(inputs: Any, signature: Signature) -> dict[str, Any]:
    names = [tensor.name for tensor in signature.inputs]
    if len(names) == 1 and not _has_members(inputs, names[0]):
        return {names[0]: inputs}
    if type(inputs) is not dict:
        raise Rejected(400, f"inputs: expected an object with the model's {len(names)} inputs")
    if inputs.keys() != set(names):
        _refuse_members(inputs, names)
    return inputs


def _has_members(value: Any, name: str) -> bool:
    """Tell an object of inputs from a value, which may be an object too where it is bytes."""
    return type(value) is dict and (name in value or value.keys() != {"b64"})


def _refuse_members(members: Mapping[str, Any], names: list[str]) -> None:
    for name in members:
        if name not in names:
            checks.unknown("input", name, names)
    missing = next(name for name in names if name not in members)
    raise Rejected(400, f"input {missing!r}: missing; the model wants {len(names)} inputs")


def _array(data: Any, tensor: Tensor) -> Array:
    if tensor.datatype == "BYTES":
        data = _decoded(data, tensor, depth=len(tensor.shape))
    shape = checks.shape(list(_sizes(data)), tensor)
    return tensors.from_json(data if shape else [data], tensor, shape)


def _sizes(data: Any) -> Iterator[int]:
    """Measure lists along their first elements."""
    while type(data) is list and data:
        yield len(data)
        data = data[0]


def _decoded(data: Any, tensor: Tensor, *, depth: int) -> Any:
    """Replace `{"b64": ...}` within lists no deeper than the tensor by the bytes it stands for."""
    if type(data) is list and depth:
        return [_decoded(entry, tensor, depth=depth - 1) for entry in data]
    if type(data) is not dict:
        return data
    try:
        return binascii.a2b_base64(data["b64"], strict_mode=True)
    except (KeyError, TypeError, ValueError):
        raise Rejected(400, f"input {tensor.name!r}: expected text or {{'b64': ...}}") from None
