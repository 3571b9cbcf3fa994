"""A small ONNX model for tests: probability = sigmoid(delay + offsets[carrier])."""

import json
import pathlib
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OFFSETS = np.array([0.0, 1.0, -1.0], np.float32)  # a fourth carrier makes the model fail
SIGNATURE: dict[str, Any] = {
    "inputs": [
        {"name": "delay", "datatype": "FP32", "shape": [-1]},
        {"name": "carrier", "datatype": "INT64", "shape": [-1]},
    ],
    "outputs": [{"name": "probability", "datatype": "FP32", "shape": [-1]}],
}


def write_model(
    folder: pathlib.Path, *, signature: dict[str, Any] = SIGNATURE, zero_only: bool = False
) -> pathlib.Path:
    """Write an ONNX artifact; one that knows carrier zero only fails for every other."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(_model(OFFSETS[:1] if zero_only else OFFSETS), folder / "model.onnx")
    (folder / "signature.json").write_text(json.dumps(signature))
    (folder / "model.json").write_text(json.dumps({"framework": "onnx"}))
    return folder


def _model(offsets: np.ndarray[Any, Any]) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Gather", ["offsets", "carrier"], ["offset"]),
        helper.make_node("Add", ["delay", "offset"], ["sum"]),
        helper.make_node("Sigmoid", ["sum"], ["probability"]),
    ]
    graph = helper.make_graph(
        nodes,
        "test",
        [
            helper.make_tensor_value_info("delay", TensorProto.FLOAT, ["rows"]),
            helper.make_tensor_value_info("carrier", TensorProto.INT64, ["rows"]),
        ],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["rows"])],
        [numpy_helper.from_array(offsets, "offsets")],
    )
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def request(*, delay: list[Any], carrier: list[Any], **more: Any) -> dict[str, Any]:
    rows = [len(delay)]
    return {
        "inputs": [
            {"name": "delay", "datatype": "FP32", "shape": rows, "data": delay},
            {"name": "carrier", "datatype": "INT64", "shape": rows, "data": carrier},
        ],
        **more,
    }
