"""Judge whether a site keeps its bytes where its profile demands.

What can be looked up is looked up in the registry; what only a person can know, such as
where a laptop stands, is declared and marked as declared; the rest is named as unattested.
"""

import urllib.parse
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from components.foundation.residency import places
from components.foundation.residency.places import UAE, Region
from components.foundation.site import EMBEDDED, Site
from components.foundation.verdict import Decision, Verdict


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is abroad or unknown: the field, what it says, and the way out."""

    field: str
    value: str
    country: str  # ISO 3166, or "unknown"
    problem: str
    way_out: str

    def __str__(self) -> str:
        return f"{self.field} = {self.value!r}: {self.problem}; {self.way_out}"


def attest(site: Site) -> Verdict:
    """Judge one site; the verdict's evidence says what was looked up and what declared."""
    found = [*_where(site), *_endpoint(site)]
    regime = places.regimes()[site.residency.profile]
    evidence: dict[str, Any] = {
        "profile": str(site.residency.profile),
        "legal_basis": regime.basis,
        "legal_status": f"{regime.status}: {regime.source}",
        "findings": [asdict(one) for one in found],
        **_facts(site),
    }
    decision, reason = _decide(site, found, str(regime))
    basis = site.residency.basis
    if found and basis and decision is Decision.ACCEPT:
        evidence["transfer_basis"] = basis.model_dump()
    return Verdict(f"residency {site.name}", decision, reason, evidence, str(site.digest()))


def _decide(site: Site, found: list[Finding], law: str) -> tuple[Decision, str]:
    profile, basis = site.residency.profile, site.residency.basis
    if not found:
        how = "declared" if _declared(site) else "by the registry of regions"
        return Decision.ACCEPT, f"data stay in {UAE} ({how}), as profile {profile} asks"
    first = f"{found[0]}{f' (and {len(found) - 1} more)' if len(found) > 1 else ''}"
    if profile.hard_local:
        return Decision.REFUSE, f"{first}. Profile {profile} allows the UAE only; {law}"
    if basis is None:
        return (
            Decision.REFUSE,
            f"{first}, or record a transfer basis in residency.basis. "
            f"Profile {profile} asks for one; {law}",
        )
    return (
        Decision.ACCEPT,
        f"{found[0].field} is outside the UAE ({found[0].country}), on the recorded "
        f"basis {basis.id} ({basis.article}), which nobody here has checked",
    )


def _declared(site: Site) -> bool:
    return site.kind == "laptop" or site.object_store.provider == places.ON_PREMISES


def _where(site: Site) -> Iterator[Finding]:
    store = site.object_store
    entry = places.locate(store.provider, store.region)
    if store.provider == places.ON_PREMISES:
        yield from _declaration(site)
    elif entry is None:
        yield Finding(
            "object_store.region",
            f"{store.provider} {store.region}",
            "unknown",
            "the registry of regions does not know this place" + _twin_note(site),
            f"use a region in the UAE: {', '.join(_at_home(store.provider)) or 'none there'}",
        )
    elif entry.country != UAE:
        yield Finding(
            "object_store.region",
            f"{store.provider} {store.region}",
            entry.country,
            f"{entry}{_twin_note(site)}",
            f"use a region in the UAE: {', '.join(_at_home(store.provider)) or 'none there'}",
        )


def _declaration(site: Site) -> Iterator[Finding]:
    country = site.residency.country
    if country is None:
        yield Finding(
            "residency.country",
            "",
            "unknown",
            "hardware of your own stands where you say, and the site does not say",
            "declare residency.country, e.g. AE",
        )
    elif country != UAE:
        yield Finding(
            "residency.country",
            country,
            country,
            f"the site declares that it stands in {country}",
            "move the data to the UAE",
        )


def _twin_note(site: Site) -> str:
    others = places.twins(site.object_store.provider, site.object_store.region)
    return f"; beware of the twin name: {others[0]}" if others else ""


def _at_home(provider: str) -> list[str]:
    return [
        name
        for (who, name), entry in places.registry().items()
        if who == provider and entry.country == UAE
    ]


def _endpoint(site: Site) -> Iterator[Finding]:
    """Hold the host of the object store against the declared provider and region."""
    store = site.object_store
    host = _plain_host(store.endpoint)
    cloud = places.owner(host)
    if store.endpoint == EMBEDDED or (cloud is None and store.provider == places.ON_PREMISES):
        return
    if cloud is None:
        yield from _private(host, store.provider)
    elif cloud != store.provider:
        yield _host(host, f"the host belongs to {cloud}, the site declares {store.provider}")
    elif not _mute(host):
        yield from _regional(host, places.locate(store.provider, store.region), store.region)


def _regional(host: str, declared: Region | None, region: str) -> Iterator[Finding]:
    told = places.whereabouts(host)
    if told is None or told != declared:
        silence = places.silence(host)
        reason = silence.why if silence else told
        why = f" ({reason})" if reason else ""
        problem = f"the host does not name {region}: it is global or another region's{why}"
        yield _host(host, problem, told.country if told else "unknown")


def _private(host: str, provider: str) -> Iterator[Finding]:
    """A cloud's region cannot vouch for a host that is not the cloud's."""
    yield _host(host, f"the host is not one of {provider}'s, so its region says nothing about it")


def _host(host: str, problem: str, country: str = "unknown") -> Finding:
    return Finding(
        "object_store.endpoint",
        host,
        country,
        problem,
        "use the provider's regional address, or declare the provider that runs the host",
    )


def _plain_host(endpoint: str) -> str:
    return (urllib.parse.urlsplit(endpoint).hostname or "").rstrip(".")


def _mute(host: str) -> bool:
    """Say whether no address of the service would tell its region."""
    silence = places.silence(host)
    return silence is not None and silence.mute


def _facts(site: Site) -> dict[str, Any]:
    """Say what was looked up, what was declared, and what nobody attests."""
    store = site.object_store
    entry = places.locate(store.provider, store.region)
    looked_up = [f"{entry}; source: {entry.source}, {entry.checked}"] if entry else []
    declared = [f"{site.kind} in {site.residency.country or 'no country'}"]
    mute = _mute(_plain_host(store.endpoint))
    hosts = {"object_store.endpoint": store.endpoint} if mute else {}
    addresses = {**hosts, "metrics": site.metrics, "kubernetes": site.kubernetes, "keys": site.keys}
    sinks = {f"alerts.{i}": alert.url for i, alert in enumerate(site.alerts)}
    return {
        "looked_up": looked_up,
        "declared": declared if _declared(site) else [],
        "not_attested": [
            f"{name}: {value}"
            for name, value in {**addresses, **sinks}.items()
            if value != EMBEDDED
        ],
    }
