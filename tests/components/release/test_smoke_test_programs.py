"""Candidates that are programs of PyTorch and TensorFlow, tried in the real server."""

import pathlib

import pytest
from kfp import dsl

from components.foundation.tables import TableRef, Tables
from components.release.smoke_test.component import smoke_test
from components.training import artifact
from tests.components.evaluation.conftest import make_rows, write_model
from tests.components.evaluation.test_programs import WRITERS

pytestmark = pytest.mark.slow  # imports PyTorch and TensorFlow


@pytest.fixture(params=WRITERS)
def program(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> dsl.Model:
    folder = write_model(tmp_path / "program", slope=1, offset=-1)
    (folder / artifact.ONNX).unlink()
    WRITERS[request.param](folder)
    return dsl.Model(uri=str(folder))


def test_a_sound_program_is_accepted(
    environment: None, program: dsl.Model, tables: Tables, unique: str, tmp_path: pathlib.Path
) -> None:
    rows = str(tables.replace(TableRef("falaj-features", unique), make_rows(30)))
    report = dsl.HTML(uri=str(tmp_path / "report.html"))

    verdict, decision = smoke_test.python_func(
        model=program, rows=rows, report=report, sample_rows=30, max_latency_ms=5000.0
    )

    assert decision == "accept", verdict
    assert verdict["evidence"]["rows"] == 30
    assert verdict["evidence"]["difference"] <= 1e-6
    assert all(case["good"] for case in verdict["evidence"]["malformed"])


def test_a_program_of_another_signature_is_refused(
    environment: None, program: dsl.Model, tables: Tables, unique: str, tmp_path: pathlib.Path
) -> None:
    rows = str(tables.replace(TableRef("falaj-features", unique), make_rows(30)))
    report = dsl.HTML(uri=str(tmp_path / "report.html"))
    signature = pathlib.Path(program.path) / artifact.SIGNATURE
    signature.write_text(signature.read_text().replace("INT64", "INT32"))

    verdict, decision = smoke_test.python_func(model=program, rows=rows, report=report)

    assert decision == "refuse"
    assert "'carrier': the model has INT64 [-1], the signature INT32" in verdict["reason"]
