import pytest

from components.evaluation.gate.component import gate
from components.foundation.verdict import Decision, Verdict

PASSING = {Decision.ACCEPT, Decision.PROMOTE, Decision.STABLE}


@pytest.mark.parametrize("decision", sorted(PASSING))
def test_lets_a_run_pass(environment: None, decision: Decision) -> None:
    verdict = Verdict("contract flights", decision, "all rules hold")

    assert gate.python_func(verdict=verdict.to_dict()) == str(decision)


@pytest.mark.parametrize("decision", sorted(set(Decision) - PASSING))
def test_stops_a_run_with_the_reason(
    environment: None, decision: Decision, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict = Verdict("contract flights", decision, "12 rows have no carrier")

    with pytest.raises(SystemExit) as ended:
        gate.python_func(verdict=verdict.to_dict())

    assert ended.value.code == 3
    assert f"contract flights: {decision} - 12 rows have no carrier" in capsys.readouterr().err


def test_what_is_no_verdict_does_not_pass(environment: None) -> None:
    with pytest.raises(SystemExit) as ended:
        gate.python_func(verdict={"decison": "accept"})

    assert ended.value.code == 2
