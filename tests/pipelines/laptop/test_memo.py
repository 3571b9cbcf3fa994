import pathlib
from typing import Any

import pytest

from pipelines.laptop.memo import Memo


def test_runs_once_and_remembers_over_restarts(tmp_path: pathlib.Path) -> None:
    calls: list[int] = []

    def work() -> dict[str, Any]:
        calls.append(1)
        return {"rows": 3}

    first = Memo(tmp_path, "code").stage("Load it", 1, work)
    again = Memo(tmp_path, "code").stage("Load it", 1, work)

    assert (first.skipped, again.skipped, again.result, len(calls)) == (False, True, {"rows": 3}, 1)


@pytest.mark.parametrize(("code", "inputs"), [("code", 2), ("other", 1)], ids=["inputs", "code"])
def test_runs_again_when_something_changed(tmp_path: pathlib.Path, code: str, inputs: int) -> None:
    Memo(tmp_path, "code").stage("Load it", 1, lambda: {"rows": 3})

    changed = Memo(tmp_path, code).stage("Load it", inputs, lambda: {"rows": 4})

    assert (changed.skipped, changed.result) == (False, {"rows": 4})


def test_a_stage_that_failed_is_not_remembered(tmp_path: pathlib.Path) -> None:
    def fail() -> dict[str, Any]:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        Memo(tmp_path, "code").stage("Load it", 1, fail)

    assert not Memo(tmp_path, "code").stage("Load it", 1, lambda: {}).skipped
