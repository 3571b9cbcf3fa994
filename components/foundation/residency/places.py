"""Which place is in which country, and which law asks: a thin, sourced registry.

A region is known only with its provider: `me-central-1` is the UAE at AWS and Riyadh at
Alibaba. What the registry does not list is unknown, never guessed. Hosts come here in lower
case, without port, brackets or trailing dot: who reads an address makes it plain first.
"""

import datetime
import enum
import functools
import pathlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import yaml

from components.foundation.errors import UserError, nearest

if TYPE_CHECKING:
    from components.foundation.site import Profile

UAE = "AE"
HARD_LOCAL = frozenset({"health", "cbuae", "gov"})  # where no `site` is: its pydantic weighs
ON_PREMISES = "on-premises"
_HERE = pathlib.Path(__file__)


class Status(enum.StrEnum):
    """How a statement is known; messages carry it."""

    VERIFIED = "verified"
    SECONDARY = "secondary"
    UNVERIFIED = "unverified"


@dataclass(frozen=True, slots=True)
class Region:
    """One provider's region, or a zone of it: country (ISO 3166), place, and how we know."""

    provider: str
    region: str
    country: str
    place: str
    source: str
    checked: datetime.date
    realm: str = "public"
    operator: str = ""  # who runs it, where the source names another than the provider
    status: Status = Status.VERIFIED
    zone: str = ""

    def __str__(self) -> str:
        doubt = "" if self.status is Status.VERIFIED else f", {self.status}"
        name = self.zone or self.region
        return f"{name} at {self.provider} is {self.place} ({self.country}{doubt})"


@dataclass(frozen=True, slots=True)
class Silence:
    """Hosts that tell no region: whose they are, why, and whether others of theirs do."""

    provider: str
    why: str
    mute: bool  # no host of the service tells; otherwise there is a regional one to use


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
    return {(entry.provider, entry.region): entry for entry in _regions()}


def _regions() -> Iterator[Region]:
    for group in _read("regions.yaml"):
        rows = group.pop("regions")
        for name, row in rows.items():
            known = {**group, **row}
            status = Status(known.pop("status", Status.VERIFIED))
            yield Region(region=name, status=status, **known)


@functools.cache
def regimes() -> "Mapping[Profile, Regime]":
    from components.foundation.site import Profile

    rows = _read("regimes.yaml")
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


@functools.cache
def suffixes() -> Mapping[str, Region]:
    """Return how hosts end in each region: `.me-central-1.amazonaws.com`.

    A host `h` is there when `.h` ends so: `oss-me-east-1.aliyuncs.com` is a whole host.
    Where several fit, or one of `silences`, the longest counts.
    """
    return {
        shape.format(region=entry.region, domain=domain): entry
        for group in _endpoints()
        for shape in group["shapes"]
        for realm, domain in group["realms"].items()
        for entry in _of(group["provider"], realm)
    }


def whereabouts(host: str) -> Region | None:
    """Return the region that a host tells, or None: it is global, mute, or no cloud's."""
    for tail in _tails(host):
        if tail in silences():
            return None
        if tail in suffixes():
            return suffixes()[tail]
    return None


@functools.cache
def domains() -> Mapping[str, str]:
    """Return whose a domain is: hosts under it are that provider's, wherever they are."""
    return {
        domain: group["provider"]
        for group in _endpoints()
        for domain in [*group["realms"].values(), *group.get("owns", [])]
    }


def owner(host: str) -> str | None:
    """Return the provider whose host it is, or None."""
    found = (domains().get(tail.removeprefix(".")) for tail in _tails(host))
    return next(filter(None, found), None)


@functools.cache
def silences() -> Mapping[str, Silence]:
    """Return how hosts end that tell no region, even where a suffix of a region fits too."""
    return {
        f".{shape.format(region=entry.region)}": Silence(group["provider"], why, kind == "mute")
        for group in _endpoints()
        for kind in ("elsewhere", "mute")
        for shape, why in group.get(kind, {}).items()
        for entry in _of(group["provider"])
    }


def silence(host: str) -> Silence | None:
    """Return why a host tells no region, where that is known."""
    if whereabouts(host) is not None:
        return None
    return next((silences()[tail] for tail in _tails(host) if tail in silences()), None)


@functools.cache
def zones() -> Mapping[str, Region]:
    """Return zones of the UAE as drivers write them: `ebs.csi.aws.com/me-central-1a`."""
    return {
        f"{group['driver']}/{zone}": _zone(group, zone)
        for group in _read("zones.yaml")
        for zone in group["zones"]
    }


_KEYS = {
    "aws": re.compile(
        r"arn:(?P<realm>aws[a-z-]*):kms:(?P<region>[a-z0-9-]+):\d{12}:key/(?!mrk-)[\w-]+"
    ),
    "oracle": re.compile(r"ocid1\.key\.(?P<realm>oc\d+)\.(?P<region>[a-z0-9-]+)(\.[a-z0-9]+)+"),
    "google": re.compile(
        r"projects/[^/]+/locations/(?P<region>[a-z0-9-]+)/keyRings/[^/]+/cryptoKeys/[^/]+(/.+)?"
    ),
}


def key_region(arn: str) -> Region | None:
    """Return where a key lies that names its region, or None when that does not tell it all.

    None is also the answer for a multi-Region key (`mrk-`), which has copies elsewhere, and
    for an alias, which may lead to one.
    """
    for provider, pattern in _KEYS.items():
        if found := pattern.fullmatch(arn):
            entry = registry().get((provider, found["region"]))
            realm = found.groupdict().get("realm", "public")
            return entry if entry and entry.realm == realm else None
    return None


def multi_region(arn: str) -> bool:
    """Say whether a key of AWS KMS is one that is copied to other regions."""
    return re.fullmatch(r"(arn:.+:key/)?mrk-.*", arn) is not None


def _read(name: str) -> Any:
    return yaml.safe_load(_HERE.with_name(name).read_text())


@functools.cache
def _endpoints() -> list[dict[str, Any]]:
    return list(_read("endpoints.yaml"))


def _of(provider: str, realm: str | None = None) -> list[Region]:
    return [
        entry
        for entry in registry().values()
        if entry.provider == provider and realm in (None, entry.realm)
    ]


def _zone(group: dict[str, Any], zone: str) -> Region:
    entry = registry()[group["provider"], group["region"]]
    status, source = Status(group["status"]), group["source"]
    return replace(entry, zone=zone, status=status, source=source, checked=group["checked"])


def _tails(host: str) -> Iterator[str]:
    """Yield `.a.b.c`, `.b.c` and `.c` of `a.b.c`."""
    labels = host.split(".")
    return (f".{'.'.join(labels[start:])}" for start in range(len(labels)))
