import pathlib
from typing import Any, NamedTuple

import pytest
from kfp import dsl

from components.foundation.errors import InfrastructureError, Refused, UserError
from pipelines.laptop.runner import LocalRunner
from pipelines.laptop.watch import StepRun
from pipelines.records import Records

image = "registry.example/python@sha256:" + "0" * 64


@dsl.component(base_image=image, install_kfp_package=False)
def double(number: int) -> int:
    print(f"doubling {number}")
    return 2 * number


@dsl.component(base_image=image, install_kfp_package=False)
def judge(number: int) -> NamedTuple("Outputs", [("passed", bool)]):  # type: ignore[valid-type]
    return (number > 0,)


@dsl.component(base_image=image, install_kfp_package=False)
def refuse(message: str) -> None:
    import json
    import os
    import pathlib

    said = {"step": "refuse", "exit_code": 3, "code": "gate-closed", "message": message}
    pathlib.Path(os.environ["FALAJ_TERMINATION_LOG"]).write_text(json.dumps(said))
    raise SystemExit(3)


@dsl.pipeline(name="doubling")
def doubling(number: int = 1) -> None:
    first = double(number=number)
    first.set_display_name("Double once")
    double(number=first.output)


@dsl.pipeline(name="hidden-skip")
def hidden_skip(number: int = 1) -> None:
    judged = judge(number=number)
    with dsl.If(judged.outputs["passed"] == True):  # noqa: E712 - kfp overloads ==
        double(number=number)


@dsl.component(base_image=image, install_kfp_package=False)
def crash() -> int:
    return 1 // 0


@dsl.pipeline(name="crashing")
def crashing() -> None:
    crash()


@dsl.component(base_image=image, install_kfp_package=False)
def die() -> int:
    import os

    print("about to say more")
    os.kill(os.getpid(), 9)
    return 0


@dsl.pipeline(name="dying")
def dying() -> None:
    die().set_display_name("Die young")


@dsl.pipeline(name="refusing")
def refusing(message: str = "no") -> None:
    refuse(message=message)


@pytest.fixture
def runner(tmp_path: pathlib.Path) -> LocalRunner:
    return LocalRunner(tmp_path, {}, code="test")


def test_gives_steps_in_order_with_titles_outputs_and_what_they_said(runner: LocalRunner) -> None:
    seen: list[StepRun] = []
    runner.show = seen.append

    run = runner.run(doubling, {"number": 3})

    assert [step.title for step in run.steps] == ["Double once", "double-2"]
    assert run.outputs["double-2"]["Output"] == 12
    assert "doubling 3" in run.steps[0].lines
    assert seen == list(run.steps)


def test_each_step_is_kept_as_it_ends_for_the_case_of_a_kill(runner: LocalRunner) -> None:
    begun, kept = Records(runner.folder).begun, []
    runner.show = lambda step: kept.append([kept.title for kept in begun.latest().steps])

    runner.run(doubling, {"number": 3})

    assert kept == [["Double once"], ["Double once", "double-2"]]
    assert begun.ids() == []


def test_a_second_run_reuses_what_did_not_change(runner: LocalRunner) -> None:
    runner.run(doubling, {"number": 3})

    again = runner.run(doubling, {"number": 3})
    other = runner.run(doubling, {"number": 4})

    assert [step.cached for step in again.steps] == [True, True]
    assert [step.cached for step in other.steps] == [False, False]


def test_other_code_reuses_nothing(runner: LocalRunner, tmp_path: pathlib.Path) -> None:
    runner.run(doubling, {"number": 3})

    changed = LocalRunner(tmp_path, {}, code="changed").run(doubling, {"number": 3})

    assert [step.cached for step in changed.steps] == [False, False]


def test_a_step_that_kfp_skips_in_silence_is_an_error(runner: LocalRunner) -> None:
    with pytest.raises(InfrastructureError, match="left something out"):
        runner.run(hidden_skip, {"number": 1})


def test_an_unknown_parameter_is_named_with_the_nearest(runner: LocalRunner) -> None:
    with pytest.raises(UserError, match="did you mean 'number'"):
        runner.run(doubling, {"numbr": 3})


def test_kubernetes_settings_are_not_ignored(runner: LocalRunner) -> None:
    from kfp import kubernetes

    @dsl.pipeline(name="with-secret")
    def with_secret() -> None:
        kubernetes.use_secret_as_env(double(number=1), "name", {"key": "NAME"})

    with pytest.raises(InfrastructureError, match="Kubernetes settings"):
        runner.run(with_secret, {})


def test_a_refusal_keeps_its_reason_and_its_kind(runner: LocalRunner) -> None:
    with pytest.raises(Refused, match="refuse: too late in July"):
        runner.run(refusing, {"message": "too late in July"})


def test_a_crash_is_told_by_its_last_words(runner: LocalRunner) -> None:
    with pytest.raises(InfrastructureError, match=r"ZeroDivisionError.*crashing\.log"):
        runner.run(crashing, {})


def test_a_step_that_was_killed_is_named_with_the_signal(runner: LocalRunner) -> None:
    with pytest.raises(InfrastructureError, match="'Die young' was killed by signal 9") as caught:
        runner.run(dying, {})

    assert caught.value.code == "step-killed"


def test_the_environment_is_as_before_afterwards(
    runner: LocalRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    runner.environment = {"FALAJ_TESTED": "yes"}

    runner.run(doubling, {"number": 1})

    assert "FALAJ_TESTED" not in os.environ


def test_step_runs_are_told_apart_from_what_kfp_prints(runner: LocalRunner) -> None:
    run: Any = runner.run(doubling, {"number": 5})

    assert not any("Executing task" in line for step in run.steps for line in step.lines)


def test_leaves_a_record_of_a_run_that_ended_well(runner: LocalRunner) -> None:
    run = runner.run(doubling, {"number": 3})

    kept = Records(runner.folder).runs.read(run.id)
    assert (kept.pipeline, kept.state, kept.parameters) == ("doubling", "succeeded", {"number": 3})
    assert [(s.title, s.outputs) for s in kept.steps] == [
        ("Double once", {"Output": 6}),
        ("double-2", {"Output": 12}),
    ]


def test_leaves_a_record_of_a_run_that_was_refused(runner: LocalRunner) -> None:
    with pytest.raises(Refused):
        runner.run(refusing, {"message": "not today"})

    kept = Records(runner.folder).runs.latest()
    assert kept.state == "refused"
    assert kept.error
    assert "not today" in kept.error.message
