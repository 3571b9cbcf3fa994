"""The Open Inference Protocol v2 in JSON: requests to arrays, arrays to responses.

Strict where a mistake could turn into a wrong prediction: names, datatypes, shapes and
counts are those of the signature. `null` in a float tensor means missing (NaN).
"""

import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from components.foundation.errors import nearest
from components.foundation.signature import DTYPES, Array, Signature, Tensor
from inference.server.protocol.messages import Rejected

_KINDS = {"f": "iuf", "i": "iu", "b": "b"}  # dtype kind wanted -> kinds that JSON may hold
_DATATYPES = {dtype.str: name for name, dtype in DTYPES.items()}
_MAX_ID = 256


@dataclass(frozen=True, slots=True)
class InferRequest:
    """A request that fits the signature; `ids` names its rows, `outputs` what is wanted."""

    id: str
    ids: tuple[str, ...]
    inputs: Mapping[str, Array]
    outputs: tuple[str, ...]


def parse(body: bytes, signature: Signature) -> InferRequest:
    """Read a request; raises Rejected with status 400 naming what does not fit."""
    value = _object(body)
    with np.errstate(over="raise"):  # a number too large for its type is refused by name
        inputs = _inputs(_list(value, "inputs"), signature)
    rows = _rows(inputs)
    identity = value.get("id") or uuid.uuid4().hex
    if not isinstance(identity, str) or len(identity) > _MAX_ID:
        raise Rejected(400, f"id: expected a string of at most {_MAX_ID} characters")
    return InferRequest(
        identity, _ids(value.get("parameters"), identity, rows), inputs, _wanted(value, signature)
    )


def encode(
    request: InferRequest, outputs: Mapping[str, Array], *, model: str, version: str
) -> bytes:
    """Write a response; a NaN becomes null."""
    return orjson.dumps(
        {
            "model_name": model,
            "model_version": version,
            "id": request.id,
            "outputs": [_output(name, outputs[name]) for name in request.outputs],
        },
        option=orjson.OPT_SERIALIZE_NUMPY,
    )


def error(message: str) -> bytes:
    return orjson.dumps({"error": message})


def metadata(signature: Signature, *, model: str, version: str) -> bytes:
    return orjson.dumps(
        {
            "name": model,
            "versions": [version],
            "platform": "onnxruntime_onnx",
            "inputs": [_described(tensor) for tensor in signature.inputs],
            "outputs": [_described(tensor) for tensor in signature.outputs],
        }
    )


def _described(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}


def _output(name: str, values: Array) -> dict[str, Any]:
    return {
        "name": name,
        "datatype": _DATATYPES[values.dtype.str],
        "shape": list(values.shape),
        "data": np.ascontiguousarray(values).reshape(-1),
    }


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as broken:
        raise Rejected(400, f"the body is not JSON: {broken.msg}, position {broken.pos}") from None
    if not isinstance(value, dict):
        raise Rejected(400, "the body is no JSON object; expected {inputs: [...]}")
    return value


def _list(value: Mapping[str, Any], name: str) -> list[Any]:
    found = value.get(name)
    if not isinstance(found, list):
        raise Rejected(400, f"{name}: expected a list of objects with a name")
    for entry in found:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise Rejected(400, f"{name}: expected a list of objects with a name")
    return found


def _inputs(entries: Sequence[Mapping[str, Any]], signature: Signature) -> dict[str, Array]:
    tensors = {tensor.name: tensor for tensor in signature.inputs}
    inputs: dict[str, Array] = {}
    for entry in entries:
        name = entry["name"]
        if name not in tensors:
            raise Rejected(400, f"input {name[:100]!r}: unknown; {nearest(name, list(tensors))}")
        if name in inputs:
            raise Rejected(400, f"input {name!r}: given twice")
        inputs[name] = _array(entry, tensors[name])
    missing = [name for name in tensors if name not in inputs]
    if missing:
        raise Rejected(400, f"input {missing[0]!r}: missing; the model wants {len(tensors)} inputs")
    return inputs


def _array(entry: Mapping[str, Any], tensor: Tensor) -> Array:
    datatype, shape = entry.get("datatype"), entry.get("shape", [])
    if datatype != tensor.datatype:
        got = f"datatype {datatype!r:.40}"
        raise Rejected(400, f"input {tensor.name!r}: {got}, expected {tensor.datatype!r}")
    if not _fits(shape, tensor.shape):
        got = f"shape {shape!r:.60}"
        raise Rejected(400, f"input {tensor.name!r}: {got}, expected {list(tensor.shape)}")
    values = _values(entry.get("data"), tensor)
    if values.size != math.prod(shape):
        got = f"{values.size} values"
        raise Rejected(400, f"input {tensor.name!r}: {got}, its shape {shape!r:.60} has another")
    return values.reshape(shape)


def _fits(got: Any, want: Sequence[int]) -> bool:
    """Say whether a shape is one of the signature's, where -1 stands for one row or more."""
    if not isinstance(got, list) or len(got) != len(want):
        return False
    for size, wanted in zip(got, want, strict=True):
        if type(size) is not int or not (size == wanted or (wanted == -1 and size > 0)):
            return False
    return True


def _values(data: Any, tensor: Tensor) -> Array:
    """Turn JSON numbers, nested or flat, into an array of the tensor's dtype."""
    if not isinstance(data, list):
        raise Rejected(400, f"input {tensor.name!r}: data is missing or no list")
    try:
        values = np.asarray(data)
        if values.dtype == object and tensor.dtype.kind == "f":
            values = _with_missing(values)
        if values.dtype.kind in _KINDS[tensor.dtype.kind]:
            return _cast(values, tensor.dtype)
    except (ValueError, TypeError, ArithmeticError):
        pass  # ragged rows, other values than numbers, a number too large
    raise Rejected(400, f"input {tensor.name!r}: data is not all {tensor.datatype} values")


def _with_missing(values: Array) -> Array:
    """Read null as NaN, and nothing else as a number that is none."""
    missing = np.array([value is None for value in values.flat]).reshape(values.shape)
    present = values[~missing].tolist()
    if not all(type(value) in (int, float) for value in present):
        raise TypeError
    filled = np.full(values.shape, np.nan)
    filled[~missing] = present
    return filled


def _cast(values: Array, dtype: np.dtype[Any]) -> Array:
    """Change the dtype; raises OverflowError for an integer that does not fit."""
    cast = values.astype(dtype)
    if dtype.kind == "i" and not (cast == values).all():
        raise OverflowError
    return cast


def _rows(inputs: Mapping[str, Array]) -> int:
    counts = {len(values) for values in inputs.values()}
    if len(counts) != 1:
        raise Rejected(400, f"inputs have {sorted(counts)[:10]} rows; expected the same in each")
    return counts.pop()


def _ids(parameters: Any, identity: str, rows: int) -> tuple[str, ...]:
    """Name the rows: by the parameter `ids`, else by the request's id."""
    given = parameters.get("ids") if isinstance(parameters, dict) else None
    if given is None:
        return (identity,) if rows == 1 else tuple(f"{identity}-{row}" for row in range(rows))
    if (
        not isinstance(given, list)
        or len(given) != rows
        or not all(isinstance(entry, str) and 0 < len(entry) <= _MAX_ID for entry in given)
    ):
        raise Rejected(400, f"parameters.ids: expected {rows} strings, one a row")
    return tuple(given)


def _wanted(value: Mapping[str, Any], signature: Signature) -> tuple[str, ...]:
    known = [tensor.name for tensor in signature.outputs]
    if not value.get("outputs"):
        return tuple(known)
    wanted = [entry["name"] for entry in _list(value, "outputs")]
    for name in wanted:
        if name not in known:
            raise Rejected(400, f"output {name[:100]!r}: unknown; {nearest(name, known)}")
    return tuple(wanted)
