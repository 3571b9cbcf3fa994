import dataclasses
import json

import pytest

from components.deployment.roll_out.trial import (
    UNREADY_LOOKS,
    Action,
    Rules,
    Trial,
    judge,
    judge_bake,
)
from components.foundation.errors import UserError
from components.foundation.statistics.eprocess import Arm

RULES = Rules(steps=(10, 50), min_requests=100, max_seconds=60, bake_s=5)


def seen(champion: Arm, candidate: Arm, **changes: object) -> Trial:
    return dataclasses.replace(Trial().after(champion, candidate), **changes)  # type: ignore[arg-type]


def test_raises_once_enough_requests_show_no_harm() -> None:
    assert judge(seen(Arm(900, 0), Arm(100, 0)), RULES)[0] is Action.RAISE


def test_holds_until_the_candidate_has_answered_enough() -> None:
    action, reason = judge(seen(Arm(900, 0), Arm(99, 0)), RULES)

    assert action is Action.HOLD
    assert "99 of 100" in reason


def test_holds_without_a_champion_to_compare_with() -> None:
    assert judge(seen(Arm(), Arm(500, 0)), RULES)[0] is Action.HOLD


def test_a_step_begins_with_no_requests_of_its_own() -> None:
    raised = seen(Arm(900, 0), Arm(100, 0)).raised()

    assert raised.step == 1
    assert judge(raised, RULES)[0] is Action.HOLD


def test_promotes_after_the_last_step_with_confidence() -> None:
    trial = seen(Arm(1000, 2), Arm(400, 1), step=1)

    action, reason = judge(trial, RULES)

    assert action is Action.PROMOTE
    assert "95% confidence" in reason


def test_holds_at_the_last_step_while_the_difference_may_exceed_the_margin() -> None:
    action, reason = judge(seen(Arm(300, 90), Arm(150, 45), step=1), RULES)

    assert action is Action.HOLD
    assert "may still err" in reason


def test_rolls_back_a_candidate_that_errs_more_often() -> None:
    action, reason = judge(seen(Arm(900, 1), Arm(100, 10)), RULES)

    assert action is Action.ROLL_BACK
    assert "10 of 100 against 1 of 900" in reason


def test_an_incident_of_both_is_no_reason_to_roll_back() -> None:
    assert judge(seen(Arm(900, 450), Arm(100, 52)), RULES)[0] is Action.RAISE


def test_gives_up_when_time_is_up() -> None:
    action, reason = judge(seen(Arm(), Arm(), seconds=61), RULES)

    assert action is Action.GIVE_UP
    assert "0 of 100 requests" in reason


def test_rolls_back_a_candidate_that_is_no_longer_ready() -> None:
    trial = seen(Arm(900, 0), Arm(100, 0), unready=UNREADY_LOOKS)

    assert judge(trial, RULES)[0] is Action.ROLL_BACK
    assert judge_bake(trial, RULES)[0] is Action.ROLL_BACK


def test_bakes_as_long_as_asked_and_finishes() -> None:
    trial = seen(Arm(900, 0), Arm(400, 0), baking=Arm(100, 0))

    assert judge_bake(trial, RULES)[0] is Action.HOLD
    assert judge_bake(dataclasses.replace(trial, baked_s=5), RULES)[0] is Action.FINISH


def test_gives_up_on_all_traffic_that_it_cannot_see() -> None:
    trial = seen(Arm(900, 0), Arm(400, 0), baking=Arm(100, 0), baked_s=1)

    assert judge_bake(dataclasses.replace(trial, seconds=64), RULES)[0] is Action.HOLD
    action, reason = judge_bake(dataclasses.replace(trial, seconds=65), RULES)
    assert action is Action.GIVE_UP
    assert "1.0 of 5 s" in reason


def test_rolls_back_from_all_traffic_when_errors_appear_there() -> None:
    trial = seen(Arm(900, 0), Arm(400, 0), baking=Arm(100, 30), baked_s=9)

    assert judge_bake(trial, RULES)[0] is Action.ROLL_BACK


def test_a_trial_survives_json() -> None:
    trial = seen(Arm(9, 1), Arm(5, 2), step=1, counters={"x": 3.0}, baking=Arm(2, 1))

    assert Trial.from_dict(json.loads(json.dumps(trial.to_dict()))) == trial
    assert Trial.from_dict({}) == Trial()


@pytest.mark.parametrize("steps", [(), (50, 10), (0, 10), (10, 100), (10, 10)], ids=str)
def test_refuses_steps_that_do_not_rise_below_one_hundred(steps: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="steps"):
        Rules(steps=steps)


def test_of_many_points_some_are_kept_and_the_newest_always() -> None:
    trial = Trial()
    for number in range(5000):
        trial = trial.noted({"requests": number})

    kept = [point["requests"] for point in trial.points]

    assert 100 <= len(kept) <= 200
    assert kept == sorted(set(kept))
    assert kept[-1] == 4999
    assert Trial.from_dict(trial.to_dict()) == trial


@pytest.mark.parametrize(
    "changes",
    [{"min_requests": 0}, {"interval_s": 0}, {"max_seconds": -1}, {"bake_s": -1}],
    ids=lambda changes: next(iter(changes)),
)
def test_what_would_judge_without_evidence_or_without_pause_is_refused(
    changes: dict[str, float],
) -> None:
    with pytest.raises(UserError, match="expected at least one request"):
        dataclasses.replace(RULES, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("candidate", "action", "said"),
    [
        (Arm(150, 45), Action.HOLD, "may still err"),
        (Arm(9, 0), Action.HOLD, "9 of 100 requests answered by the candidate at 50 %"),
    ],
    ids=["not sure", "not enough"],
)
def test_taken_up_with_fewer_steps_it_is_at_the_last_of_them(
    candidate: Arm, action: Action, said: str
) -> None:
    found, reason = judge(seen(Arm(300, 90), candidate, step=4), RULES)

    assert found is action
    assert said in reason
    assert RULES.percent(4) == 50
