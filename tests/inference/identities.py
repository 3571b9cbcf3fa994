"""An ONNX model that gives back what it is given, one input and one output a datatype."""

import json
import pathlib
from collections.abc import Iterable

import onnx
from onnx import TensorProto, helper

TYPES = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BF16": TensorProto.BFLOAT16,
    "BYTES": TensorProto.STRING,
}
WIDTH = 2


def write_identities(folder: pathlib.Path, datatypes: Iterable[str]) -> pathlib.Path:
    """Write a model of rows of two: `in_X` of datatype X comes back as `out_X`."""
    names = list(datatypes)
    graph = helper.make_graph(
        [helper.make_node("Identity", [f"in_{name}"], [f"out_{name}"]) for name in names],
        "identities",
        [helper.make_tensor_value_info(f"in_{n}", TYPES[n], ["rows", WIDTH]) for n in names],
        [helper.make_tensor_value_info(f"out_{n}", TYPES[n], ["rows", WIDTH]) for n in names],
    )
    opsets = [helper.make_opsetid("", 17)]
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), folder / "model.onnx")
    signature = {
        side: [
            {"name": f"{prefix}_{name}", "datatype": name, "shape": [-1, WIDTH]} for name in names
        ]
        for side, prefix in (("inputs", "in"), ("outputs", "out"))
    }
    (folder / "signature.json").write_text(json.dumps(signature))
    return folder
