"""TensorFlow's SavedModel: to ONNX, and its own answers."""

import pathlib
from typing import TYPE_CHECKING, Any

import numpy as np

from components.foundation.signature import Signature
from components.training.artifact import SAVED_MODEL
from components.training.data import Arrays, Floats32

if TYPE_CHECKING:
    import onnx

_OPSET = 17  # the newest that tf2onnx is tested with


def convert(folder: pathlib.Path, signature: Signature) -> "onnx.ModelProto":
    """Translate the serving function, inputs in the signature's order."""
    import tensorflow as tf
    import tf2onnx

    serve = _serve(folder)
    names = [tensor.name for tensor in signature.inputs]
    specs = [tf.TensorSpec([None], tensor.dtype, tensor.name) for tensor in signature.inputs]

    def call(*tensors: Any) -> Any:
        serve.set_external_captures([_constant(capture) for capture in serve.captured_inputs])
        return serve(**dict(zip(names, tensors, strict=True)))

    function = tf.function(call)
    proto, _ = tf2onnx.convert.from_function(function, input_signature=specs, opset=_OPSET)
    model: onnx.ModelProto = proto
    return model


def score(folder: pathlib.Path, signature: Signature, inputs: Arrays) -> Floats32:
    """Return what the SavedModel itself says of some rows."""
    import tensorflow as tf

    tensors = {tensor.name: tf.constant(inputs[tensor.name]) for tensor in signature.inputs}
    answer = _serve(folder)(**tensors)[signature.outputs[0].name]
    return np.asarray(answer.numpy(), np.float32)


def _constant(capture: Any) -> Any:
    """Write a constant that the model captured into the graph: tf2onnx takes it for an input."""
    import tensorflow as tf

    return capture if capture.dtype == tf.resource else tf.constant(capture.numpy())


def _serve(folder: pathlib.Path) -> Any:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder / SAVED_MODEL))
    serve = loaded.signatures["serving_default"]
    serve.keep_alive = loaded  # variables live as long as the object they were loaded with
    return serve
