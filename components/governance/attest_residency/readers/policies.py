"""The policies of residency as the cluster has them: there, bound, and saying what they should."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from components.foundation import digests
from components.foundation.errors import UserError
from components.foundation.residency import places
from components.foundation.site import Profile
from components.governance.attest_residency.listing import Listing, Thing
from components.governance.attest_residency.observation import Observation, Standing, unknown
from components.governance.residency import policies as rendered
from components.governance.residency import profiles, rules
from components.governance.residency.definition import GROUP, PLURAL

_APPLY = "apply manifests/residency again, and see in the audit log who changed it"
_ADMISSION = rendered.ADMISSION.split("/")[0]
_PLURALS = {
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
}
# What the API server writes into what does not say it.
_DEFAULTS: Mapping[str, Any] = {
    "matchPolicy": "Equivalent",
    "namespaceSelector": {},
    "objectSelector": {},
    "scope": "*",
}
_FILLED_IN = ("hosts", "networks", "suffixes", "bases")  # by the site


def profile(listing: Listing, name: str) -> Thing | None:
    """Return a ResidencyProfile as the cluster has it."""
    served = listing.of(GROUP, PLURAL)
    return listing.find(served, "", name) if served else None


@dataclass(frozen=True)
class Policies:
    """Holds policies, bindings and profiles of the cluster against what the rules render."""

    listing: Listing
    law: Profile

    def __call__(self) -> Iterator[Observation]:
        wanted = list(_wanted(str(self.law)))
        found = [self._held(thing) for thing in wanted]
        wrong = [one for one in found if one is not None]
        yield from wrong
        if not wrong:
            digest = str(digests.of_json([one["spec"] for one in wanted]))
            because = "each policy is there, is bound, and says what the rules render"
            yield Observation(
                f"{len(wanted)} policies and bindings", Standing.HOME, digest, because
            )
        for name in (str(self.law), profiles.STRICTEST):
            yield from self._profile(name)

    def _held(self, wanted: Thing) -> Observation | None:
        """Return what is wrong with one of them, or None."""
        kind, name = wanted["kind"], wanted["metadata"]["name"]
        served = self.listing.of(_ADMISSION, _PLURALS[kind])
        found = self.listing.find(served, "", name) if served else None
        what = f"{kind} {name}"
        if not found:
            return _broken(what, "none", "nothing is asked where it is missing", _APPLY)
        return _differs(what, wanted["spec"], without_defaults(found["spec"], wanted["spec"]))

    def _profile(self, name: str) -> Iterator[Observation]:
        what = f"ResidencyProfile {name}"
        found = profile(self.listing, name)
        if not found:
            yield _broken(what, "none", "without it the policies refuse everything", _APPLY)
            return
        wanted = profiles.all_by_name()[name]["spec"]
        fixed = {key: value for key, value in wanted.items() if key not in _FILLED_IN}
        got = {key: value for key, value in found["spec"].items() if key not in _FILLED_IN}
        if (wrong := _differs(what, fixed, got)) is not None:
            yield wrong
        else:
            yield Observation(
                what, Standing.HOME, str(digests.of_json(got)), "as the registry has it"
            )
        yield from declared(what, found["spec"], wanted)


def declared(
    what: str, spec: Mapping[str, Any], wanted: Mapping[str, Any]
) -> Iterator[Observation]:
    """Say what a site has filled into a profile; a cloud's host it cannot declare home."""
    added = [one for one in spec["suffixes"] if one not in wanted["suffixes"]]
    hosts = [*spec["hosts"], *(f"any{one}" for one in added)]
    abroad = [one for one in hosts if _elsewhere(one, spec["country"])]
    for host in abroad:
        because = f"{places.whereabouts(host) or f'{places.owner(host)} tells no region by it'}"
        yield _broken(f"{what} host", host, because, "take it out of the profile")
    own = [one for one in dict.fromkeys(hosts) if one not in abroad]
    networks = [one for one in spec["networks"] if one not in wanted["networks"]]
    if own or networks:
        because = "the site declares that these are in the country"
        value = ", ".join([*own, *networks])
        yield Observation(f"{what} hosts", Standing.DECLARED, value, because)


def _elsewhere(host: str, country: str) -> bool:
    entry = places.whereabouts(host)
    return entry.country != country if entry else places.owner(host) is not None


def _wanted(law: str) -> Iterator[Thing]:
    for policy in rules.policies():
        yield rendered.admission(policy)
        yield rendered.binding(policy, law)
        yield rendered.strictest(policy, law)


def _differs(what: str, wanted: Any, got: Any) -> Observation | None:
    expected, found = (digests.of_json(one) for one in (wanted, got))
    if expected == found:
        return None
    because = f"it was changed: the rules render {expected.short}"
    return _broken(what, found.short, because, _APPLY)


def without_defaults(found: Any, wanted: Any) -> Any:
    """Leave out what the API server filled in where nothing was said."""
    match found, wanted:
        case (dict(), dict()):
            return {
                key: without_defaults(value, wanted.get(key))
                for key, value in found.items()
                if key in wanted or _DEFAULTS.get(key) != value
            }
        case (list(), list()) if len(found) == len(wanted):
            pairs: Sequence[tuple[Any, Any]] = list(zip(found, wanted, strict=True))
            return [without_defaults(value, other) for value, other in pairs]
        case _:
            return found


def _broken(what: str, value: str, because: str, way_out: str) -> Observation:
    return replace(unknown(what, value, because, way_out), standing=Standing.BROKEN)


def standing_law(listing: Listing, law: Profile) -> Thing:
    """Return the profile that the cluster has of a law, or the one that ships if it has none.

    What an administrator made of it is not believed: hard laws stay hard, whatever it says.
    """
    shipped = profiles.profile(law)
    found = profile(listing, str(law))
    if not found:
        return shipped
    bases = found.get("spec", {}).get("bases", [])
    if not isinstance(bases, list):
        raise UserError(
            f"ResidencyProfile {law}: bases are {bases!r}, expected a list; apply it again",
            code="attestor-site",
        )
    spec = {**shipped["spec"], **{key: found["spec"][key] for key in _FILLED_IN}}
    return {**shipped, "spec": spec}
