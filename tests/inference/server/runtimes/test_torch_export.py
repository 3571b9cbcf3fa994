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

pytestmark = pytest.mark.slow  # PyTorch takes seconds to import, its exporter more


def export(path: pathlib.Path, forward: Callable[..., Any], *examples: Any) -> pathlib.Path:
    """Write a program of a function; the first dimension of each input is open."""
    import torch

    class Module(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("offsets", torch.from_numpy(OFFSETS.copy()))

    Module.forward = forward
    batch = torch.export.Dim("batch", min=1)
    shapes = tuple({0: batch} for _ in examples)
    program = torch.export.export(Module().eval(), examples, dynamic_shapes=shapes)
    torch.export.save(program, path)
    return path


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    import torch

    def forward(self: Any, delay: Any, carrier: Any) -> Any:
        return torch.sigmoid(delay + self.offsets[carrier])

    examples = (torch.zeros(2), torch.zeros(2, dtype=torch.int64))
    return export(tmp_path_factory.mktemp("torch") / "model.pt2", forward, *examples)


def sealed(
    folder: pathlib.Path, program: pathlib.Path, signature: dict[str, Any] = SIGNATURE
) -> pathlib.Path:
    folder.mkdir()
    shutil.copy(program, folder / "model.pt2")
    (folder / "signature.json").write_text(json.dumps(signature))
    release_json(folder)
    return folder


def tensors(datatype: str, *shape: int, x: str = "x", y: str = "y") -> dict[str, Any]:
    return {
        kind: [{"name": name, "datatype": datatype, "shape": list(shape)}]
        for kind, name in (("inputs", x), ("outputs", y))
    }


@pytest.fixture
def model(tmp_path: pathlib.Path, program: pathlib.Path) -> Model:
    return load(sealed(tmp_path / "model", program), name="delays", threads=1)


def test_says_what_numpy_says_from_many_threads_at_once(model: Model) -> None:
    rows: list[dict[str, Array]] = [
        {"delay": np.full(n, n, np.float32), "carrier": np.arange(n) % OFFSETS.size}
        for n in range(1, 65)
    ]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(model.predict, rows))

    assert (model.platform, model.batches) == ("torch_export", True)
    for row, answer in zip(rows, found, strict=True):
        expected = 1 / (1 + np.exp(-(row["delay"] + OFFSETS[row["carrier"]])))
        np.testing.assert_allclose(answer["probability"], expected, rtol=1e-6)


def test_a_prediction_uses_as_many_threads_as_asked(
    tmp_path: pathlib.Path, program: pathlib.Path
) -> None:
    import torch

    before = torch.get_num_threads()
    try:
        load(sealed(tmp_path / "model", program), name="delays", threads=2)
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(torch.get_num_threads).result() == 2
    finally:
        torch.set_num_threads(before)


def test_reads_inputs_where_they_lie_in_a_request(model: Model) -> None:
    delay = np.frombuffer(np.zeros(2, np.float32).tobytes(), np.float32)

    found = model.predict({"delay": delay, "carrier": np.array([0, 1])})

    np.testing.assert_allclose(found["probability"], [0.5, 0.7310586], rtol=1e-6)


def test_a_failure_is_told_by_its_class(model: Model) -> None:
    with pytest.raises(IndexError) as failure:
        model.predict({"delay": np.zeros(1, np.float32), "carrier": np.array([42])})

    assert place(failure.value) == "IndexError"


@misfits
def test_refuses_a_program_that_is_not_what_its_signature_says(
    tmp_path: pathlib.Path, program: pathlib.Path, change: dict[str, Any], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        load(sealed(tmp_path / "model", program, misfit(change)), name="delays", threads=1)


def test_refuses_a_program_with_more_outputs(tmp_path: pathlib.Path, program: pathlib.Path) -> None:
    signature = {**SIGNATURE, "outputs": [*SIGNATURE["outputs"], *SIGNATURE["inputs"]]}

    with pytest.raises(UserError, match="gives 1 outputs, the signature has 3"):
        load(sealed(tmp_path / "model", program, signature), name="delays", threads=1)


def test_outputs_go_by_the_programs_own_names(tmp_path: pathlib.Path) -> None:
    import torch

    path = export(tmp_path / "p.pt2", lambda self, x: {"more": x + 1, "less": x - 1}, torch.ones(2))
    signature = tensors("FP32", -1, y="less")
    signature["outputs"] += tensors("FP32", -1, y="more")["outputs"]

    found = load(sealed(tmp_path / "m", path, signature), name="delays", threads=1).predict(
        {"x": np.zeros(1, np.float32)}
    )

    assert {name: values.tolist() for name, values in found.items()} == {"more": [1], "less": [-1]}


def test_bf16_is_carried_as_floats(tmp_path: pathlib.Path) -> None:
    import torch

    path = export(tmp_path / "p.pt2", lambda self, x: x * 2, torch.ones(2, dtype=torch.bfloat16))
    model = load(sealed(tmp_path / "m", path, tensors("BF16", -1)), name="delays", threads=1)

    found = model.predict({"x": np.array([1.5, -0.0078125], np.float32)})["y"]

    assert found.dtype == np.float32
    assert found.tolist() == [3, -0.015625]


def counting(self: Any, x: Any) -> Any:
    self.offsets.add_(0)
    return x + self.offsets[0]


def normalising(self: Any, x: Any) -> Any:
    import torch

    wide = torch.stack([x, x + 1], 1)
    mean, variance = self.offsets[:2], self.offsets[1:]
    return torch.nn.functional.batch_norm(wide, mean, variance, training=True)[:, 0] * x.numel()


def overwriting(self: Any, x: Any) -> Any:
    return x.mul_(1)


@pytest.mark.parametrize(
    ("forward", "what"),
    [(counting, "offsets"), (normalising, "offsets"), (overwriting, "x")],
    ids=["counts", "averages", "overwrites"],
)
def test_refuses_a_program_that_changes_what_it_has(
    tmp_path: pathlib.Path, forward: Callable[..., Any], what: str
) -> None:
    import torch

    path = export(tmp_path / "p.pt2", forward, torch.ones(2))

    with pytest.raises(UserError, match=f"changes {what} as it predicts"):
        load(sealed(tmp_path / "m", path, tensors("FP32", -1)), name="delays", threads=1)


def test_refuses_nested_inputs(tmp_path: pathlib.Path) -> None:
    import torch

    class Pair(torch.nn.Module):
        def forward(self, pair: Any) -> Any:
            return pair[0] + pair[1]

    program = torch.export.export(Pair(), ((torch.ones(2), torch.ones(2)),))
    torch.export.save(program, tmp_path / "p.pt2")

    with pytest.raises(UserError, match="takes nested or unnamed inputs"):
        load(
            sealed(tmp_path / "m", tmp_path / "p.pt2", tensors("FP32", 2)),
            name="delays",
            threads=1,
        )


def test_an_unsealed_program_is_served_where_that_is_said(
    tmp_path: pathlib.Path, program: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = sealed(tmp_path / "model", program)
    (folder / "release.json").unlink()

    model = load(folder, name="delays", threads=1, unsafe_unsealed=True)

    assert model.version == "0"
    assert "serves a program that nobody signed" in caplog.text


def test_refuses_what_is_no_archive(tmp_path: pathlib.Path) -> None:
    (tmp_path / "p.pt2").write_bytes(b"broken")

    with pytest.raises(UserError, match=r"model\.pt2: PyTorch .* cannot load it"):
        load(sealed(tmp_path / "model", tmp_path / "p.pt2"), name="delays", threads=1)
