import pathlib
import time

import pytest
from kfp import dsl

from components.foundation.errors import InfrastructureError
from pipelines.laptop.runner import LocalRunner

image = "registry.example/python@sha256:" + "0" * 64


@dsl.component(base_image=image, install_kfp_package=False)
def nap(number: int, seconds: float = 0.0) -> int:
    import time

    time.sleep(seconds)
    return number + 1


@dsl.component(base_image=image, install_kfp_package=False)
def fail(seconds: float = 0.0) -> int:
    import time

    time.sleep(seconds)
    raise ValueError("on purpose")


@dsl.pipeline(name="two-naps")
def two_naps() -> None:
    left, right = nap(number=1, seconds=1.5), nap(number=2, seconds=1.5)
    nap(number=left.output).after(right)


@dsl.pipeline(name="a-failure")
def a_failure() -> None:
    first = nap(number=0, seconds=1.0)
    nap(number=first.output)
    nap(number=fail().output)


@pytest.fixture
def runner(tmp_path: pathlib.Path) -> LocalRunner:
    return LocalRunner(tmp_path, {}, code="test", workers=2)


def test_independent_steps_overlap_and_dependent_ones_wait(runner: LocalRunner) -> None:
    began = time.monotonic()

    run = runner.run(two_naps, {})

    assert time.monotonic() - began < run.seconds, "the two naps took turns"
    assert run.steps[-1].outputs["Output"] == 3


def test_one_worker_takes_turns(tmp_path: pathlib.Path) -> None:
    began = time.monotonic()

    run = LocalRunner(tmp_path, {}, code="test", workers=1).run(two_naps, {})

    assert time.monotonic() - began >= run.seconds


def test_after_a_failure_nothing_more_begins(runner: LocalRunner) -> None:
    with pytest.raises(InfrastructureError, match="ValueError: on purpose"):
        runner.run(a_failure, {})

    assert runner.last is not None
    assert [step.name for step in runner.last.steps] == ["nap"]


def test_what_steps_say_is_not_mixed(runner: LocalRunner) -> None:
    @dsl.component(base_image=image, install_kfp_package=False)
    def say(word: str) -> None:
        import time

        for _ in range(20):
            print(word, flush=True)
            time.sleep(0.02)

    @dsl.pipeline(name="two-voices")
    def two_voices() -> None:
        say(word="left")
        say(word="right")

    run = runner.run(two_voices, {})

    heard = [{"left", "right"} & set(step.lines) for step in run.steps]
    assert heard in ([{"left"}, {"right"}], [{"right"}, {"left"}])
