import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pyarrow as pa
import pytest
from kfp import dsl
from onnx import helper

from components.evaluation.runtime import ServedModel
from components.foundation.errors import UserError
from components.foundation.signature import Signature, Tensor
from components.foundation.tables import TableRef, Tables
from components.release.export_onnx import export, graph
from components.release.export_onnx.component import export_onnx
from components.training import artifact
from components.training.train_tensorflow.component import train_tensorflow
from components.training.train_torch.component import train_torch

pytestmark = pytest.mark.usefixtures("frameworks")

TRAINERS = {"torch": train_torch, "tensorflow": train_tensorflow}
ENTRIES = {
    "torch": "examples.flights.models.torch_mlp:build",
    "tensorflow": "examples.flights.models.tensorflow_linear:build",
}


@pytest.fixture
def table(tables: Tables, unique: str, environment: None) -> str:
    random = np.random.default_rng(3)
    wind = random.normal(size=800)
    rows = pa.table(
        {
            "wind": np.where(random.random(800) < 0.2, np.nan, wind).tolist(),
            "carrier_code": random.integers(0, 5, 800).tolist(),
            "late": (wind + random.normal(size=800) > 0.5).astype(int).tolist(),
        }
    )
    return str(tables.replace(TableRef("falaj-features", f"{unique}/rows"), rows))


@pytest.fixture
def trained(table: str, tmp_path: pathlib.Path) -> Callable[..., pathlib.Path]:
    def train(framework: str, entry_point: str = "") -> pathlib.Path:
        TRAINERS[framework].python_func(
            train=table,
            validation=table,
            features=["wind", "carrier_code"],
            label="late",
            entry_point=entry_point or ENTRIES[framework],
            epochs=1,
            batch_size=200,
            model=dsl.Model(uri=str(tmp_path / framework)),
            curve=dsl.HTML(uri=str(tmp_path / "curve.html")),
            metrics=dsl.Metrics(uri=str(tmp_path / "metrics")),
        )
        return tmp_path / framework

    return train


def _run(model: pathlib.Path, table: str, out: pathlib.Path, **more: Any) -> Any:
    return export_onnx.python_func(
        model=dsl.Model(uri=str(model)), rows=table, onnx=dsl.Model(uri=str(out)), **more
    )


@pytest.mark.parametrize("framework", ["torch", "tensorflow"])
def test_the_exported_model_says_the_same_of_any_batch(
    framework: str, trained: Any, table: str, tmp_path: pathlib.Path
) -> None:
    source = trained(framework)

    difference, verdict, decision = _run(source, table, tmp_path / "onnx")

    exported = ServedModel.open(tmp_path / "onnx")
    assert decision == "accept"
    assert 0 <= difference < 1e-5
    assert verdict["judged"] == exported.digest
    assert verdict["evidence"]["rows"] == 256
    assert exported.signature == artifact.read(source).signature
    for count in (1, 2, 999):
        wind, code = np.full(count, np.nan, np.float32), np.full(count, 10**6)
        assert exported.run({"wind": wind, "carrier_code": code}).shape == (count,)


@pytest.mark.parametrize("framework", ["torch", "tensorflow"])
def test_the_graph_has_the_signatures_names_an_open_batch_and_no_paths(
    framework: str, trained: Any, table: str, tmp_path: pathlib.Path
) -> None:
    export.export(trained(framework), tmp_path / "onnx")

    content = (tmp_path / "onnx" / "model.onnx").read_bytes()
    found = onnx.load_from_string(content).graph
    assert [value.name for value in found.input] == ["wind", "carrier_code"]
    assert [value.name for value in found.output] == ["probability"]
    dimensions = [v.type.tensor_type.shape.dim[0].dim_param for v in (*found.input, *found.output)]
    assert dimensions == ["batch"] * 3
    assert b".py" not in content
    assert str(tmp_path).encode() not in content


def test_exporting_twice_gives_the_same_bytes(trained: Any, tmp_path: pathlib.Path) -> None:
    source = trained("torch")

    first = export.export(source, tmp_path / "first")
    again = export.export(source, tmp_path / "again")

    assert first.digest == again.digest


def test_models_that_differ_are_refused_not_failed(
    trained: Any, table: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = trained("torch")
    run = ServedModel.run
    monkeypatch.setattr(ServedModel, "run", lambda self, inputs: run(self, inputs) + 0.01)

    difference, verdict, decision = _run(source, table, tmp_path / "onnx")

    assert decision == "refuse"
    assert difference == pytest.approx(0.01, abs=1e-4)
    assert "more than 1e-04" in verdict["reason"]


def test_a_score_that_is_not_a_number_is_a_difference(
    trained: Any, table: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = trained("torch")
    run = ServedModel.run
    monkeypatch.setattr(ServedModel, "run", lambda self, inputs: run(self, inputs) * np.nan)

    difference, _, decision = _run(source, table, tmp_path / "onnx")

    assert (difference, decision) == (1.0, "refuse")


UNSAYABLE = {
    "torch": (
        "import torch\n"
        "class Odd(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.w = torch.nn.Parameter(torch.ones(1))\n"
        "    def forward(self, **inputs):\n"
        "        return torch.special.bessel_j0(torch.nan_to_num(inputs['wind'])) * self.w\n"
        "def build(spec): return Odd()",
        "bessel_j0",
    ),
    "tensorflow": (
        "import keras, tensorflow as tf\n"
        "class Odd(keras.Model):\n"
        "    def build(self, shape): self.w = self.add_weight(shape=(), initializer='ones')\n"
        "    def call(self, inputs):\n"
        "        x = inputs['wind']\n"
        "        x = tf.where(tf.math.is_nan(x), tf.zeros_like(x), x)\n"
        "        return tf.math.special.bessel_j0(tf.stop_gradient(x)) * self.w\n"
        "def build(spec):\n"
        "    odd = Odd()\n"
        "    odd({t.name: tf.zeros([2], t.dtype) for t in spec.signature.inputs})\n"
        "    return odd",
        "BesselJ0",
    ),
}


@pytest.mark.parametrize("framework", ["torch", "tensorflow"])
def test_an_operator_that_onnx_lacks_is_named(
    framework: str,
    trained: Any,
    table: str,
    unique: str,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, operator = UNSAYABLE[framework]
    (tmp_path / f"{unique}_odd.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    source = trained(framework, f"{unique}_odd:build")
    capsys.readouterr()

    with pytest.raises(SystemExit) as ended:
        _run(source, table, tmp_path / "onnx")

    assert ended.value.code == 2
    assert operator in capsys.readouterr().err


def test_refuses_what_no_trainer_wrote(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UserError, match=r"has no signature\.json; expected a model folder"):
        export.export(tmp_path, tmp_path / "onnx")


def _graph(operator: str = "Neg", counter: int = 1, domain: str = "") -> Any:
    node = helper.make_node(
        operator, ["x__7"], [f"y__{counter}"], name=f"n__{counter}", domain=domain
    )
    node.doc_string = "/home/amal/secret/model.py, line 3"
    entry = node.metadata_props.add()
    entry.key, entry.value = "stack_trace", "/home/amal/secret/model.py"
    return _model([node, _last("Neg", f"y__{counter}")])


def _last(operator: str, *inputs: str) -> onnx.NodeProto:
    return helper.make_node(operator, inputs, ["probability"])


def _model(nodes: list[onnx.NodeProto], constants: Sequence[onnx.TensorProto] = ()) -> Any:
    values = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n"])
        for name in ("x__7", "probability")
    ]
    made = helper.make_graph(nodes, "g", values[:1], values[1:], constants)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


SIGNATURE = Signature((Tensor("x__7", "FP32"),), (Tensor("probability", "FP32"),))


def test_names_do_not_count_and_inputs_keep_theirs() -> None:
    first, second = (graph.finish(_graph(counter=n), SIGNATURE) for n in (24, 36))

    assert first == second
    assert b"x__7" in first


def test_order_of_nodes_and_names_of_constants_do_not_count() -> None:
    first, second = (graph.finish(_sum(*names), SIGNATURE) for names in ("abc", "cab"))

    assert first == second
    session = onnxruntime.InferenceSession(first)
    (answer,) = session.run(None, {"x__7": np.array([5], np.float32)})
    assert answer.tolist() == [-2.0]


def _sum(constant: str, left: str, right: str) -> Any:
    """Make (x - 1) - (x + 1), its inner nodes in the order of their names."""
    one = helper.make_tensor(constant, onnx.TensorProto.FLOAT, [1], [1.0])
    unused = helper.make_node("Neg", ["x__7"], ["unused"])
    inner = [
        helper.make_node("Sub", ["x__7", constant], [left], name=left),
        helper.make_node("Add", ["x__7", constant], [right], name=right),
        unused,
    ]
    nodes = [*sorted(inner, key=lambda node: str(node.name)), _last("Sub", left, right)]
    return _model(nodes, [one])


def test_a_finished_graph_tells_nothing_of_where_it_was_made() -> None:
    assert b"amal" not in graph.finish(_graph(), SIGNATURE)


@pytest.mark.parametrize(
    ("operator", "domain"), [("BesselJ0", ""), ("Neg", "org.tensorflow")], ids=["name", "domain"]
)
def test_refuses_a_graph_with_an_operator_of_nobodys(operator: str, domain: str) -> None:
    with pytest.raises(UserError, match=f"{operator}: no such ONNX operator"):
        graph.finish(_graph(operator, domain=domain), SIGNATURE)


def test_refuses_a_graph_that_dropped_a_feature() -> None:
    wanted = Signature((*SIGNATURE.inputs, Tensor("unused", "FP32")), SIGNATURE.outputs)

    with pytest.raises(UserError, match="does the model use every feature"):
        graph.finish(_graph(), wanted)
