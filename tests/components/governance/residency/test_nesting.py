"""One condition without variables says what the variables say that it was made of.

Whole policies are too deep for the CEL offline (32 brackets): that their conditions say the same,
object by object, is what tests/cluster/test_residency.py shows on an API server.
"""

from typing import Any

import pytest

from components.foundation.errors import UserError
from components.governance.residency import cel, policies, profiles, rules
from components.governance.residency.nesting import Variables, nested
from components.governance.residency.rules import Policy

TWICE: Variables = (("a", "size(object.of)"), ("b", "variables.a + variables.a"))


def evaluated(expression: str, thing: dict[str, Any], profile: Any = None) -> Any:
    """Return what an expression without variables says."""
    policy = Policy("it", "", (), (("it", expression),))
    return cel.evaluate(policy, thing, profile or {})["it"]


def test_what_is_read_once_stands_in_its_place() -> None:
    assert nested("variables.a > 1", TWICE) == "(size(object.of)) > 1"


def test_what_is_read_twice_is_evaluated_once() -> None:
    expression = nested("variables.b > 1", TWICE)

    assert expression.count("size(object.of)") == 1
    assert evaluated(expression, {"of": [1]})
    assert not evaluated(expression, {"of": []})


def test_what_is_read_in_a_loop_is_evaluated_once_before_it() -> None:
    expression = nested("[1, 2].exists(n, n == variables.a)", TWICE)

    assert expression == "[size(object.of)].exists(v_a, [1, 2].exists(n, n == v_a))"


def test_a_bracket_in_a_text_opens_nothing() -> None:
    expression = nested("'.map(' == object.kind || variables.a > 1", TWICE)

    assert expression == "'.map(' == object.kind || (size(object.of)) > 1"


def test_a_condition_that_cannot_be_evaluated_is_an_error_and_not_false() -> None:
    with pytest.raises(UserError, match="of"):
        evaluated(nested("variables.b > 1", TWICE), {"kind": "It"})


def test_static_policies_have_the_condition_too() -> None:
    policy = rules.policy("configmaps")
    spec = policies.static(policy, profiles.all_by_name()["health"])["spec"]

    assert "params" not in spec["matchConditions"][-1]["expression"]
