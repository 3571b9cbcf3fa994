"""Requests as bytes, written here so that no client library's speed is measured."""

import enum
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from components.foundation.signature import Array
from tests.benchmarks.serving.models import Model


class Form(enum.Enum):
    """How tensors travel."""

    JSON = "v2 JSON"
    BINARY = "v2 binary"
    GRPC = "gRPC"


@dataclass(frozen=True, slots=True)
class Payload:
    """One request, sent again and again."""

    path: str
    body: bytes = field(repr=False)
    headers: Mapping[str, str]


def payload(model: Model, form: Form, *, rows: int = 1, timeout: float | None = None) -> Payload:
    """Write an inference request for rows of a model.

    Args:
        model: whose input to make.
        form: how the tensor travels, there and back.
        rows: rows in the tensor.
        timeout: seconds within which the client wants an answer.
    """
    values = model.row(rows)
    parameters = {} if timeout is None else {"parameters": {"timeout": int(timeout * 1e6)}}
    path = f"/v2/models/{model.name}/infer"
    match form:
        case Form.JSON:
            body = json.dumps({"inputs": [_in_json(values)], **parameters}).encode()
            return Payload(path, body, {"Content-Type": "application/json"})
        case Form.BINARY:
            return _binary(path, values, parameters)
        case Form.GRPC:
            headers = {"content-type": "application/grpc", "te": "trailers"}
            body = grpc_message(model.name, values)
            return Payload("/inference.GRPCInferenceService/ModelInfer", body, headers)


def _in_json(values: Array) -> dict[str, object]:
    data = values.reshape(-1).tolist()
    return {"name": "x", "datatype": "FP32", "shape": list(values.shape), "data": data}


def _binary(path: str, values: Array, parameters: Mapping[str, object]) -> Payload:
    tensor = {"name": "x", "datatype": "FP32", "shape": list(values.shape)}
    sized = {**tensor, "parameters": {"binary_data_size": values.nbytes}}
    wanted = {"name": "y", "parameters": {"binary_data": True}}
    head = json.dumps({"inputs": [sized], "outputs": [wanted], **parameters}).encode()
    headers = {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(len(head)),
    }
    return Payload(path, head + values.tobytes(), headers)


def grpc_message(name: str, values: Array) -> bytes:
    """Return a ModelInferRequest with raw contents, behind gRPC's five bytes of framing."""
    shape = b"".join(_varint(size) for size in values.shape)
    tensor = _field(1, b"x") + _field(2, b"FP32") + _field(3, shape)
    message = _field(1, name.encode()) + _field(5, tensor) + _field(7, values.tobytes())
    return struct.pack(">BI", 0, len(message)) + message


def _field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    pieces = bytearray()
    while value > 0x7F:
        pieces.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*pieces, value])
