import datetime
import json
from typing import Any

import numpy as np
import pytest

from components.foundation.signature import Array, json_values
from inference.observer.encoding import WIDEST, Rows, joined, lines
from inference.observer.observation import Prediction, score_of
from tests.inference.observer.observed import SOURCE, prediction

NOW = datetime.datetime(2026, 7, 1, 12, 30, tzinfo=datetime.UTC)


def written(*predictions: Prediction) -> list[dict[str, Any]]:
    rows = joined([Rows.of(one, one.names()) for one in predictions])
    return [json.loads(line) for line in lines(SOURCE, rows).decode("ascii").splitlines()]


def features(values: Array, rows: int = 1) -> list[Any]:
    """Return one input as it is written, a value a row."""
    ids = [f"r{row}" for row in range(rows)]
    observed = written(Prediction(NOW, ids, {"x": values}, np.zeros(rows)))
    return [json.loads(row["features"])["x"] for row in observed]


def test_a_row_says_who_answered_what_and_when() -> None:
    [row] = written(prediction())

    assert list(row.items()) == [
        ("date", "2026-07-01"),
        ("time", "2026-07-01T12:30:00.000000+00:00"),
        ("id", "x-0"),
        ("model", "delays"),
        ("version", "0123456789ab"),
        ("variant", "a"),
        ("score", 0.25),
        ("features", '{"delay":1.5,"carrier":0}'),
    ]


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "i1", "i8", "u1", "u2", "u8", "?"])
@pytest.mark.parametrize("shape", [(5,), (5, 3), (5, 2, 3), (5, 1, 1, 2), (5, 0), (5, 0, 2)])
def test_every_number_is_read_back_as_it_was(kind: str, shape: tuple[int, ...]) -> None:
    bits = np.random.default_rng(7).bytes(8 * int(np.prod(shape)))
    values = np.frombuffer(bits, np.uint8)[: np.dtype(kind).itemsize * int(np.prod(shape))]
    values = (values & 1 if kind == "?" else values).view(kind).reshape(shape)

    assert features(values, rows=5) == json_values(values)


def test_what_json_cannot_say_is_null() -> None:
    odd = np.array([np.nan, np.inf, -np.inf, 0.1], np.float32)

    rows = written(Prediction(NOW, tuple("abcd"), {"x": odd}, odd))

    assert [row["score"] for row in rows] == [None, None, None, float(np.float32(0.1))]
    assert [json.loads(row["features"])["x"] for row in rows] == [row["score"] for row in rows]


def test_columns_that_are_no_blocks_of_memory_are_read_right() -> None:
    table = np.arange(12, dtype=np.float32).reshape(4, 3)

    assert features(table[::2, 1], rows=2) == [1, 7]
    assert features(table.T, rows=3) == table.T.tolist()


def test_bytes_are_text_where_they_can_be() -> None:
    values = np.array([b"AA", b'q"\\\n', "الإمارات".encode(), b"\xff\x00", b""], object)

    assert features(values, rows=5) == ["AA", 'q"\\\n', "الإمارات", {"base64": "/wA="}, ""]


def test_bytes_of_more_dimensions_are_nested() -> None:
    values = np.array([[b"a", b"b"], [b"c", b"\xff"]], object)

    assert features(values, rows=2) == [["a", "b"], ["c", {"base64": "/w=="}]]


@pytest.mark.parametrize(
    "identity", ['quote"', "back\\slash", '",', "a,b", "", "%s %d", "line\u2028end\x85\n", "é😀"]
)
def test_any_text_may_be_an_id_or_a_name(identity: str) -> None:
    one = Prediction(NOW, (identity, "other"), {identity: np.arange(2)}, np.zeros(2))

    rows = written(one)

    assert [row["id"] for row in rows] == [identity, "other"]
    assert [json.loads(row["features"]) for row in rows] == [{identity: 0}, {identity: 1}]


def test_an_input_without_a_batch_is_the_value_of_the_only_row() -> None:
    assert features(np.array(3)) == [3]
    assert features(np.array([[1, 2], [3, 4]])) == [[[1, 2], [3, 4]]]


def test_an_image_is_left_out() -> None:
    assert features(np.zeros((1, WIDEST + 1), np.float32)) == [None]
    assert len(features(np.zeros((1, WIDEST), np.float32))[0]) == WIDEST


def test_predictions_are_written_together_as_apart() -> None:
    some = [prediction(rows, str(rows)) for rows in (1, 3, 1, 20)]

    assert written(*some) == [row for one in some for row in written(one)]


@pytest.mark.parametrize(
    "odd",
    [
        Prediction(NOW, ("a",), {"x": np.zeros(2)}, np.zeros(2)),
        Prediction(NOW, ("a", "b"), {"x": np.zeros(3)}, np.zeros(2)),
        Prediction(NOW, ("a", "b"), {"x": np.array(1)}, np.zeros(2)),
    ],
    ids=["ids", "features", "scalar"],
)
def test_rows_that_could_be_mixed_up_are_refused(odd: Prediction) -> None:
    with pytest.raises(ValueError, match="rows"):
        Rows.of(odd, odd.names())


def test_inputs_that_differ_are_not_joined() -> None:
    other = Prediction(NOW, ("a",), {"x": np.zeros(1)}, np.zeros(1))
    rows = [Rows.of(one, one.names()) for one in (prediction(), other)]

    with pytest.raises(ValueError, match="inputs"):
        joined(rows)


@pytest.mark.parametrize(
    ("output", "rows", "score"),
    [
        (np.array([[0.25, 0.75], [0.5, 0.5]]), None, [0.75, 0.5]),
        (np.array([0.25, 0.5]), None, [0.25, 0.5]),
        (np.array(0.5), 1, [0.5]),
        (np.array([0.25, 0.75]), 1, [0.75]),
        (np.zeros((0, 2)), None, []),
    ],
    ids=["columns", "one", "scalar", "no batch", "no rows"],
)
def test_the_score_is_the_last_column(output: Array, rows: int | None, score: list[float]) -> None:
    assert score_of(output, rows).tolist() == score


def test_an_output_that_gives_no_number_a_row_has_no_score() -> None:
    assert np.isnan(score_of(np.array([b"late", b"early"], object))).all()
    assert np.isnan(score_of(np.zeros(3), 2)).all()


def test_a_score_does_not_keep_the_output_in_memory() -> None:
    assert score_of(np.zeros((2, 1000))).base is None
