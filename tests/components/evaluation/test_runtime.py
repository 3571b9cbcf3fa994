from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from components.evaluation import runtime
from components.evaluation.runtime import ServedModel
from components.foundation.errors import UserError


def test_scores_rows_in_chunks_of_any_size(
    model: Callable[..., ServedModel],
    monkeypatch: pytest.MonkeyPatch,
    rows: Callable[..., pa.Table],
) -> None:
    table = rows(1000)
    whole = model().score(table)
    monkeypatch.setattr(runtime, "_CHUNK", 7)

    np.testing.assert_array_equal(model().score(table), whole)
    expected = 1 / (1 + np.exp(1 - table.column("wind").to_numpy()))
    np.testing.assert_allclose(whole, expected, atol=1e-6)


def test_no_rows_have_no_scores(
    model: Callable[..., ServedModel], rows: Callable[..., pa.Table]
) -> None:
    assert model().score(rows(10).slice(0, 0)).shape == (0,)


def test_says_when_the_runtime_refuses_rows(
    model: Callable[..., ServedModel], rows: Callable[..., pa.Table]
) -> None:
    table = rows(10)
    strange = table.set_column(1, "carrier", pa.array([9] * 10))

    with pytest.raises(UserError, match=r"fails on some rows \(in Gather\)"):
        model().score(strange)


def test_refuses_a_folder_without_a_model(
    model: Callable[..., ServedModel], rows: Callable[..., pa.Table]
) -> None:
    folder = model().folder
    (folder / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(UserError, match="cannot load it"):
        ServedModel.open(folder).score(rows(10))

    (folder / "model.onnx").unlink()
    with pytest.raises(UserError, match=r"model\.onnx: missing, and so are model\.pt2, "):
        ServedModel.open(folder)
