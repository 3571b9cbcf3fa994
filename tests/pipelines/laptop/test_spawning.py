"""Steps forked from a warm interpreter are processes like any other."""

import concurrent.futures
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from kfp import dsl

from components.face import images
from components.foundation.errors import InfrastructureError
from pipelines.laptop import warm
from pipelines.laptop.runner import LocalRunner
from pipelines.laptop.spawning import Nursery

image = "registry.example/python@sha256:" + "0" * 64


@dsl.component(base_image=image, install_kfp_package=False)
def look(seconds: float = 0.0) -> dict:  # type: ignore[type-arg]  # as kfp has it
    import os
    import sys
    import threading
    import time

    time.sleep(seconds)
    return {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "run": os.environ.get("FALAJ_RUN_ID"),
        "folder": os.getcwd(),
        "warm": "pipelines.laptop.warm" in " ".join(sys.orig_argv),
        "threads": threading.active_count(),
        "words": open("/proc/self/cmdline").read(),
    }


@dsl.component(base_image=image, install_kfp_package=False)
def pay(number: int) -> int:
    import json
    import os
    import pathlib

    pathlib.Path(os.environ["FALAJ_COST_LOG"]).write_text(json.dumps({"seconds": number}))
    return number


@dsl.component(base_image=image, install_kfp_package=False)
def draw() -> dict:  # type: ignore[type-arg]  # as kfp has it
    import sys

    warm = "numpy" in sys.modules
    import numpy as np

    # The global generator is what a fork would share.
    return {"warm": warm, "drawn": float(np.random.random())}


@dsl.component(base_image=image, install_kfp_package=False)
def linger(path: str) -> None:
    import atexit
    import pathlib
    import threading
    import time

    def write(name: str) -> None:
        time.sleep(0.2)
        (pathlib.Path(path) / name).touch()

    atexit.register(write, "at exit")
    threading.Thread(target=write, args=("thread",)).start()


@dsl.component(base_image=image, install_kfp_package=False)
def leave() -> int:
    import subprocess

    child = subprocess.Popen(["/bin/sleep", "120"])
    print("and goes")
    return child.pid


@dsl.pipeline(name="leaving")
def leaving() -> None:
    leave()


@dsl.pipeline(name="lingering")
def lingering(path: str) -> None:
    linger(path=path)


@dsl.pipeline(name="looking")
def looking(seconds: float = 0.0) -> None:
    look(seconds=seconds)


@dsl.pipeline(name="paying")
def paying() -> None:
    pay(number=1)
    pay(number=2)


@dsl.pipeline(name="drawing")
def drawing() -> None:
    waited = look(seconds=3.0).set_caching_options(False)  # the interpreter imports meanwhile
    draw().after(waited).set_caching_options(False)
    draw().after(waited).set_caching_options(False)


@pytest.fixture
def runner(tmp_path: pathlib.Path) -> LocalRunner:
    return LocalRunner(tmp_path, {}, code="test")


def seen(runner: LocalRunner, **arguments: Any) -> dict[str, Any]:
    found: dict[str, Any] = runner.run(looking, arguments).outputs["look"]["Output"]
    return found


def test_a_step_is_a_process_of_its_own_under_its_own_name(runner: LocalRunner) -> None:
    found = seen(runner)

    assert found["warm"]
    assert found["pid"] not in {os.getpid(), found["parent"]}
    assert found["words"].split("\0")[:5] == [
        "python",
        "-m",
        "kfp.dsl.executor_main",
        "--function_to_execute",
        "look",
    ]
    assert found["threads"] == 1
    assert found["folder"] == os.getcwd()


def test_steps_of_two_runs_share_the_warm_interpreter_and_not_the_environment(
    runner: LocalRunner,
) -> None:
    first, second = seen(runner), seen(runner, seconds=0.01)

    assert first["parent"] == second["parent"]
    assert first["run"] != second["run"]


def test_each_step_says_what_it_cost_although_they_run_at_once(runner: LocalRunner) -> None:
    run = runner.run(paying, {})

    paid = {step.outputs["Output"]: step.cost["seconds"] for step in run.steps}
    assert paid == {1: 1, 2: 2}
    assert list(runner.folder.glob("cost-*")) == []


def test_a_step_taken_from_the_cache_cost_nothing(runner: LocalRunner) -> None:
    runner.run(paying, {})

    assert [step.cost for step in runner.run(paying, {}).steps] == [{}, {}]


def test_a_step_ends_after_its_threads_and_what_it_registered(
    runner: LocalRunner, tmp_path: pathlib.Path
) -> None:
    runner.run(lingering, {"path": str(tmp_path)})

    assert (tmp_path / "thread").exists()
    assert (tmp_path / "at exit").exists()


def test_a_step_that_has_ended_is_not_waited_for_because_of_what_it_left_behind(
    runner: LocalRunner,
) -> None:
    (step,) = runner.run(leaving, {}).steps

    left = int(step.outputs["Output"])
    assert alive(left)
    os.kill(left, signal.SIGKILL)
    assert "and goes" in step.lines


def test_steps_draw_different_random_numbers(runner: LocalRunner) -> None:
    deadline = time.monotonic() + 120
    while True:
        steps = runner.run(drawing, {}).steps
        _, first, second = (step.outputs["Output"] for step in steps)
        if first["warm"] and second["warm"]:  # both forked with numpy in them
            break
        assert time.monotonic() < deadline, "the warm interpreter never had numpy"

    assert first["drawn"] != second["drawn"]


@pytest.fixture
def napping(runner: LocalRunner) -> Iterator[tuple[concurrent.futures.Future[Any], int]]:
    """A run whose step sleeps for a minute, and that step's process."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        ended = pool.submit(runner.run, looking, {"seconds": 60.0})
        step = wait_for_step()
        yield ended, step
        if alive(step):
            os.kill(step, signal.SIGKILL)


def wait_for_step() -> int:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            words = _read(path)
            if words.startswith("python\0-m\0kfp.dsl.executor_main") and _ours(path.parent):
                return int(path.parent.name)
        time.sleep(0.02)
    raise AssertionError("no step began")


def _ours(process: pathlib.Path) -> bool:
    """Tell our grandchild from steps of other tests' runs."""
    parent = _read(process / "stat").rpartition(")")[2].split()[1]
    return _read(process.parent / parent / "stat").rpartition(")")[2].split()[1] == str(os.getpid())


def _read(path: pathlib.Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ") ? 0 0"


def alive(pid: int) -> bool:
    return _read(pathlib.Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()[0] not in "Z?"


def test_a_killed_step_fails_its_run_and_leaves_the_warm_interpreter(
    runner: LocalRunner, napping: tuple[concurrent.futures.Future[Any], int]
) -> None:
    ended, step = napping

    os.kill(step, signal.SIGKILL)

    with pytest.raises(InfrastructureError):
        ended.result(30)
    assert seen(runner)["warm"]


def test_a_killed_warm_interpreter_takes_its_steps_along_and_is_replaced(
    runner: LocalRunner, napping: tuple[concurrent.futures.Future[Any], int]
) -> None:
    ended, step = napping
    parent = int(_read(pathlib.Path(f"/proc/{step}/stat")).rpartition(")")[2].split()[1])

    os.kill(parent, signal.SIGKILL)

    with pytest.raises(InfrastructureError):
        ended.result(30)
    assert not alive(step)
    assert seen(runner)["parent"] != parent


def test_nothing_is_left_when_the_runner_is_killed(tmp_path: pathlib.Path) -> None:
    program = (
        "import sys, pathlib; sys.path[:0] = sys.argv[2:]\n"
        "from test_spawning import LocalRunner, looking\n"
        "LocalRunner(pathlib.Path(sys.argv[1]), {}, code='t').run(looking, {'seconds': 60.0})"
    )
    beside = [str(pathlib.Path(__file__).parent), str(pathlib.Path.cwd())]
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path), *beside]) as process:
        step = _step_below(process.pid)

        process.kill()

    deadline = time.monotonic() + 20
    while alive(step) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(step)


def _step_below(ancestor: int) -> int:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        children = _children(ancestor)
        steps = [grand for child in children for grand in _children(child)]
        for pid in steps:
            if _read(pathlib.Path(f"/proc/{pid}/cmdline")).startswith("python\0-m\0kfp"):
                return pid
        time.sleep(0.02)
    raise AssertionError("no step began")


def _children(pid: int) -> list[int]:
    listed = pathlib.Path("/proc").glob("[0-9]*/stat")
    found = {path.parent.name: _read(path).rpartition(")")[2].split() for path in listed}
    return [int(name) for name, fields in found.items() if fields[1] == str(pid)]


@dsl.component(base_image=images()["torch"], install_kfp_package=False)
def find(module: str, attempt: int) -> bool:
    import sys

    return module in sys.modules


@dsl.pipeline(name="finding")
def finding(module: str, attempt: int) -> None:
    find(module=module, attempt=attempt)


def test_a_step_finds_what_its_image_family_is_for(runner: LocalRunner) -> None:
    def found(module: str, attempt: int) -> bool:
        run = runner.run(finding, {"module": module, "attempt": attempt})
        return bool(run.outputs["find"]["Output"])

    # The first may come before the import.
    attempt = next(attempt for attempt in range(1000) if found("torch", attempt))

    assert not found("tensorflow", attempt)


def test_with_a_thread_running_the_step_starts_in_the_ordinary_way(
    runner: LocalRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unfit(self: Nursery, command: list[str], environment: Mapping[str, str]) -> int:
        return warm.UNFIT

    monkeypatch.setattr(Nursery, "_run", unfit)

    assert not seen(runner)["warm"]


def test_a_process_with_a_thread_is_not_forked() -> None:
    program = (
        "import threading, time, json; from pipelines.laptop import warm\n"
        "before = warm._fit()\n"
        "threading.Thread(target=time.sleep, args=(5,), daemon=True).start()\n"
        "print(json.dumps([before, warm._fit()]))"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout

    assert json.loads(said) == [True, False]
