"""Reduce what runs take and give to JSON that may be kept: no artifacts, no secrets."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

_PASSWORD = re.compile(r"(://[^/\s:@]*):[^/\s]*@")
_QUERY = re.compile(r"(://[^\s?]*)\?\S*")
_SECRET = re.compile("password|secret|token|credential", re.IGNORECASE)


def plain(value: Any) -> Any:
    """Reduce what a step gave to JSON: an artifact to its metadata and path, NaN to null."""
    from kfp import dsl

    match value:
        case dsl.Artifact():
            return {"path": value.path, **plain(value.metadata)}
        case float() if not math.isfinite(value):
            return None
        case None | str() | bool() | int() | float():
            return value
        case Mapping():
            return {str(name): plain(item) for name, item in value.items()}
        case Sequence():
            return [plain(item) for item in value]
    return str(value)


def without_secrets(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Drop passwords and query strings from addresses, and what is named as a secret."""
    return {
        name: "***" if _SECRET.search(name) and value else public(plain(value))
        for name, value in parameters.items()
    }


def public(value: Any) -> Any:
    """Drop passwords and query strings from the addresses in a value."""
    match value:
        case str():
            return _QUERY.sub(r"\1", _PASSWORD.sub(r"\1@", value))
        case dict():
            return without_secrets(value)
        case list():
            return [public(item) for item in value]
    return value
