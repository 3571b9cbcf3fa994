"""SavedModels, on TensorFlow; imported only where one is served."""

import logging
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np

from components.foundation.errors import UserError
from components.foundation.formats import saved_graph
from components.foundation.runtimes.program import Port
from components.foundation.signature import Array, Signature

_LOG = logging.getLogger("server")
_SERVE: Final = "serving_default"
_DATATYPES: Final = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "bfloat16": "BF16",
    "float32": "FP32",
    "float64": "FP64",
    "string": "BYTES",
}


@dataclass(frozen=True, slots=True)
class SavedModel:
    """The serving function of a SavedModel.

    Attributes:
        loaded: owns the variables that the function uses; they go when it goes.
    """

    function: Any
    loaded: Any
    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]

    platform = "tensorflow_savedmodel"

    @classmethod
    def open(cls, folder: pathlib.Path, *, signature: Signature, threads: int) -> Self:
        """Load the function `serving_default` of a graph that only computes.

        Raises:
            UserError: it cannot be loaded, lacks the function, or reaches outside.
        """
        saved_graph.check(folder)
        _use(threads)
        loaded = _load(folder)
        function = loaded.signatures.get(_SERVE)
        if function is None:
            raise UserError(
                f"{folder}: has no signature {_SERVE}; save the model with one",
                code="model-signature-mismatch",
            )
        _, takes = function.structured_input_signature
        return cls(function, loaded, _ports(takes), _ports(function.structured_outputs))

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        given = {name: _tensor(inputs[name], port) for name, port in self.inputs.items()}
        found = self.function(**given)
        return {name: _array(found[name], port) for name, port in self.outputs.items()}


def _load(folder: pathlib.Path) -> Any:
    import tensorflow as tf

    try:
        return tf.saved_model.load(str(folder))
    # TensorFlow raises many classes over Exception; each means that the folder does not load.
    except Exception as error:
        raise UserError(
            f"{folder}: TensorFlow {tf.__version__} cannot load it: {error}; save it again",
            code="model-unloadable",
        ) from error


def _use(threads: int) -> None:
    """Bound the threads of one operator; how many predictions run at once is the server's."""
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    except RuntimeError:  # a process has one number, from its first model on
        _LOG.warning("TensorFlow is at work already; its threads stay as they are")


def _ports(specs: Mapping[str, Any]) -> dict[str, Port]:
    return {name: _port(spec) for name, spec in specs.items()}


def _port(spec: Any) -> Port:
    datatype = _DATATYPES.get(spec.dtype.name, spec.dtype.name)
    if spec.shape.rank is None:
        return Port(f"{datatype} of any rank", ())
    return Port(datatype, tuple(-1 if size is None else size for size in spec.shape))


def _tensor(values: Array, port: Port) -> Any:
    import tensorflow as tf

    if port.datatype == "BYTES":
        return tf.constant(values, tf.string)
    tensor = tf.constant(values)
    return tf.cast(tensor, tf.bfloat16) if port.datatype == "BF16" else tensor


def _array(tensor: Any, port: Port) -> Array:
    import tensorflow as tf

    if port.datatype == "BF16":
        return np.asarray(tf.cast(tensor, tf.float32).numpy())
    values = tensor.numpy()
    return np.asarray(values, object) if port.datatype == "BYTES" else np.asarray(values)
