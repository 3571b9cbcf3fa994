"""Small real models, sealed: what a release is, without training one."""

import json
import pathlib
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from components.foundation.sealing import release
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.release import Release
from components.foundation.signature import Signature, Tensor
from components.foundation.storage import ObjectStore

SIGNATURE = Signature(
    (Tensor("distance", "FP32"), Tensor("hour", "INT64")), (Tensor("probability", "FP32"),)
)


def seal(
    folder: pathlib.Path,
    model: str,
    *,
    slope: float,
    hours: int = 24,
    store: ObjectStore,
    keys: KeyRing,
) -> Release:
    """Seal a model that answers sigmoid(slope * distance), and 1/2 where it is missing.

    It fails in every request with an hour of `hours` or above.
    """
    folder.mkdir(parents=True)
    onnx.save(_graph(slope, hours), folder / "model.onnx")
    (folder / "signature.json").write_text(json.dumps(SIGNATURE.to_dict()))
    (folder / "model.json").write_text(json.dumps({"framework": "none"}))
    return release.seal(folder, model=model, facts={"slope": slope}, store=store, keys=keys)


def _graph(slope: float, hours: int) -> onnx.ModelProto:
    def constant(name: str, value: Any) -> onnx.TensorProto:
        return numpy_helper.from_array(value, name)

    nodes = [
        helper.make_node("IsNaN", ["distance"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "distance"], ["filled"]),
        helper.make_node("Mul", ["filled", "slope"], ["scaled"]),
        helper.make_node("Sigmoid", ["scaled"], ["risk"]),
        helper.make_node("Gather", ["table", "hour"], ["one"]),
        helper.make_node("Mul", ["risk", "one"], ["probability"]),
    ]
    inputs = [
        helper.make_tensor_value_info("distance", TensorProto.FLOAT, ["n"]),
        helper.make_tensor_value_info("hour", TensorProto.INT64, ["n"]),
    ]
    outputs = [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["n"])]
    constants = [
        constant("zero", np.float32(0)),
        constant("slope", np.float32(slope)),
        constant("table", np.ones(hours, np.float32)),  # an hour outside of it is an error
    ]
    graph = helper.make_graph(nodes, "m", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
