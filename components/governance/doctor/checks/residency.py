"""Which law the namespace is under, and whether the cluster holds objects to it."""

from collections.abc import Iterator
from functools import partial

from components.governance.doctor.checks import security
from components.governance.doctor.interface import (
    Answer,
    Installation,
    Question,
    Thing,
    missing,
    warning,
    well,
)

LABEL = "falaj.example/residency"
GUARD = "falaj-law"
_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
_FEATURE = "add the feature residency to your overlay, and apply it"


def questions(at: Installation) -> Iterator[Question]:
    yield Question(f"law of namespace {at.namespace}", partial(_law, at))
    yield Question(f"ResidencyProfile {_named(at)}", partial(_profile, at))
    yield Question(f"policy {GUARD}", partial(_guard, at))
    yield Question("policies on residency", partial(_bound, at))


def _named(at: Installation) -> str:
    return str(at.site.residency.profile)


def _law(at: Installation) -> Answer:
    labels = security.labels(at)
    if labels is None:
        return security.NO_NAMESPACE
    said = labels.get(LABEL)
    if said == _named(at):
        return well(said)
    return missing(
        f"{LABEL} is {said}" if said else f"no label {LABEL}: the strictest holds",
        expected=f"{_named(at)}, as the site file says",
        do="apply your overlay as who answers for residency, or correct the site file",
    )


def _profile(at: Installation) -> Answer:
    found = at.api.find(f"/apis/falaj.example/v1/residencyprofiles/{_named(at)}")
    if found is None:
        return missing("not there", expected="what counts as in the country", do=_FEATURE)
    hard = "hard local" if found["spec"].get("hardLocal") else "transfers on a recorded basis"
    return well(f"{found['spec'].get('country')}, {hard}")


def _guard(at: Installation) -> Answer:
    found = at.api.find(f"{_ADMISSION}/validatingadmissionpolicybindings/{GUARD}")
    if found is None:
        what = "what lets nobody change a namespace's law"
        return missing("not bound", expected=what, do="apply your overlay")
    return _denying([found])


def _bound(at: Installation) -> Answer:
    """Ask for each policy of ours that it is there, and bound to this law."""
    from components.governance.residency import policies
    from components.governance.residency.rules import policies as every

    wanted = {policies.name(policy) for policy in every()}
    there = {one["metadata"]["name"] for one in _listed(at, "validatingadmissionpolicies")}
    ours = [
        one
        for one in _listed(at, "validatingadmissionpolicybindings")
        if _law_of(one) == _named(at) and one["spec"]["policyName"] in wanted & there
    ]
    absent = sorted(wanted - {one["spec"]["policyName"] for one in ours})
    if absent:
        got = f"{len(wanted) - len(absent)} of {len(wanted)} hold for {_named(at)}"
        return missing(f"{got}; not {_first(absent)}", expected="all", do=_FEATURE)
    return _denying(ours)


def _listed(at: Installation, plural: str) -> list[Thing]:
    return list((at.api.find(f"{_ADMISSION}/{plural}") or {}).get("items", []))


def _law_of(binding: Thing) -> str:
    return str((binding["spec"].get("paramRef") or {}).get("name", ""))


def _denying(bindings: list[Thing]) -> Answer:
    silent = [
        one["metadata"]["name"]
        for one in bindings
        if "Deny" not in one["spec"].get("validationActions", [])
    ]
    if silent:
        got = f"{_first(sorted(silent))} refuses nothing"
        return warning(got, expected="validationActions with Deny", do="apply your overlay")
    return well(f"{len(bindings)} bound, and refusing")


def _first(names: list[str], number: int = 3) -> str:
    more = f" and {len(names) - number} more" if len(names) > number else ""
    return ", ".join(names[:number]) + more
