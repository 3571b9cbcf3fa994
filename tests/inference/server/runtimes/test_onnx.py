import json
import pathlib
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from components.foundation.errors import UserError
from components.foundation.signature import Array
from inference.server.runtimes import Model, load, place
from tests.inference.models import OFFSETS, write_model

WEIGHTS = np.arange(4, dtype=np.float32)


def write(
    folder: pathlib.Path, nodes: list[Any], *, x: tuple[int, str], y: tuple[int, str], **more: Any
) -> pathlib.Path:
    """Write a graph from x to y, each a type and its name in the protocol."""
    folder.mkdir(exist_ok=True)
    values = [
        helper.make_tensor_value_info(name, kind, more.get("shape", ["rows"]))
        for name, (kind, _) in (("x", x), ("y", y))
    ]
    graph = helper.make_graph(nodes, "test", values[:1], values[1:], more.get("weights", []))
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    shape = [size if isinstance(size, int) else -1 for size in more.get("shape", ["rows"])]
    signature = {
        kind: [{"name": name, "datatype": datatype, "shape": shape}]
        for kind, name, datatype in (("inputs", "x", x[1]), ("outputs", "y", y[1]))
    }
    (folder / "signature.json").write_text(json.dumps(signature))
    return folder


def outside(folder: pathlib.Path, location: str) -> pathlib.Path:
    """Write x + w with w in a file of its own."""
    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=WEIGHTS.shape)
    weights.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(WEIGHTS.nbytes))):
        weights.external_data.add(key=key, value=value)
    fp32, nodes = (TensorProto.FLOAT, "FP32"), [helper.make_node("Add", ["x", "w"], ["y"])]
    return write(folder, nodes, x=fp32, y=fp32, shape=[WEIGHTS.size], weights=[weights])


def opened(folder: pathlib.Path, *, threads: int = 1) -> Model:
    return load(folder, name="delays", threads=threads)


def test_says_what_numpy_says_from_many_threads_at_once(folder: pathlib.Path) -> None:
    model = opened(folder)
    rows: list[dict[str, Array]] = [
        {"delay": np.full(n, n, np.float32), "carrier": np.arange(n) % OFFSETS.size}
        for n in range(1, 65)
    ]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(model.predict, rows))

    for row, answer in zip(rows, found, strict=True):
        expected = 1 / (1 + np.exp(-(row["delay"] + OFFSETS[row["carrier"]])))
        np.testing.assert_allclose(answer["probability"], expected, rtol=1e-6)


def test_a_failure_is_told_by_its_operator(folder: pathlib.Path) -> None:
    with pytest.raises(Exception, match="Gather") as failure:
        opened(folder).predict({"delay": np.zeros(1, np.float32), "carrier": np.array([42])})

    assert place(failure.value) == "in Gather"


@pytest.mark.parametrize("location", ["weights.bin", "deep/weights.bin"])
def test_weights_may_lie_beside_the_graph(tmp_path: pathlib.Path, location: str) -> None:
    folder = outside(tmp_path / "model", location)
    (folder / location).parent.mkdir(exist_ok=True)
    (folder / location).write_bytes(WEIGHTS.tobytes())

    found = opened(folder).predict({"x": np.zeros(WEIGHTS.size, np.float32)})

    assert found["y"].tolist() == WEIGHTS.tolist()


@pytest.mark.parametrize("location", ["../weights.bin", "deep/../../weights.bin", "link", "/"])
def test_weights_outside_the_folder_are_refused(tmp_path: pathlib.Path, location: str) -> None:
    (tmp_path / "weights.bin").write_bytes(WEIGHTS.tobytes())
    location = str(tmp_path / "weights.bin") if location == "/" else location
    folder = outside(tmp_path / "model", location)
    (folder / "deep").mkdir()
    (folder / "link").symlink_to(tmp_path / "weights.bin")

    with pytest.raises(UserError, match=r"cannot load it: .*[Ee]xternal data path"):
        opened(folder)


def test_refuses_what_is_no_graph(folder: pathlib.Path) -> None:
    (folder / "model.onnx").write_bytes(b"broken")

    with pytest.raises(UserError, match=r"model\.onnx: ONNX Runtime cannot load it"):
        opened(folder)


def test_threads_that_wait_for_work_use_no_processor(tmp_path: pathlib.Path) -> None:
    model = opened(write_model(tmp_path / "model"), threads=2)
    row: dict[str, Array] = {
        "delay": np.zeros(1 << 17, np.float32),
        "carrier": np.zeros(1 << 17, np.int64),
    }

    used = time.process_time()
    for _ in range(10):
        model.predict(row)
        time.sleep(0.03)
    used = time.process_time() - used

    assert used < 0.1  # of the 0.3 s; a second thread that turns takes 0.2


def test_a_graph_with_a_fixed_size_is_not_batched(tmp_path: pathlib.Path) -> None:
    fp32, node = (TensorProto.FLOAT, "FP32"), helper.make_node("Identity", ["x"], ["y"])

    model = opened(write(tmp_path / "model", [node], x=fp32, y=fp32, shape=[1, 3]))

    assert not model.batches


def test_text_goes_through_as_bytes(tmp_path: pathlib.Path) -> None:
    text, node = (TensorProto.STRING, "BYTES"), helper.make_node("Identity", ["x"], ["y"])
    model = opened(write(tmp_path / "model", [node], x=text, y=text))
    given: Array = np.array([b"", "مطار".encode(), b"a\0b"], object)

    assert model.predict({"x": given})["y"].tolist() == given.tolist()


def test_bf16_is_rounded_by_nobody(tmp_path: pathlib.Path) -> None:
    bf16, node = (TensorProto.BFLOAT16, "BF16"), helper.make_node("Cast", ["f"], ["y"], to=16)
    nodes = [helper.make_node("Cast", ["x"], ["f"], to=onnx.TensorProto.FLOAT), node]
    model = opened(write(tmp_path / "model", nodes, x=bf16, y=bf16))
    given = np.array([1.5, -2, 0.0078125, 3.3895314e38], np.float32)

    found = model.predict({"x": given})["y"]

    assert found.dtype == np.float32
    assert found.tolist() == given.tolist()
