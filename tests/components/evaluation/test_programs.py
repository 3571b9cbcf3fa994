"""Programs that are sealed without ONNX, judged by the runtimes that will serve them."""

import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from kfp import dsl

from components.evaluation.bless.component import bless
from components.evaluation.evaluate.component import evaluate
from components.evaluation.runtime import ServedModel
from components.foundation.errors import UserError
from components.foundation.sealing.keys import KeyRing
from components.training import artifact
from tests.components.evaluation.conftest import write_model
from tests.components.evaluation.test_bless import NOTHING

pytestmark = pytest.mark.slow  # imports PyTorch and TensorFlow


def torch_program(folder: pathlib.Path) -> None:
    """Write sigmoid(wind - 1) with a table of four zeros for the carrier, as our trainer does."""
    import torch

    class Late(torch.nn.Module):
        table: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("table", torch.zeros(4))

        def forward(self, wind: Any, carrier: Any) -> Any:
            return torch.sigmoid(wind - 1 + self.table[carrier])

    batch = torch.export.Dim("batch", min=1)
    examples = (torch.zeros(2), torch.zeros(2, dtype=torch.int64))
    shapes = ({0: batch}, {0: batch})
    program = torch.export.export(Late().eval(), examples, dynamic_shapes=shapes)
    torch.export.save(program, folder / artifact.PROGRAM)


def saved_model(folder: pathlib.Path) -> None:
    """Write the same as a SavedModel in a folder of its own."""
    import tensorflow as tf

    module = tf.Module()
    module.table = tf.Variable(tf.zeros(4))
    specs = {"wind": tf.TensorSpec([None], tf.float32), "carrier": tf.TensorSpec([None], tf.int64)}

    def late(wind: Any, carrier: Any) -> Any:
        return {"probability": tf.sigmoid(wind - 1 + tf.gather(module.table, carrier))}

    serve = tf.function(late).get_concrete_function(**specs)
    target = str(folder / artifact.SAVED_MODEL)
    tf.saved_model.save(module, target, signatures={"serving_default": serve})


def saved_model_beside(folder: pathlib.Path) -> None:
    """Write it beside its signature."""
    saved_model(folder)
    shutil.copytree(folder / artifact.SAVED_MODEL, folder, dirs_exist_ok=True)
    shutil.rmtree(folder / artifact.SAVED_MODEL)


WRITERS = {"torch": torch_program, "tensorflow": saved_model, "beside": saved_model_beside}


@pytest.fixture(params=WRITERS)
def program(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder as a trainer leaves it, with a program and no graph."""
    folder = write_model(tmp_path / "program", slope=1, offset=-1)
    (folder / artifact.ONNX).unlink()
    WRITERS[request.param](folder)
    return folder


def test_scores_as_the_same_graph_does(
    program: pathlib.Path, tmp_path: pathlib.Path, rows: Callable[..., pa.Table]
) -> None:
    graph = ServedModel.open(write_model(tmp_path / "graph", slope=1, offset=-1))
    table = rows(20_000)  # more than one call

    scores = ServedModel.open(program).score(table)

    np.testing.assert_allclose(scores, graph.score(table), atol=1e-6)


def test_says_when_the_runtime_refuses_rows(
    program: pathlib.Path, rows: Callable[..., pa.Table]
) -> None:
    table = rows(10)
    strange = table.set_column(1, "carrier", pa.array([9] * 10))

    with pytest.raises(UserError, match=r"fails on some rows \(\w+\)") as caught:
        ServedModel.open(program).score(strange)
    assert caught.value.code == "model-fails"


def test_the_digest_is_of_what_runs(program: pathlib.Path) -> None:
    before = ServedModel.open(program).digest
    weights = next(path for path in program.rglob("*") if path.suffix in {".pt2", ".index"})

    assert ServedModel.open(program).digest == before
    weights.write_bytes(weights.read_bytes() + b"x")
    assert ServedModel.open(program).digest != before


def test_refuses_a_folder_with_two_programs(program: pathlib.Path, tmp_path: pathlib.Path) -> None:
    graph = write_model(tmp_path / "graph", slope=1, offset=-1)
    shutil.copy(graph / artifact.ONNX, program)

    with pytest.raises(UserError, match=r"holds model\.onnx and .*; leave the one"):
        ServedModel.open(program)


def test_it_is_evaluated_and_blessed(
    program: pathlib.Path,
    test_table: str,
    tmp_path: pathlib.Path,
    unique: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FALAJ_KEYS", str(tmp_path / "keys"))
    KeyRing.create(tmp_path / "keys")
    model = dsl.Model(uri=str(program))

    summary, _ = evaluate.python_func(
        model=model,
        test=test_table,
        label="late",
        report=dsl.HTML(uri=str(tmp_path / "report.html")),
        evaluation=dsl.Artifact(uri=str(tmp_path / "evaluation.json")),
        metrics=dsl.Metrics(uri=str(tmp_path / "metrics")),
        classification=dsl.ClassificationMetrics(uri=str(tmp_path / "classification")),
        bootstrap=20,
    )
    verdict, decision = bless.python_func(
        challenger=model,
        test=test_table,
        label="late",
        model_name=unique,
        expectations=f"{NOTHING}\nminimum: {{auc: 0.6}}",
        report=dsl.HTML(uri=str(tmp_path / "blessing.html")),
    )

    assert summary["auc"] > 0.6
    assert decision == "accept", verdict
