import json
import pathlib
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from components.foundation.errors import UserError
from components.foundation.signature import Array
from inference.server.runtimes import Model, load, place
from tests.inference.models import OFFSETS, SIGNATURE
from tests.inference.server.runtimes.releases import misfit, misfits, release_json

pytestmark = pytest.mark.slow  # TensorFlow takes seconds to import


def save(path: pathlib.Path, call: Callable[..., Any], **inputs: Any) -> pathlib.Path:
    """Write a SavedModel of a function; the first dimension of each input is open."""
    import tensorflow as tf

    module = tf.Module()
    module.offsets = tf.Variable(OFFSETS)
    specs = [tf.TensorSpec([None], dtype, name) for name, dtype in inputs.items()]
    module.serve = tf.function(lambda *tensors: call(module, *tensors), input_signature=specs)
    names = [spec.name for spec in specs]
    serve = tf.function(
        lambda **tensors: module.serve(*(tensors[name] for name in names))
    ).get_concrete_function(**dict(zip(names, specs, strict=True)))
    tf.saved_model.save(module, str(path), signatures={"serving_default": serve})
    return path


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    import tensorflow as tf

    def call(module: Any, delay: Any, carrier: Any) -> Any:
        return {"probability": tf.sigmoid(delay + tf.gather(module.offsets, carrier))}

    path = tmp_path_factory.mktemp("tensorflow") / "saved_model"
    return save(path, call, delay=tf.float32, carrier=tf.int64)


def sealed(
    folder: pathlib.Path, saved: pathlib.Path, signature: dict[str, Any] = SIGNATURE
) -> pathlib.Path:
    folder.mkdir()
    shutil.copytree(saved, folder / "saved_model")
    (folder / "signature.json").write_text(json.dumps(signature))
    release_json(folder)
    return folder


def tensors(datatype: str) -> dict[str, Any]:
    return {
        kind: [{"name": name, "datatype": datatype, "shape": [-1]}]
        for kind, name in (("inputs", "x"), ("outputs", "y"))
    }


@pytest.fixture
def model(tmp_path: pathlib.Path, saved: pathlib.Path) -> Model:
    return load(sealed(tmp_path / "model", saved), name="delays", threads=1)


def test_says_what_numpy_says_from_many_threads_at_once(model: Model) -> None:
    rows: list[dict[str, Array]] = [
        {"delay": np.full(n, n, np.float32), "carrier": np.arange(n) % OFFSETS.size}
        for n in range(1, 65)
    ]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(model.predict, rows))

    assert (model.platform, model.batches) == ("tensorflow_savedmodel", True)
    for row, answer in zip(rows, found, strict=True):
        expected = 1 / (1 + np.exp(-(row["delay"] + OFFSETS[row["carrier"]])))
        np.testing.assert_allclose(answer["probability"], expected, rtol=1e-6)


def test_a_graph_may_lie_beside_its_signature(tmp_path: pathlib.Path, saved: pathlib.Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(saved, folder)
    (folder / "signature.json").write_text(json.dumps(SIGNATURE))
    release_json(folder)

    assert load(folder, name="delays", threads=1).platform == "tensorflow_savedmodel"


def test_a_failure_is_told_by_its_class(model: Model) -> None:
    with pytest.raises(Exception, match="42") as failure:
        model.predict({"delay": np.zeros(1, np.float32), "carrier": np.array([42])})

    assert place(failure.value) == "InvalidArgumentError"


@misfits
def test_refuses_a_graph_that_is_not_what_its_signature_says(
    tmp_path: pathlib.Path, saved: pathlib.Path, change: dict[str, Any], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        load(sealed(tmp_path / "model", saved, misfit(change)), name="delays", threads=1)


def test_refuses_a_graph_without_a_serving_function(tmp_path: pathlib.Path) -> None:
    import tensorflow as tf

    tf.saved_model.save(tf.Module(), str(tmp_path / "saved"))

    with pytest.raises(UserError, match="has no signature serving_default"):
        load(sealed(tmp_path / "model", tmp_path / "saved"), name="delays", threads=1)


def test_text_goes_through_as_bytes_that_need_be_no_text(tmp_path: pathlib.Path) -> None:
    import tensorflow as tf

    path = save(tmp_path / "saved", lambda _, x: {"y": tf.strings.join([x, x])}, x=tf.string)
    model = load(sealed(tmp_path / "model", path, tensors("BYTES")), name="delays", threads=1)
    given: Array = np.array([b"", b"\xff\0", "مطار".encode()], object)

    assert model.predict({"x": given})["y"].tolist() == [value * 2 for value in given]
    assert model.predict({"x": given[:0]})["y"].shape == (0,)


def test_bf16_is_carried_as_floats(tmp_path: pathlib.Path) -> None:
    import tensorflow as tf

    path = save(tmp_path / "saved", lambda _, x: {"y": x + x}, x=tf.bfloat16)
    model = load(sealed(tmp_path / "model", path, tensors("BF16")), name="delays", threads=1)

    found = model.predict({"x": np.array([1.5, -0.0078125], np.float32)})["y"]

    assert found.dtype == np.float32
    assert found.tolist() == [3, -0.015625]
