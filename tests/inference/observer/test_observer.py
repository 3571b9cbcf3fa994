import datetime
import json
import pathlib
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from components.foundation.errors import InfrastructureError
from components.foundation.storage import Address, ObjectStore, Settings
from inference.observer.observation import Prediction, Source, score_of
from inference.observer.sinks import Folder, Objects, sink
from inference.observer.spool import Limits, Spool

SOURCE = Source("delays", "0123456789ab", "a")
QUICK = Limits(part_rows=10, held_rows=100, part_seconds=0.02, retry_seconds=0.01, close_seconds=2)


def prediction(rows: int = 1, name: str = "x") -> Prediction:
    return Prediction(
        datetime.datetime(2026, 7, 1, 12, 30, tzinfo=datetime.UTC),
        tuple(f"{name}-{row}" for row in range(rows)),
        {"delay": np.full(rows, 1.5, np.float32), "carrier": np.arange(rows, dtype=np.int64)},
        np.full(rows, 0.25, np.float32),
    )


class Dropped:
    def __init__(self) -> None:
        self.rows = 0

    def __call__(self, rows: int) -> None:
        self.rows += rows


class Stalled:
    """A sink that does not come back until it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.written: list[bytes] = []

    def write(self, name: str, data: bytes) -> None:
        self.go.wait()
        self.written.append(data)


class Failing:
    """A sink that fails a few times."""

    def __init__(self, times: int) -> None:
        self.left = times
        self.written: dict[str, bytes] = {}

    def write(self, name: str, data: bytes) -> None:
        self.left -= 1
        if self.left >= 0:
            raise InfrastructureError("the object store did not answer", code="x")
        self.written[name] = data


@pytest.fixture
def dropped() -> Dropped:
    return Dropped()


@pytest.fixture
def stalled() -> Iterator[Stalled]:
    sink = Stalled()
    yield sink
    sink.go.set()


def rows_of(folder: pathlib.Path) -> list[dict[str, object]]:
    parts = sorted(folder.glob("part-*.jsonl"))
    return [json.loads(line) for part in parts for line in part.read_text().splitlines()]


def test_a_row_says_who_answered_what_and_when() -> None:
    [line] = SOURCE.lines(prediction())

    assert json.loads(line) == {
        "date": "2026-07-01",
        "time": "2026-07-01T12:30:00.000000+00:00",
        "id": "x-0",
        "model": "delays",
        "version": "0123456789ab",
        "variant": "a",
        "score": 0.25,
        "features": '{"delay":1.5,"carrier":0}',
    }


def test_what_is_missing_becomes_null() -> None:
    nan = np.array([np.nan], np.float32)

    [line] = SOURCE.lines(Prediction(prediction().time, ("x",), {"delay": nan}, nan))

    assert json.loads(line)["score"] is None
    assert json.loads(json.loads(line)["features"]) == {"delay": None}


def test_the_score_of_many_columns_is_the_last() -> None:
    assert score_of(np.array([[0.25, 0.75], [0.5, 0.5]])).tolist() == [0.75, 0.5]
    assert score_of(np.array([0.25, 0.5])).tolist() == [0.25, 0.5]


def test_every_row_is_kept_once(tmp_path: pathlib.Path, dropped: Dropped) -> None:
    spool = Spool(SOURCE, Folder(tmp_path), dropped=dropped, limits=QUICK)
    for number in range(9):
        spool.add(prediction(7, str(number)))
    spool.close()

    ids = [row["id"] for row in rows_of(tmp_path)]
    assert sorted(map(str, ids)) == sorted(f"{n}-{row}" for n in range(9) for row in range(7))
    assert dropped.rows == 0
    assert not list(tmp_path.glob(".*"))


def test_a_part_is_written_in_time_without_being_full(
    tmp_path: pathlib.Path, dropped: Dropped
) -> None:
    spool = Spool(SOURCE, Folder(tmp_path), dropped=dropped, limits=QUICK)
    spool.add(prediction())

    deadline = time.monotonic() + 5
    while not rows_of(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(rows_of(tmp_path)) == 1
    spool.close()


def test_a_stalled_sink_never_holds_a_prediction_up(stalled: Stalled, dropped: Dropped) -> None:
    spool = Spool(SOURCE, stalled, dropped=dropped, limits=QUICK)

    started = time.perf_counter()
    for _ in range(1000):
        spool.add(prediction())
    took = time.perf_counter() - started

    assert took < 1
    assert dropped.rows == 1000 - QUICK.held_rows


def test_closing_does_not_wait_for_a_stalled_sink(stalled: Stalled, dropped: Dropped) -> None:
    limits = Limits(part_rows=1, held_rows=100, part_seconds=0.01, close_seconds=0.05)
    spool = Spool(SOURCE, stalled, dropped=dropped, limits=limits)
    for _ in range(5):
        spool.add(prediction())

    spool.close()

    assert dropped.rows == 5


def test_a_part_is_tried_again_until_it_is_written(dropped: Dropped) -> None:
    failing = Failing(times=3)
    spool = Spool(SOURCE, failing, dropped=dropped, limits=QUICK)
    spool.add(prediction(3))
    spool.close()

    [data] = failing.written.values()
    assert len(data.splitlines()) == 3
    assert dropped.rows == 0


def test_what_comes_after_the_end_is_counted(tmp_path: pathlib.Path, dropped: Dropped) -> None:
    spool = Spool(SOURCE, Folder(tmp_path), dropped=dropped, limits=QUICK)
    spool.close()
    spool.add(prediction(4))

    assert dropped.rows == 4


def test_parts_go_to_an_object_store(
    s3: Settings, store: ObjectStore, dropped: Dropped, unique: str
) -> None:
    where = sink(f"s3://falaj-raw/observations/{unique}", s3.environment())
    assert isinstance(where, Objects)
    spool = Spool(SOURCE, where, dropped=dropped, limits=QUICK)
    spool.add(prediction(2))
    spool.close()

    [part] = store.list(Address("falaj-raw", f"observations/{unique}/"))
    assert part.address.key.startswith(f"observations/{unique}/part-")
    assert [json.loads(line)["id"] for line in store.get(part.address).splitlines()] == [
        "x-0",
        "x-1",
    ]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(InfrastructureError, match="part-1"):
        Folder(tmp_path / "file").write("part-1", b"")
