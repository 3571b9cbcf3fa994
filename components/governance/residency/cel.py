"""Evaluate policies as the API server does, with Google's CEL and no cluster."""

import functools
import itertools
import re
from collections.abc import Mapping
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_optional, ext_strings

from components.foundation.errors import UserError
from components.governance.residency.rules import Policy

Thing = Mapping[str, Any]
_NAME = re.compile(r"\bvariables\.(\w+)")
_SEEN = ("object", "params", "variables")


def evaluate(policy: Policy, thing: Thing, profile: Thing) -> dict[str, Any]:
    """Return the value of each of a policy's variables for one object.

    Raises:
        UserError: the object has not the shape that its kind has; the API server refuses it too.
    """
    variables: dict[str, Any] = {}
    for name, expression in policy.variables:
        read = {one: variables[one] for one in _names_in(expression)}
        params = profile if "params." in expression else {}
        seen = {"object": thing, "params": params, "variables": read}
        try:
            value = _compiled(expression).eval(data=seen)
        except RuntimeError as error:  # so it says that it would take too long
            raise UserError(
                f"{thing.get('kind')}: {policy.name}.{name}: {error}; expected less than 10,000 "
                "steps; say fewer addresses in one object",
                code="residency-malformed",
            ) from error
        if value.type() == cel.Type.ERROR:
            raise UserError(
                f"{thing.get('kind')}: {policy.name}.{name}: {value.value()}; expected the shape "
                "that its kind has; correct the object",
                code="residency-malformed",
            )
        variables[name] = value.plain_value()
    return variables


@functools.cache
def _names_in(expression: str) -> frozenset[str]:
    """Return the variables that an expression reads: to hand over all of them takes longer."""
    return frozenset(_NAME.findall(expression))


@functools.cache
def _compiled(expression: str) -> cel.Expression:
    return _environment().compile(expression)


@functools.cache
def _environment() -> cel.Env:
    return cel.NewEnv(
        variables=dict.fromkeys(_SEEN, cel.Type.DYN),
        extensions=[ext_optional.ExtOptional(), ext_strings.ExtStrings()],
        functions=[_find_all()],
    )


def _find_all() -> cel.FunctionDecl:
    """Declare what Kubernetes adds to CEL: all that a pattern finds in a text, up to a number."""
    types = [cel.Type.STRING, cel.Type.STRING, cel.Type.INT]
    strings = cel.Type.List(cel.Type.STRING)
    found = cel.Overload("string_find_all_string_int", strings, types, True, _found)
    return cel.FunctionDecl("findAll", [found])


def _found(text: str, pattern: str, limit: int) -> list[str]:
    matches = itertools.islice(re.finditer(pattern, text), limit)
    return [match.group() for match in matches]
