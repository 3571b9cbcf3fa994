"""Read `--set NAME=VALUE` by the names and types that a pipeline declares."""

import json
from collections.abc import Iterable
from typing import Any

from components.foundation.errors import UserError, nearest

_KINDS: dict[str, tuple[type | tuple[type, ...], str]] = {
    "NUMBER_INTEGER": (int, "a whole number such as 4"),
    "NUMBER_DOUBLE": ((int, float), "a number such as 0.05"),
    "BOOLEAN": (bool, "true or false"),
    "LIST": (list, "a JSON list such as [10, 50]"),
    "STRUCT": (dict, 'a JSON object such as {"a": 1}'),
}


def parse(pairs: Iterable[str], pipeline: Any) -> dict[str, Any]:
    """Turn NAME=VALUE pairs into arguments of a pipeline.

    Raises:
        UserError: not a pair, a name the pipeline does not have, or a value of another type.
    """
    from kfp.pipeline_spec.pipeline_spec_pb2 import ParameterType

    known = pipeline.pipeline_spec.root.input_definitions.parameters
    values = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise UserError(f"--set {pair!r}: expected NAME=VALUE", code="parameter-malformed")
        if name not in known:
            raise UserError(
                f"--set {pair!r}: no such parameter; {nearest(name, list(known))}",
                code="parameter-unknown",
            )
        kind = ParameterType.ParameterTypeEnum.Name(known[name].parameter_type)
        values[name] = text if kind == "STRING" else _value(pair, text, kind)
    return values


def _value(pair: str, text: str, kind: str) -> Any:
    types, expected = _KINDS[kind]
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, types) or (isinstance(value, bool) and kind != "BOOLEAN"):
        raise UserError(f"--set {pair!r}: expected {expected}", code="parameter-malformed")
    return value
