"""Buckets as they have to be, read from YAML (docs/storage.md)."""

import enum
import pathlib
from collections.abc import Mapping
from typing import Annotated, Literal, Self

import pydantic
import yaml

from components.foundation.buckets.names import ROLES
from components.foundation.errors import UserError
from components.foundation.site import Profile

Days = Annotated[int, pydantic.Field(ge=1, le=36500)]
Years = Annotated[int, pydantic.Field(ge=1, le=100)]


class Lock(enum.StrEnum):
    """Who may end a retention early: nobody, or those with a right of their own."""

    COMPLIANCE = "compliance"
    GOVERNANCE = "governance"


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Bucket(_Strict):
    """What differs between buckets; none at all means that everything is kept.

    Attributes:
        noncurrent_days: how long what was replaced or deleted can be brought back.
        expire_days: how long an object is kept.
        lock: no object can be changed or deleted before the profile's years are over.
    """

    noncurrent_days: Days | None = None
    expire_days: Days | None = None
    lock: Lock | None = None

    @pydantic.model_validator(mode="after")
    def _a_locked_one_expires_nothing(self) -> Self:
        if self.lock and (self.noncurrent_days or self.expire_days):
            raise ValueError("a locked bucket expires nothing; leave its days")
        return self


class Declaration(_Strict):
    """All buckets of a site."""

    format: Literal[1]
    uploads_days: Days
    retention_years: Mapping[Profile, Years]
    buckets: Mapping[str, Bucket]

    @pydantic.model_validator(mode="after")
    def _is_whole(self) -> Self:
        if odd := sorted(set(self.buckets) ^ set(ROLES)):
            raise ValueError(f"buckets: expected {', '.join(ROLES)}; look at {', '.join(odd)}")
        if missing := sorted(set(Profile) - set(self.retention_years)):
            raise ValueError(f"retention_years: say them for {', '.join(missing)}")
        return self

    @classmethod
    def load(cls, path: pathlib.Path) -> Self:
        """Read a declaration, or the ConfigMap that holds one.

        Raises:
            UserError: naming each field that is wrong.
        """
        try:
            return cls.parse(path.read_text(encoding="utf-8"), source=str(path))
        except OSError as error:
            raise UserError(
                f"{path}: {error.strerror}; name the file that declares the buckets",
                code="buckets-declaration",
            ) from None

    @classmethod
    def parse(cls, text: str, *, source: str = "text") -> Self:
        try:
            value = yaml.safe_load(text)
            if isinstance(value, dict) and value.get("kind") == "ConfigMap":
                value = yaml.safe_load(value["data"]["buckets.yaml"])
            return cls.model_validate(value)
        except pydantic.ValidationError as error:
            problems = "; ".join(map(_explained, error.errors()))
        except (yaml.YAMLError, KeyError, TypeError) as error:
            problems = f"no declaration of buckets ({error})"
        raise UserError(f"{source}: {problems}", code="buckets-declaration")


def _explained(problem: Mapping[str, object]) -> str:
    where = problem["loc"]
    path = ".".join(map(str, where)) if isinstance(where, tuple) else ""
    said = str(problem["msg"]).removeprefix("Value error, ")
    return f"{path}: got {problem['input']!r}; {said}" if path else said
