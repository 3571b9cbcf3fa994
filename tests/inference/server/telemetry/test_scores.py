import json
import pathlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from components.foundation.errors import UserError
from components.preparation.profile.columns import Numeric
from components.preparation.profile.profile import Profile
from inference.server.telemetry import scores
from inference.server.telemetry.board import Board
from inference.server.telemetry.exposition import Page
from inference.server.telemetry.metrics import Metrics

EDGES = (-1.0, 0.0, 0.1, 0.25, 7.5)
# On edges, beside them, beyond them, and none.
NUMBERS = st.one_of(
    st.sampled_from(EDGES),
    st.floats(-2, 8, width=32),
    st.floats(width=32, allow_nan=True, allow_infinity=True),
)


def profiled(values: list[float], edges: tuple[float, ...] = EDGES) -> Numeric:
    """Count as the profile does."""
    column = pa.array(np.array(values, np.float32))
    return Numeric(edges, (0,) * (len(edges) + 1)).update(column)


@settings(max_examples=150, deadline=None)
@given(st.lists(NUMBERS, max_size=40))
def test_counts_as_the_profile_counts(values: list[float]) -> None:
    counted = scores.count(np.array(values, np.float32), EDGES)

    expected = profiled(values)
    assert [counted.bins.get(n, 0) for n in range(len(EDGES) + 1)] == list(expected.counts)
    assert counted.missing == expected.nulls
    known = sum(expected.counts)
    assert counted.total == pytest.approx(expected.moments.mean * known, rel=1e-6, abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.lists(NUMBERS, min_size=1, max_size=scores._FEW))
def test_few_scores_are_counted_as_many_are(values: list[float]) -> None:
    few = scores.count(np.array(values), EDGES)
    many = scores.count(np.array(values * 40), EDGES)

    assert {place: 40 * number for place, number in few.bins.items()} == many.bins
    assert 40 * few.missing == many.missing
    assert 40 * few.total == pytest.approx(many.total)


@pytest.mark.parametrize(
    "dtype", [np.float16, np.float32, np.float64, np.int64, np.uint8, np.bool_]
)
@pytest.mark.parametrize("rows", [2, 200])
def test_every_kind_of_number_is_counted(dtype: type, rows: int) -> None:
    counted = scores.count(np.ones((rows, 1), dtype), EDGES)

    assert (counted.bins, counted.missing, counted.total) == ({4: rows}, 0, rows)


def test_texts_are_not_counted() -> None:
    assert scores.count(np.array([b"late"], object), EDGES) == scores.Counted({})


def test_the_page_has_the_profile_s_counts(tmp_path: pathlib.Path) -> None:
    served = np.random.default_rng(5).beta(2, 5, 5000).astype(np.float32)
    reference = pa.table({"score": pa.array(served)})
    profile = Profile.shaped(reference, ["score"]).update(reference)
    profile.write(tmp_path / "profile.json")
    board = Board(workers=1)
    metrics = Metrics(board, 0, "m", "1", "a", scores.read_edges(tmp_path))

    for start in range(0, 5000, 250):
        metrics.scores(served[start : start + 250])

    families = text_string_to_metric_families(Page(board, "m", "a").text()[0].decode())
    samples = [s for f in families for s in f.samples if s.name == "inference_score_bucket"]
    column = profile.columns["score"]
    assert isinstance(column, Numeric)
    assert tuple(float(s.labels["le"]) for s in samples) == (*column.edges, float("inf"))
    assert tuple(np.diff([0, *(s.value for s in samples)])) == column.counts


def test_a_plain_folder_has_no_edges(tmp_path: pathlib.Path) -> None:
    assert scores.read_edges(tmp_path) == ()


@pytest.mark.parametrize("values", [["a"] * 20 + ["b"] * 20, None], ids=["levels", "no score"])
def test_a_profile_without_bins_of_the_score_has_no_edges(
    tmp_path: pathlib.Path, values: list[str] | None
) -> None:
    table = pa.table({"score": values} if values else {"x": [0.5, 1.5]})
    profile = Profile.shaped(table, table.column_names).update(table)
    profile.write(tmp_path / "profile.json")

    assert scores.read_edges(tmp_path) == ()


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        json.dumps({"version": 2, "columns": {}}),
        json.dumps({"version": 1}),
        json.dumps({"version": 1, "columns": {"score": {"kind": "numeric"}}}),
        json.dumps({"version": 1, "columns": {"score": {"kind": "numeric", "edges": [1, 0]}}}),
        json.dumps({"version": 1, "columns": {"score": {"kind": "numeric", "edges": [0, 0]}}}),
        '{"version": 1, "columns": {"score": {"kind": "numeric", "edges": [NaN]}}}',
    ],
    ids=["cut", "no object", "version", "no columns", "no edges", "falling", "twice", "NaN"],
)
def test_refuses_a_profile_that_is_none(tmp_path: pathlib.Path, text: str) -> None:
    (tmp_path / "profile.json").write_text(text)

    with pytest.raises(UserError) as refused:
        scores.read_edges(tmp_path)

    assert refused.value.code == "profile-malformed"
