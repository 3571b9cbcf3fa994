"""Models of two inputs, as ONNX, and rows to judge them on."""

import pathlib
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import onnx
import pyarrow as pa
import pytest
from onnx import TensorProto, helper

from components.evaluation.runtime import ServedModel
from components.foundation.signature import Signature, Tensor
from components.foundation.tables import TableRef, Tables
from components.training import artifact

MakeModel: TypeAlias = Callable[..., ServedModel]
SIGNATURE = Signature(
    (Tensor("wind", "FP32"), Tensor("carrier", "INT64")), (Tensor("probability", "FP32"),)
)


def make_rows(count: int, seed: int = 1) -> pa.Table:
    """Rows where sigmoid(wind - 1) is the chance of being late."""
    random = np.random.default_rng(seed)
    wind = random.normal(size=count).astype(np.float32)
    carrier = random.integers(0, 4, count)
    late = (random.random(count) < 1 / (1 + np.exp(1 - wind))).astype(np.int64)
    return pa.table(
        {
            "wind": pa.array(wind),
            "carrier": pa.array(carrier),
            "airport": pa.array(np.where(carrier < 2, "AUH", "DXB")),
            "day": pa.array([f"2013-06-{i * 20 // count + 1:02}" for i in range(count)]),
            "late": pa.array(late, mask=np.arange(count) % 50 == 0),
        }
    )


def write_model(folder: pathlib.Path, *, slope: float, offset: float) -> pathlib.Path:
    """Write sigmoid(slope * wind + offset); the carrier is looked up in a table of 4 zeros."""
    constants = {
        "slope": np.array(slope, np.float32),
        "offset": np.array(offset, np.float32),
        "table": np.zeros(4, np.float32),
    }
    nodes = [
        helper.make_node("Mul", ["wind", "slope"], ["scaled"]),
        helper.make_node("Add", ["scaled", "offset"], ["shifted"]),
        helper.make_node("Gather", ["table", "carrier"], ["weight"]),
        helper.make_node("Add", ["shifted", "weight"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["probability"]),
    ]
    graph = helper.make_graph(
        nodes,
        "model",
        [
            helper.make_tensor_value_info("wind", TensorProto.FLOAT, ["batch"]),
            helper.make_tensor_value_info("carrier", TensorProto.INT64, ["batch"]),
        ],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["batch"])],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    card = artifact.Card(
        "torch", "2", "a:b", "", {}, {}, "t@1", "v@1", "late", 10, 0.3, 1, 1, "sha256:0"
    )
    artifact.write(folder, SIGNATURE, card)
    onnx.save(model, folder / artifact.ONNX)
    return folder


@pytest.fixture
def model(tmp_path: pathlib.Path) -> MakeModel:
    """Make a model; the true one by default."""

    def make(name: str = "true", *, slope: float = 1, offset: float = -1) -> ServedModel:
        return ServedModel.open(write_model(tmp_path / name, slope=slope, offset=offset))

    return make


@pytest.fixture(scope="session")
def rows() -> Callable[..., pa.Table]:
    return make_rows


@pytest.fixture
def test_table(tables: Tables, unique: str, environment: None) -> str:
    return str(tables.replace(TableRef("falaj-features", f"{unique}/test"), make_rows(4000)))
