import copy
import pathlib
import subprocess
import sys
from typing import Any

import pytest

from components.foundation.errors import UserError
from inference.server.runtimes import load, place
from tests.inference.models import SIGNATURE, write_model
from tests.inference.server.runtimes.releases import release_json


def changed(kind: str, **change: Any) -> dict[str, Any]:
    signature = copy.deepcopy(SIGNATURE)
    signature[kind][0].update(change)
    return signature


@pytest.mark.parametrize(
    ("signature", "says"),
    [
        pytest.param(changed("inputs", name="late"), "'delay': the signature lacks it", id="name"),
        pytest.param(changed("inputs", datatype="FP64"), "the model has FP32", id="datatype"),
        pytest.param(changed("inputs", shape=[-1, 3]), "the model has FP32", id="shape"),
        pytest.param(changed("outputs", name="p"), "'p': the model lacks it", id="output"),
        pytest.param({"inputs": SIGNATURE["inputs"]}, "expected inputs and outputs", id="half"),
        pytest.param(changed("inputs", datatype="STRING"), "datatype 'STRING'", id="unknown"),
    ],
)
def test_refuses_a_model_that_is_not_what_its_signature_says(
    tmp_path: pathlib.Path, signature: dict[str, Any], says: str
) -> None:
    folder = write_model(tmp_path / "model", signature=signature)

    with pytest.raises(UserError, match=says):
        load(folder, name="delays", threads=1)


def test_a_plain_graph_and_a_sealed_one_are_served(folder: pathlib.Path) -> None:
    assert load(folder, name="delays", threads=1).version == "0"

    release_json(folder)

    model = load(folder, name="delays", threads=1)
    assert (model.version, model.platform, model.batches) == (
        "0123456789ab",
        "onnxruntime_onnx",
        True,
    )


@pytest.mark.parametrize("program", ["model.pt2", "saved_model.pb"])
def test_a_frameworks_program_that_nobody_sealed_is_refused_unread(
    folder: pathlib.Path, program: str
) -> None:
    (folder / "model.onnx").rename(folder / program)

    with pytest.raises(UserError, match="is not of a sealed release") as refusal:
        load(folder, name="delays", threads=1)
    assert refusal.value.code == "program-unsealed"


def test_importing_the_runtimes_loads_none_of_them() -> None:
    listed = subprocess.run(
        [sys.executable, "-c", "import inference.server.runtimes, sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert {"onnxruntime", "torch", "tensorflow"}.isdisjoint(listed.stdout.split())


def test_a_failure_is_told_by_its_class_where_the_text_may_quote_a_row() -> None:
    assert place(RuntimeError("while running secret node: 42")) == "RuntimeError"
