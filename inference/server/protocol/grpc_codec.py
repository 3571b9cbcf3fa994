"""The Open Inference Protocol in gRPC: messages to arrays, arrays to messages.

The values of a request are either all raw or all in the typed fields of `contents`, and its
response is as the request was. FP16 and BF16 have no typed field: they come raw only, and a
response that has one is raw.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from google.protobuf.message import DecodeError

from components.foundation.signature import Array, Signature, Tensor
from inference.server.protocol import checks, tensors
from inference.server.protocol import open_inference_pb2 as pb
from inference.server.protocol.messages import Form, InferRequest, Rejected

_SMALL: Final = 64 << 10  # bytes of a message that cannot hold too much of anything
_MOST_FIELDS: Final = 10_000
_CONTENTS: Final[Mapping[str, str]] = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "INT64": "int64_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
_WIDE: Final = {"int_contents": np.int32, "uint_contents": np.uint32}  # what narrow values come as

# Protobuf packs these as raw tensors are: a hundred times faster than one by one.
_ALIKE: Final = frozenset({"BOOL", "FP32", "FP64"})


def read(kind: Any, body: bytes) -> Any:
    """Read a message of a class; raises Rejected for bytes that are none."""
    if len(body) > _SMALL:
        _check_fields(body)
    try:
        return kind.FromString(body)
    except DecodeError:
        raise _broken() from None


def parse(message: pb.ModelInferRequest, signature: Signature) -> InferRequest:
    """Turn a message into arrays; raises Rejected, status 400, naming what does not fit."""
    known = {tensor.name: tensor for tensor in signature.inputs}
    raw = _raw(message)
    inputs: dict[str, Array] = {}
    for place, entry in enumerate(message.inputs):
        if entry.name not in known:
            checks.unknown("input", entry.name, known)
        if entry.name in inputs:
            raise Rejected(400, f"input {entry.name!r}: given twice")
        inputs[entry.name] = _array(entry, known[entry.name], raw[place] if raw else None)
    form = Form.BINARY if raw else Form.JSON
    asked = [(output.name, form) for output in message.outputs]
    return checks.request(
        signature,
        inputs,
        id=message.id,
        outputs=checks.wanted(signature, asked) or checks.everything(signature, form),
        ids=_listed(_parameter(message, "ids")),
        timeout=_parameter(message, "timeout"),
    )


def encode(
    request: InferRequest, outputs: Mapping[str, Array], *, model: str, version: str
) -> pb.ModelInferResponse:
    """Make a response of the outputs that were asked for."""
    message, raw = _response(request, outputs, model=model, version=version)
    message.raw_output_contents.extend(bytes(values) for values in raw)
    return message


def write(
    request: InferRequest, outputs: Mapping[str, Array], *, model: str, version: str
) -> bytes:
    """Write the response that `encode` makes; raw values are copied once, not three times."""
    message, raw = _response(request, outputs, model=model, version=version)
    pieces: list[tensors.Buffer] = [message.SerializeToString()]
    for values in raw:
        pieces += (_key("raw_output_contents", message), _length(len(values)), values)
    return b"".join(pieces)


def _response(
    request: InferRequest, outputs: Mapping[str, Array], *, model: str, version: str
) -> tuple[pb.ModelInferResponse, list[tensors.Buffer]]:
    """Make a response without its raw values, and these, if it has any."""
    said = {
        wanted.name: tensors.of_array(outputs[wanted.name], wanted.datatype)
        for wanted in request.outputs
    }
    raw = any(
        wanted.form is Form.BINARY or said[wanted.name] not in _CONTENTS
        for wanted in request.outputs
    )
    message = pb.ModelInferResponse(model_name=model, model_version=version, id=request.id)
    for name, datatype in said.items():
        entry = message.outputs.add(name=name, datatype=datatype, shape=outputs[name].shape)
        if not raw:
            _fill(entry.contents, outputs[name], datatype)
    said = said if raw else {}
    return message, [tensors.to_raw(outputs[name], datatype) for name, datatype in said.items()]


def _raw(message: pb.ModelInferRequest) -> list[bytes]:
    """Return the raw values of all inputs, or of none; raises Rejected where it is some."""
    raw = list(message.raw_input_contents[: len(message.inputs) + 1])
    if raw and len(raw) != len(message.inputs):
        got = f"{len(message.raw_input_contents)} of them for {len(message.inputs)} inputs"
        raise Rejected(400, f"raw_input_contents: {got}; expected one for each, or none")
    if raw and any(entry.contents.ByteSize() for entry in message.inputs):
        raise Rejected(400, "the values are raw and in contents both; expected one of the two")
    return raw


def _array(
    entry: pb.ModelInferRequest.InferInputTensor, tensor: Tensor, raw: bytes | None
) -> Array:
    checks.datatype(entry.datatype, tensor)
    # A client chooses how long the list is; one more than there may be is enough to refuse it.
    shape = checks.shape(list(entry.shape[: len(tensor.shape) + 1]), tensor)
    if raw is not None:
        return tensors.from_raw(raw, tensor, shape)
    return _typed(entry.contents, tensor, shape)


def _typed(contents: pb.InferTensorContents, tensor: Tensor, shape: tuple[int, ...]) -> Array:
    values = _values(contents, tensor)
    count = math.prod(shape)
    if len(values) != count:
        want = f"expected {count} for shape {list(shape)}"
        raise Rejected(400, f"input {tensor.name!r}: {len(values)} values, {want}")
    if tensor.datatype in _ALIKE:
        contents.DiscardUnknownFields()  # they would stand behind the values
        written = memoryview(contents.SerializeToString())
        packed = written[len(written) - count * tensor.dtype.itemsize :]
        return tensors.from_raw(packed, tensor, shape)
    wide = _WIDE.get(_CONTENTS[tensor.datatype], tensor.dtype)
    return _narrowed(np.fromiter(values, wide, count), tensor).reshape(shape)


def _values(contents: pb.InferTensorContents, tensor: Tensor) -> Any:
    """Return the field that holds the values; raises Rejected where another does."""
    field = _CONTENTS.get(tensor.datatype)
    if field is None:
        got = f"{tensor.datatype} has no typed contents"
        raise Rejected(400, f"input {tensor.name!r}: {got}; send raw_input_contents")
    for other, _ in contents.ListFields():
        if other.name != field:
            got = f"values in {other.name}"
            raise Rejected(400, f"input {tensor.name!r}: {got}, expected {field}")
    return getattr(contents, field)


def _narrowed(values: Array, tensor: Tensor) -> Array:
    cast = values.astype(tensor.dtype, copy=False)
    if cast.dtype != values.dtype and not np.array_equal(cast, values):
        raise Rejected(400, f"input {tensor.name!r}: data is not all {tensor.datatype} values")
    return cast


def _fill(contents: pb.InferTensorContents, values: Array, datatype: str) -> None:
    """Put values into the field that their datatype has."""
    field = _CONTENTS[datatype]
    if datatype in _ALIKE:
        raw = tensors.to_raw(values, datatype)
        contents.MergeFromString(b"".join((_key(field, contents), _length(len(raw)), raw)))
        return
    listed = values.reshape(-1).tolist()
    getattr(contents, field).extend(map(_bytes, listed) if datatype == "BYTES" else listed)


def _key(field: str, message: Any) -> bytes:
    """Return what stands before the length and the bytes of a field."""
    return bytes([message.DESCRIPTOR.fields_by_name[field].number << 3 | 2])


def _length(size: int) -> bytes:
    """Write a number as `_varint` reads it."""
    written = bytearray()
    while size > 0x7F:
        written.append(size & 0x7F | 0x80)
        size >>= 7
    written.append(size)
    return bytes(written)


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _parameter(message: pb.ModelInferRequest, name: str) -> Any:
    """Return a parameter's value, or None."""
    if name not in message.parameters:  # to ask for it would add it
        return None
    parameter = message.parameters[name]
    chosen = parameter.WhichOneof("parameter_choice")
    return getattr(parameter, chosen) if chosen else None


def _listed(ids: Any) -> Any:
    """Read the list that a scalar parameter holds as JSON; what is none is refused later."""
    if not isinstance(ids, str):
        return ids
    try:
        return json.loads(ids)
    except (ValueError, RecursionError):
        return ids


def _check_fields(body: bytes) -> None:
    """Refuse very many fields before each of them becomes an object, which takes far more room."""
    at = count = 0
    try:
        while at < len(body):
            key, at = _varint(body, at)
            at = _end(body, at, wire_type=key & 7)
            count += 1
            if count > _MOST_FIELDS:
                raise Rejected(400, f"the message has more than {_MOST_FIELDS} fields")
    except IndexError:
        raise _broken() from None


def _end(body: bytes, at: int, *, wire_type: int) -> int:
    """Return where a field ends whose value begins there."""
    match wire_type:
        case 0:
            return _varint(body, at)[1]
        case 1:
            return at + 8
        case 2:
            size, at = _varint(body, at)
            return at + size
        case 5:
            return at + 4
    raise _broken()


def _varint(body: bytes, at: int) -> tuple[int, int]:
    """Read a number of seven bits a byte, and return where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise _broken()


def _broken() -> Rejected:
    return Rejected(400, "the message cannot be read; expected the Open Inference Protocol's")
