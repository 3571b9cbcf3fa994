import os
import pathlib
import subprocess
import sys

import pytest

from tests.benchmarks import bench_sealing
from tests.benchmarks.bench_sealing import Turn
from tests.benchmarks.serving import environments


def turn(kind: str, seconds: float) -> Turn:
    step = {"seconds": seconds, "cpu": seconds / 2, "peak": 3 * 2**20}
    return Turn(kind, 1000, {"seal": step, "open": step})


def test_the_table_tells_median_spread_memory_and_ratios() -> None:
    turns = [turn("falaj", s) for s in (1.0, 2.0, 4.0)] + [turn("age", s) for s in (2.0, 8.0, 8.0)]

    lines = list(bench_sealing._table(1000, turns))

    assert "  falaj            seal    0.52 (0.26 to 1.05)    1.05       3.0" in lines
    assert "  seal: falaj is 2.00 (2.00 to 4.00) times age" in lines


def test_the_table_says_who_stopped_and_why() -> None:
    lines = list(bench_sealing._table(1000, [turn("falaj", 1.0)]))

    assert any(
        line.startswith("  jwe              stopped at 256 MiB: needs about 7") for line in lines
    )


def test_our_turn_gives_back_what_was_sealed(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("bench")
    (folder / "model").write_bytes(bytes(3 << 20))
    monkeypatch.setattr(environments, "python", lambda name: sys.executable)

    done = bench_sealing._turn("falaj", 3, folder / "model", folder / "work")

    assert done.steps.keys() == {"seal", "open"}
    assert done.steps["open"]["seconds"] > 0
    assert not (folder / "work").exists()


def test_our_turn_on_all_cores_has_all_and_others_one(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = list[str]()

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        said.append(command[-1])
        return subprocess.CompletedProcess(command, 0, stdout="{}")

    (tmp_path / "model").touch()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 1, 2})
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(environments, "python", lambda name: sys.executable)

    for kind in ("falaj", "falaj, all cores", "age"):
        bench_sealing._turn(kind, 1, tmp_path / "model", tmp_path / "work")

    assert said == ["3", "1,2,3", "3"]


def test_large_files_take_fewer_turns() -> None:
    assert [bench_sealing._rounds(size, 5) for size in (1, 256, 1024, 4096)] == [5, 5, 2, 2]
    assert bench_sealing._rounds(4096, 1) == 1


def test_whole_releases_tell_speeds_and_what_a_part_takes() -> None:
    took = {"seconds": 2.0, "cpu": 1.0, "peak": 2**20}
    found = [{"one file, to the store": took, "a part": {"each": each}} for each in (0.001, 0.004)]

    lines = list(bench_sealing._whole(1000, found))

    assert lines[1:] == [
        "  one file, to the store             0.52 (0.52 to 0.52)    1.05       1.0",
        "  a part                           2.5 ms (1.0 to 4.0)",
    ]


def test_whole_releases_are_sealed_and_opened_every_way(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    [found] = bench_sealing._releases(4, 1, tmp_path_factory.mktemp("bench"))

    ways = ("to the store", "from the store", "from a folder")
    files = {f"{files}, {way}" for files in ("one file", "four files") for way in ways}
    assert found.keys() == files | {"1 MiB of a file, from the store"}
    assert all(found[name]["seconds"] > 0 for name in files)
