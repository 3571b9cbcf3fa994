import os
import pathlib
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from components.foundation.errors import InfrastructureError
from components.foundation.storage import Address, ObjectStore, Settings
from inference.observer.claim import Claim
from inference.observer.observation import Prediction
from inference.observer.sinks import Folder, Objects, Sink, sink
from inference.observer.spool import Limits, Spool
from tests.inference.observer.observed import (
    QUICK,
    SOURCE,
    Dropped,
    Kept,
    Stalled,
    ids_in,
    on_disk,
    prediction,
    wait_until,
)

LOOSE = replace(QUICK, close_seconds=0.2)


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "spool"


def opened(folder: pathlib.Path, to: Sink, dropped: Dropped, limits: Limits = QUICK) -> Spool:
    return Spool.open(SOURCE, to, folder, dropped=dropped, limits=limits)


def test_every_row_is_kept_once(folder: pathlib.Path, dropped: Dropped) -> None:
    kept = Kept()
    spool = opened(folder, kept, dropped)
    for number in range(90):
        spool.add(prediction(7, str(number)))
    spool.close()

    assert sorted(kept.ids) == sorted(f"{n}-{row}" for n in range(90) for row in range(7))
    assert dropped.rows == 0
    assert on_disk(folder) == 0


def test_a_large_prediction_is_kept_whole_and_in_order(
    folder: pathlib.Path, dropped: Dropped
) -> None:
    kept = Kept()
    spool = opened(folder, kept, dropped)
    spool.add(prediction(3000))
    spool.close()

    assert kept.ids == [f"x-{row}" for row in range(3000)]


def test_a_part_is_sent_in_time_without_being_full(folder: pathlib.Path, dropped: Dropped) -> None:
    kept = Kept()
    spool = opened(folder, kept, dropped)
    spool.add(prediction())

    wait_until(lambda: kept.ids == ["x-0"])
    spool.close()


def test_an_id_that_comes_again_is_one_row(folder: pathlib.Path, dropped: Dropped) -> None:
    kept = Kept()
    spool = opened(folder, kept, dropped)
    for _ in range(3):
        spool.add(prediction(2))
    spool.add(prediction(3))
    spool.close()

    assert kept.ids == ["x-0", "x-1", "x-2"]
    assert dropped.rows == 0


def test_one_odd_prediction_costs_no_other(folder: pathlib.Path, dropped: Dropped) -> None:
    kept = Kept()
    spool = opened(folder, kept, dropped)
    odd = [
        replace(prediction(2), ids=("too", "many", "ids")),
        replace(prediction(2), ids=("lone surrogate \ud800", "fine")),
        replace(prediction(1, "others"), features={"other": np.zeros((1, 2))}),
    ]
    for one in [prediction(2, "before"), *odd, prediction(2, "after")]:
        spool.add(one)
    spool.close()

    expected = ["after-0", "after-1", "before-0", "before-1", "fine", "others-0"]
    assert sorted(kept.ids) == expected
    assert dropped.rows == 3


def test_ids_are_asked_for_by_the_writer(folder: pathlib.Path, dropped: Dropped) -> None:
    kept, asked = Kept(), []

    def ids() -> tuple[str, ...]:
        asked.append(threading.current_thread().name)
        return ("late",)

    spool = opened(folder, kept, dropped)
    spool.add(replace(prediction(), ids=ids))
    spool.close()

    assert kept.ids == ["late"]
    assert asked == ["observer-write"]


def test_a_stalled_sink_fills_the_disk_to_its_limit_and_no_further(
    folder: pathlib.Path, stalled: Stalled, dropped: Dropped
) -> None:
    limits = replace(QUICK, part_bytes=30_000, spool_bytes=200_000, close_seconds=30)
    spool = opened(folder, stalled, dropped, limits)
    for number in range(20):
        spool.add(prediction(100, str(number)))
        time.sleep(0.03)

    wait_until(lambda: dropped.rows > 0)
    assert 100_000 < on_disk(folder) <= 200_000
    stalled.go.set()
    spool.close()
    assert len(stalled.ids) + dropped.rows == 2000
    kept = set(stalled.ids)
    everything = [f"{n}-{row}" for n in range(20) for row in range(100)]
    assert stalled.ids == [identity for identity in everything if identity in kept]


def test_a_stalled_sink_never_holds_a_prediction_up(
    folder: pathlib.Path, stalled: Stalled, dropped: Dropped
) -> None:
    spool = opened(folder, stalled, dropped, replace(QUICK, spool_bytes=1, held_bytes=100_000))

    started = time.perf_counter()
    for _ in range(10_000):
        spool.add(prediction(10))
    took = time.perf_counter() - started

    assert took < 2
    stalled.go.set()
    spool.close()
    assert dropped.rows > 0


def test_what_is_left_on_disk_at_the_end_is_sent_after_the_next_start(
    folder: pathlib.Path, dropped: Dropped
) -> None:
    failing = Kept(failures=10**6)
    spool = opened(folder, failing, dropped, LOOSE)
    spool.add(prediction(5))
    started = time.monotonic()
    spool.close()

    assert time.monotonic() - started < 2
    assert (dropped.rows, failing.ids) == (0, [])
    kept = Kept()
    spool = opened(folder, kept, dropped)
    wait_until(lambda: len(kept.ids) == 5)
    spool.close()
    assert on_disk(folder) == 0


def test_what_a_dead_sibling_left_is_sent_while_serving(
    folder: pathlib.Path, dropped: Dropped
) -> None:
    kept = Kept()
    spool = opened(folder, kept, dropped, replace(QUICK, adopt_seconds=0.05))

    dead = Claim.new(next(folder.iterdir()))
    (dead.folder / "open-1-abc").write_bytes(b'{"id": "left"}\n{"id": "to')
    os.close(dead.descriptor)

    wait_until(lambda: kept.ids == ["left"])
    spool.close()
    assert dropped.rows == 1
    assert on_disk(folder) == 0


def test_a_part_is_tried_again_until_it_is_sent(folder: pathlib.Path, dropped: Dropped) -> None:
    failing = Kept(failures=3)
    spool = opened(folder, failing, dropped)
    spool.add(prediction(3))
    spool.close()

    assert failing.ids == ["x-0", "x-1", "x-2"]
    assert dropped.rows == 0


def test_parts_of_another_destination_stay_where_they_are(
    folder: pathlib.Path, dropped: Dropped
) -> None:
    failing, other = Kept(failures=10**6), Kept()
    other.destination = "another"
    left = opened(folder, failing, dropped, LOOSE)
    left.add(prediction())
    left.close()

    spool = opened(folder, other, dropped)
    time.sleep(0.1)
    spool.close()

    assert other.parts == {}
    assert on_disk(folder) > 0


@pytest.mark.parametrize("kind", ["a file", "somebody else's"])
def test_without_a_spool_folder_parts_wait_in_memory(
    tmp_path: pathlib.Path,
    dropped: Dropped,
    kind: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if kind == "a file":
        (tmp_path / "spool").touch()
    else:
        monkeypatch.setattr("os.geteuid", lambda: 12345)
    kept = Kept(failures=1)
    spool = opened(tmp_path / "spool", kept, dropped)
    spool.add(prediction(2))
    spool.close()

    assert kept.ids == ["x-0", "x-1"]
    assert [r.message for r in caplog.records if "wait in memory" in r.message]


def test_what_waits_in_memory_at_the_end_is_counted(
    tmp_path: pathlib.Path, stalled: Stalled, dropped: Dropped
) -> None:
    (tmp_path / "spool").touch()
    spool = opened(tmp_path / "spool", stalled, dropped, LOOSE)
    for number in range(5):
        spool.add(prediction(1, str(number)))

    spool.close()

    assert dropped.rows == 5


def test_a_full_disk_drops_and_counts_until_there_is_room(
    folder: pathlib.Path, dropped: Dropped, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = threading.Event()
    write = os.write

    def half(descriptor: int, data: memoryview) -> int:
        if not full.is_set():
            return int(write(descriptor, data))
        if len(data) > 50:
            return int(write(descriptor, data[:50]))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("inference.observer.disk.os.write", half)
    kept = Kept()
    spool = opened(folder, kept, dropped, replace(QUICK, part_seconds=60))
    spool.add(prediction(1, "before"))
    wait_until(lambda: on_disk(folder) > 0)
    full.set()
    spool.add(prediction(3, "lost"))
    wait_until(lambda: dropped.rows == 3)
    [half_written] = [path for path in folder.rglob("*") if path.is_file()]
    assert ids_in([half_written.read_bytes()]) == ["before-0"]
    full.clear()
    spool.add(prediction(3, "lost"))  # asked again, its id is no repetition
    spool.close()

    assert kept.ids == ["before-0", "lost-0", "lost-1", "lost-2"]


def test_goes_on_after_the_folder_was_swept_away(folder: pathlib.Path, dropped: Dropped) -> None:
    import shutil

    kept = Kept()
    spool = opened(folder, kept, dropped)
    shutil.rmtree(folder)
    spool.add(prediction(1, "lost"))
    wait_until(lambda: dropped.rows + len(kept.ids) == 1)
    spool.add(prediction(1, "kept"))
    spool.close()

    assert "kept-0" in kept.ids


def test_what_comes_after_the_end_is_counted(folder: pathlib.Path, dropped: Dropped) -> None:
    spool = opened(folder, Kept(), dropped)
    spool.close()
    spool.add(prediction(4))

    assert dropped.rows == 4


def test_parts_go_to_an_object_store(
    s3: Settings, store: ObjectStore, folder: pathlib.Path, dropped: Dropped, unique: str
) -> None:
    where = sink(f"s3://falaj-raw/observations/{unique}", s3.environment())
    assert isinstance(where, Objects)
    spool = opened(folder, where, dropped)
    spool.add(prediction(2))
    spool.close()

    [part] = store.list(Address("falaj-raw", f"observations/{unique}/"))
    assert part.address.key.startswith(f"observations/{unique}/part-")
    assert ids_in([store.get(part.address)]) == ["x-0", "x-1"]


def test_parts_go_to_a_folder_whole(tmp_path: pathlib.Path, dropped: Dropped) -> None:
    spool = opened(tmp_path / "spool", Folder(tmp_path / "kept"), dropped)
    spool.add(prediction(2))
    spool.close()

    [part] = (tmp_path / "kept").iterdir()
    assert ids_in([part.read_bytes()]) == ["x-0", "x-1"]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(InfrastructureError, match="part-1"):
        Folder(tmp_path / "file").write("part-1", b"")


def test_places_that_differ_are_told_apart(s3: Settings, tmp_path: pathlib.Path) -> None:
    elsewhere = replace(s3, endpoint="http://elsewhere")
    places = [
        sink("s3://falaj-raw/a", s3.environment()),
        sink("s3://falaj-raw/b", s3.environment()),
        sink("s3://falaj-raw/a", elsewhere.environment()),
        sink(str(tmp_path), {}),
    ]

    assert len({place.destination for place in places}) == 4


def test_observations_of_a_prediction_without_rows_are_none(
    folder: pathlib.Path, dropped: Dropped
) -> None:
    kept = Kept()
    spool = opened(folder, kept, dropped)
    spool.add(Prediction(prediction().time, (), {"x": np.zeros(0)}, np.zeros(0)))
    spool.close()

    assert (kept.parts, dropped.rows) == ({}, 0)
