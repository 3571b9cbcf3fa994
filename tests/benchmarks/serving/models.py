"""The models that all servers serve: ONNX with one input `x` and one output `y`, FP32."""

import itertools
import json
import pathlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from components.foundation.signature import Array

WIDTH = 16
WIDE = 150_000
_COSTLY_WIDTH, _COSTLY_STEPS = 20_000, 360
_DENSE_WIDTH = 2048


@dataclass(frozen=True, slots=True)
class Model:
    """A model by what it asks of a server.

    Attributes:
        name: what requests call it.
        width: floats in a row.
        answer: floats in a row of the answer; 0 for one number a row without a second axis.
    """

    name: str
    width: int = WIDTH
    answer: int = 0

    def row(self, rows: int = 1) -> Array:
        """Return the same random rows each time."""
        values: Array = np.random.default_rng(7).normal(size=(rows, self.width))
        return values.astype(np.float32)

    def write(self, folder: pathlib.Path) -> pathlib.Path:
        """Write the folder that our server takes; peers read its model.onnx."""
        folder.mkdir(parents=True, exist_ok=True)
        onnx.save(self._graph(), folder / "model.onnx")
        tensors = {
            "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, self.width]}],
            "outputs": [{"name": "y", "datatype": "FP32", "shape": self._answer_shape(-1)}],
        }
        (folder / "signature.json").write_text(json.dumps(tensors))
        return folder

    def _answer_shape(self, rows: Any) -> list[Any]:
        return [rows, self.answer] if self.answer else [rows]

    def _graph(self) -> onnx.ModelProto:
        nodes, constants = _BODIES[self.name]()
        graph = helper.make_graph(
            nodes,
            self.name,
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", self.width])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, self._answer_shape("rows"))],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        )
        opsets = [helper.make_opsetid("", 17)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=9)


Body = tuple[list[NodeProto], dict[str, Array]]


def _weights(*shape: int) -> Array:
    scale = shape[0] ** -0.5
    values: Array = np.random.default_rng(3).normal(size=shape) * scale
    return values.astype(np.float32)


def _mean(of: str) -> NodeProto:
    return helper.make_node("ReduceMean", [of], ["y"], axes=[1], keepdims=0)


def _tiny() -> Body:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["sum"]),
        helper.make_node("Sigmoid", ["sum"], ["p"]),
        _mean("p"),
    ]
    return nodes, {"w": _weights(WIDTH, 1)}


def _wide() -> Body:
    return [_mean("x")], {}


def _echo() -> Body:
    return [helper.make_node("Neg", ["x"], ["y"])], {}


def _costly() -> Body:
    """Take as long for every row, whether rows come together or alone."""
    steps = [f"s{number}" for number in range(_COSTLY_STEPS + 1)]
    nodes = [helper.make_node("MatMul", ["x", "w"], ["s0"])]
    nodes += [helper.make_node("Tanh", [a], [b]) for a, b in itertools.pairwise(steps)]
    return [*nodes, _mean(steps[-1])], {"w": _weights(WIDTH, _COSTLY_WIDTH)}


def _dense() -> Body:
    """Spend the time on reading weights, so that rows that come together are cheaper."""
    nodes = [
        helper.make_node("MatMul", ["x", "w0"], ["h0"]),
        helper.make_node("MatMul", ["h0", "w1"], ["h1"]),
        helper.make_node("MatMul", ["h1", "w2"], ["h2"]),
        _mean("h2"),
    ]
    square = _weights(_DENSE_WIDTH, _DENSE_WIDTH)
    return nodes, {"w0": _weights(WIDTH, _DENSE_WIDTH), "w1": square, "w2": square.T.copy()}


_BODIES = {"tiny": _tiny, "wide": _wide, "echo": _echo, "costly": _costly, "dense": _dense}

TINY = Model("tiny")
WIDE_IN = Model("wide", width=WIDE)
ECHO = Model("echo", width=WIDE, answer=WIDE)
COSTLY = Model("costly")
DENSE = Model("dense")
