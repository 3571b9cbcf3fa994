import copy
import json
import pathlib
from typing import Any

import pytest

from components.foundation import digests
from components.foundation.errors import UserError
from inference.server.runtimes.onnx import Model
from tests.inference.models import SIGNATURE, write_model


def release_json(folder: pathlib.Path, **change: Any) -> None:
    files = {name: str(digests.of_file(folder / name)) for name in ("model.onnx", "signature.json")}
    value = {"model": "delays", "version": "0123456789ab", "files": files, **change}
    (folder / "release.json").write_text(json.dumps(value))


def test_the_version_is_the_releases(folder: pathlib.Path) -> None:
    assert Model.load(folder, name="delays").version == "0"

    release_json(folder)

    assert Model.load(folder, name="delays").version == "0123456789ab"


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
        Model.load(folder, name="delays")


def test_refuses_files_that_changed_since_they_were_opened(folder: pathlib.Path) -> None:
    release_json(folder)
    with (folder / "model.onnx").open("ab") as file:
        file.write(b"\0")

    with pytest.raises(UserError, match=r"model\.onnx: is sha256:.* the release has"):
        Model.load(folder, name="delays")


def test_refuses_a_release_of_another_model(folder: pathlib.Path) -> None:
    release_json(folder, model="arrivals")

    with pytest.raises(UserError, match="holds a release of 'arrivals'"):
        Model.load(folder, name="delays")


@pytest.mark.parametrize("name", ["model.onnx", "signature.json"])
def test_says_which_file_is_missing_or_broken(folder: pathlib.Path, name: str) -> None:
    (folder / name).write_bytes(b"broken")
    with pytest.raises(UserError, match=name):
        Model.load(folder, name="delays")

    (folder / name).unlink()
    with pytest.raises(UserError, match=f"{name}: missing"):
        Model.load(folder, name="delays")
