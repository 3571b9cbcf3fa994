"""The Open Inference Protocol v2 over REST: requests to arrays, arrays to responses.

Strict where a mistake could turn into a wrong prediction: names, datatypes, shapes and
counts are those of the signature. Tensors come and go in JSON, or raw behind the JSON as the
binary tensor data extension has it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from components.foundation.signature import Array, Signature, Tensor
from inference.server.protocol import checks, documents, tensors
from inference.server.protocol.messages import Form, InferRequest, Rejected, Wanted
from inference.server.protocol.tensors import Buffer


class _Tail:
    """The raw tensors behind the JSON, each taken once, in the order of the inputs."""

    __slots__ = ("_left",)

    def __init__(self, left: Buffer | None) -> None:
        self._left = left

    def take(self, size: Any, name: str) -> Buffer:
        """Cut the next tensor off; raises Rejected unless all of it is there."""
        if self._left is None:
            want = "a header Inference-Header-Content-Length that says where the JSON ends"
            raise Rejected(400, f"input {name!r}: binary_data_size asks for {want}")
        if type(size) is not int or not 0 <= size <= len(self._left):
            got = f"binary_data_size {size!r:.40}"
            raise Rejected(400, f"input {name!r}: {got}, {len(self._left)} bytes are there")
        taken, self._left = self._left[:size], self._left[size:]
        return taken

    def check_empty(self) -> None:
        if self._left:
            raise Rejected(400, f"{len(self._left)} bytes follow the last binary tensor")


def parse(body: Buffer, signature: Signature, *, json_length: int | None = None) -> InferRequest:
    """Read a request; raises Rejected with status 400 naming what does not fit.

    Args:
        body: JSON, and raw tensors behind it.
        signature: the model's.
        json_length: how much of the body is JSON, by Inference-Header-Content-Length; nothing
            means all of it.
    """
    head, tail = (body, _Tail(None)) if json_length is None else _split(body, json_length)
    value = documents.load(head)
    inputs = _inputs(_named(value, "inputs"), signature, tail)
    tail.check_empty()
    parameters = _parameters(value, "")
    return checks.request(
        signature,
        inputs,
        id=value.get("id"),
        outputs=_wanted(value, parameters, signature),
        ids=parameters.get("ids"),
        timeout=parameters.get("timeout"),
    )


def encode(
    request: InferRequest, outputs: Mapping[str, Array], *, model: str, version: str
) -> tuple[bytes, int | None]:
    """Write a response; a NaN becomes null in JSON and stays what it is in binary.

    Returns:
        The body, and the length of its JSON where binary tensors follow it.

    Raises:
        Rejected: an output in JSON holds bytes that are no text.
    """
    raw: list[Buffer] = []
    body = orjson.dumps(
        {
            "model_name": model,
            "model_version": version,
            "id": request.id,
            "outputs": [_output(wanted, outputs[wanted.name], raw) for wanted in request.outputs],
        },
        option=orjson.OPT_SERIALIZE_NUMPY,
    )
    return (b"".join([body, *raw]), len(body)) if raw else (body, None)


def metadata(
    signature: Signature,
    *,
    name: str,
    versions: Sequence[str],
    platform: str,
    features: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Describe a model, and the features that it was trained with where that is known."""
    more = {"parameters": dict(features)} if features else {}
    return {
        **more,
        "name": name,
        "versions": list(versions),
        "platform": platform,
        "inputs": [_described(tensor) for tensor in signature.inputs],
        "outputs": [_described(tensor) for tensor in signature.outputs],
    }


def error(message: str) -> bytes:
    """Write why a request was not answered."""
    return orjson.dumps({"error": message})


def _described(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}


def _output(wanted: Wanted, values: Array, raw: list[Buffer]) -> dict[str, Any]:
    """Describe an output with its values, or add them to the raw ones and say how many."""
    name, datatype = wanted.name, tensors.of_array(values, wanted.datatype)
    said: dict[str, Any] = {"name": name, "datatype": datatype, "shape": values.shape}
    if wanted.form is Form.BINARY:
        raw.append(tensors.to_raw(values, datatype))
        said["parameters"] = {"binary_data_size": len(raw[-1])}
    else:
        said["data"] = tensors.to_json(values, name)
    return said


def _split(body: Buffer, json_length: int) -> tuple[Buffer, _Tail]:
    if not 0 < json_length <= len(body):
        got = f"Inference-Header-Content-Length {json_length}"
        raise Rejected(400, f"{got}, the body has {len(body)} bytes; expected 1 to that")
    view = memoryview(body)
    return view[:json_length], _Tail(view[json_length:])


def _named(value: Mapping[str, Any], member: str) -> list[Any]:
    """Return a list of objects with a name."""
    found = value.get(member)
    if type(found) is list:
        for entry in found:
            if type(entry) is not dict or type(entry.get("name")) is not str:
                break
        else:
            return found
    raise Rejected(400, f"{member}: expected a list of objects with a name")


def _parameters(value: Mapping[str, Any], where: str) -> dict[str, Any]:
    found = value.get("parameters")
    if found is None:
        return {}
    if type(found) is not dict:
        raise Rejected(400, f"{where}parameters: expected an object")
    return found


def _inputs(entries: Sequence[Any], signature: Signature, tail: _Tail) -> dict[str, Array]:
    known = {tensor.name: tensor for tensor in signature.inputs}
    inputs: dict[str, Array] = {}
    for entry in entries:
        name = entry["name"]
        tensor = known.get(name)
        if tensor is None:
            checks.unknown("input", name, known)
        if name in inputs:
            raise Rejected(400, f"input {name!r}: given twice")
        inputs[name] = _array(entry, tensor, tail)
    return inputs


def _array(entry: Mapping[str, Any], tensor: Tensor, tail: _Tail) -> Array:
    checks.datatype(entry.get("datatype"), tensor)
    shape = checks.shape(entry.get("shape"), tensor)
    data = entry.get("data")
    if "parameters" in entry:
        parameters = _parameters(entry, f"input {tensor.name!r}: ")
        if "binary_data_size" in parameters:
            if data is not None:
                raise Rejected(400, f"input {tensor.name!r}: both data and binary_data_size")
            raw = tail.take(parameters["binary_data_size"], tensor.name)
            return tensors.from_raw(raw, tensor, shape)
    return tensors.from_json(data, tensor, shape)


def _wanted(
    value: Mapping[str, Any], parameters: Mapping[str, Any], signature: Signature
) -> tuple[Wanted, ...]:
    usual = _form(parameters, "binary_data_output", Form.JSON)
    if not value.get("outputs"):
        return checks.everything(signature, usual)
    asked = []
    for entry in _named(value, "outputs"):
        own = _parameters(entry, f"output {entry['name'][:100]!r}: ")
        asked.append((entry["name"], _form(own, "binary_data", usual)))
    return checks.wanted(signature, asked)


def _form(parameters: Mapping[str, Any], name: str, usual: Form) -> Form:
    match parameters.get(name):
        case None:
            return usual
        case bool(binary):
            return Form.BINARY if binary else Form.JSON
    raise Rejected(400, f"parameters.{name}: {parameters[name]!r:.40}, expected true or false")
