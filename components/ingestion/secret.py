"""Secrets come from environment variables that a Secret fills, never from parameters."""

from collections.abc import Mapping

from components.foundation.errors import UserError


def read(environment: Mapping[str, str], name: str) -> str:
    """Return the variable's value, or "" for no name; raises UserError if it is not set."""
    if not name:
        return ""
    if not environment.get(name):
        raise UserError(
            f"environment variable {name!r} is not set; mount the Secret that has it",
            code="secret-unset",
        )
    return environment[name]
