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

    assert "  falaj          seal    0.52 (0.26 to 1.05)    1.05       3.0" in lines
    assert "  seal: falaj is 2.00 (2.00 to 4.00) times age" in lines


def test_the_table_says_who_stopped_and_why() -> None:
    lines = list(bench_sealing._table(1000, [turn("falaj", 1.0)]))

    assert any(
        line.startswith("  jwe            stopped at 256 MiB: needs about 7") for line in lines
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
