"""Which place is in which country, and which law asks: a thin, sourced registry.

A region is known only with its provider: `me-central-1` is the UAE at AWS and Riyadh at
Alibaba. What the registry does not list is unknown, never guessed.
"""

import datetime
import enum
import functools
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from components.foundation.errors import UserError, nearest

if TYPE_CHECKING:
    from components.foundation.site import Profile

UAE = "AE"
HARD_LOCAL = frozenset({"health", "cbuae", "gov"})  # where no `site` is: its pydantic weighs
ON_PREMISES = "on-premises"
_HERE = pathlib.Path(__file__)


class Status(enum.StrEnum):
    """How a legal statement is known; messages carry it."""

    VERIFIED = "verified"
    SECONDARY = "secondary"


@dataclass(frozen=True, slots=True)
class Region:
    """One provider's region: country (ISO 3166), place, and how we know."""

    provider: str
    region: str
    country: str
    place: str
    source: str
    checked: datetime.date

    def __str__(self) -> str:
        return f"{self.region} at {self.provider} is {self.place} ({self.country})"


@dataclass(frozen=True, slots=True)
class Regime:
    """The law behind a profile, in words that say how sure we are."""

    basis: str
    demand: str
    status: Status
    source: str

    def __str__(self) -> str:
        return f"{self.basis} ({self.status}: {self.source})"


@functools.cache
def registry() -> Mapping[tuple[str, str], Region]:
    rows = yaml.safe_load(_HERE.with_name("regions.yaml").read_text())
    return {(row["provider"], row["region"]): Region(**row) for row in rows}


@functools.cache
def regimes() -> "Mapping[Profile, Regime]":
    from components.foundation.site import Profile

    rows = yaml.safe_load(_HERE.with_name("regimes.yaml").read_text())
    return {
        Profile(name): Regime(**{**row, "status": Status(row["status"])})
        for name, row in rows.items()
    }


def providers() -> list[str]:
    return sorted({*(provider for provider, _ in registry()), ON_PREMISES})


def locate(provider: str, region: str) -> Region | None:
    """Return where a provider's region is, or None when nobody wrote it down.

    Raises:
        UserError: the provider itself is unknown.
    """
    if provider not in providers():
        raise UserError(
            f"provider {provider!r}; {nearest(provider, providers())}", code="provider-unknown"
        )
    return registry().get((provider, region))


def twins(provider: str, region: str) -> list[Region]:
    """Return what other providers mean by the same region name."""
    return [
        entry for (who, name), entry in registry().items() if name == region and who != provider
    ]
