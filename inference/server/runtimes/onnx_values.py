"""What ONNX Runtime holds differently from us: text, and numbers that numpy lacks."""

import ctypes
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from components.foundation.signature import Array, Signature, Tensor
from inference.transport.messages import Rejected

if TYPE_CHECKING:
    import onnxruntime

_BFLOAT16: Final = 16  # its number in onnx.TensorProto
DATATYPES: Final = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(bfloat16)": "BF16",
    "tensor(string)": "BYTES",
}


def are_the_same(signature: Signature) -> bool:
    """Say whether a signature's arrays are ONNX Runtime's own."""
    tensors = (*signature.inputs, *signature.outputs)
    return not any(tensor.datatype in {"BF16", "BYTES"} for tensor in tensors)


def cannot(signature: Signature) -> str:
    """Say what ONNX Runtime's Python interface cannot do for a signature; empty: nothing."""
    text = any(tensor.datatype == "BYTES" for tensor in signature.inputs)
    if text and _gives_bfloat16(signature):
        return "text in and BF16 out is beyond ONNX Runtime's Python interface; cast to FP32"
    return ""


def predict(
    session: "onnxruntime.InferenceSession", signature: Signature, inputs: Mapping[str, Array]
) -> dict[str, Array]:
    """Predict with any datatype; raises Rejected 400 for text that is no UTF-8."""
    names = [tensor.name for tensor in signature.outputs]
    given = {tensor.name: _to(inputs[tensor.name], tensor) for tensor in signature.inputs}
    if _gives_bfloat16(signature):  # which only its own values can hold
        found = session.run_with_ort_values(names, {n: _own(v) for n, v in given.items()})
    else:
        found = session.run(names, given)
    return {t.name: _from(value, t) for t, value in zip(signature.outputs, found, strict=True)}


def _gives_bfloat16(signature: Signature) -> bool:
    return any(tensor.datatype == "BF16" for tensor in signature.outputs)


def _to(values: Array, tensor: Tensor) -> Any:
    import onnxruntime

    if tensor.datatype == "BF16":
        high = (np.ascontiguousarray(values).view(np.uint32) >> 16).astype(np.uint16)
        return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(high, _BFLOAT16)
    return _text(values, tensor.name) if tensor.datatype == "BYTES" else values


def _own(value: Any) -> Any:
    import onnxruntime

    if isinstance(value, np.ndarray):
        return onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(value))
    return value


def _text(values: Array, name: str) -> Array:
    try:
        return _each(values, bytes.decode)
    except UnicodeDecodeError:
        raise Rejected(400, f"input {name!r}: the model takes text, expected UTF-8") from None


def _from(value: Any, tensor: Tensor) -> Array:
    if tensor.datatype == "BF16":
        return _bfloat16(value)
    found: Array = value if isinstance(value, np.ndarray) else value.numpy()
    return _each(found, str.encode) if tensor.datatype == "BYTES" else found


def _each(values: Array, change: Callable[[Any], Any]) -> Array:
    changed = np.empty(values.size, object)
    changed[:] = [change(value) for value in values.reshape(-1).tolist()]
    return changed.reshape(values.shape)


def _bfloat16(value: Any) -> Array:
    """Copy what numpy has no type for out of ONNX Runtime's memory."""
    shape = value.shape()
    size = int(np.prod(shape))
    held = (ctypes.c_uint16 * size).from_address(value.data_ptr()) if size else ()
    high = np.array(held, np.uint16).astype(np.uint32) << 16
    return high.view(np.float32).reshape(shape)
