"""What the opener of releases leaves beside a model."""

import json
import pathlib
from typing import Any

import pytest

from components.foundation import digests
from tests.inference.models import SIGNATURE

misfits = pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param({"name": "late"}, "'delay': the signature lacks it", id="name"),
        pytest.param({"datatype": "FP64"}, "the model has FP32", id="datatype"),
        pytest.param({"shape": [-1, 3]}, r"the model has FP32 \[-1\]", id="shape"),
    ],
)


def misfit(change: dict[str, Any]) -> dict[str, Any]:
    """Return the signature with another first input than the model's."""
    [first, second] = SIGNATURE["inputs"]
    return {**SIGNATURE, "inputs": [{**first, **change}, second]}


def release_json(folder: pathlib.Path, **change: Any) -> None:
    """Make a plain folder look opened from a release of `delays`."""
    files = {
        path.relative_to(folder).as_posix(): str(digests.of_file(path))
        for path in folder.rglob("*")
        if path.is_file() and path.name != "release.json"
    }
    value = {"model": "delays", "version": "0123456789ab", "files": files, **change}
    (folder / "release.json").write_text(json.dumps(value))
